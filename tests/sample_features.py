"""Everything NTFS can hold, made through the ntfs-3g driver, each kind in a folder of its own below \\Features."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import struct
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from random import Random

from sample_contents import noise, program, text
from sample_security import DESCRIPTORS

__all__ = ["EVERYTHING", "Feature", "make_compact", "put", "set_attributes", "set_reparse", "set_times", "write_stream"]

READ_ONLY, HIDDEN, SYSTEM, ARCHIVE, NOT_INDEXED = 0x1, 0x2, 0x4, 0x20, 0x2000
TEMPORARY, COMPRESSED_ATTRIBUTE, OFFLINE = 0x100, 0x800, 0x1000
SYMLINK_TAG, JUNCTION_TAG, WOF_TAG = 0xA000000C, 0xA0000003, 0x80000017


class Feature(StrEnum):
    """One thing that must survive; the name says what lies in \\Features\\NAME."""

    STREAMS = "streams"
    LINKS = "links"
    SHORT_NAMES = "short-names"
    SECURITY = "security"
    TIMES = "times"
    ATTRIBUTES = "attributes"
    OBJECT_IDS = "object-ids"
    EAS = "eas"
    JUNCTIONS = "junctions"
    SYMLINKS = "symlinks"
    COMPRESSED = "compressed"
    SPARSE = "sparse"
    TWINS = "twins"
    SURROGATES = "surrogates"
    LONG_NAMES = "long-names"
    EMPTY = "empty"
    RESIDENT = "resident"
    ATTRIBUTE_LIST = "attribute-list"
    DEEP = "deep"
    CHINESE = "chinese"
    ENCRYPTED = "encrypted"
    COMPACT = "compact"


EVERYTHING = frozenset(Feature)


def set_attributes(path: Path, attributes: int) -> None:
    """Set FILE_ATTRIBUTE_* bits."""
    os.setxattr(path, "system.ntfs_attrib_be", struct.pack(">I", attributes), follow_symlinks=False)


def set_times(path: Path, creation: int, last_write: int, last_access: int) -> None:
    """Set times, in 100 ns since 1601."""
    os.setxattr(path, "system.ntfs_times_be", struct.pack(">3Q", creation, last_write, last_access),
                follow_symlinks=False)


def set_reparse(path: Path, tag: int, data: bytes) -> None:
    """Make `path` a reparse point; `data` without the 8-byte header."""
    os.setxattr(path, "system.ntfs_reparse_data", struct.pack("<IHH", tag, len(data), 0) + data)


def write_stream(path: Path, name: str, data: bytes) -> None:
    """Write the named stream `path`:`name`."""
    Path(f"{path}:{name}").write_bytes(data)


def put(folder: Path, feature: Feature, chance: Random) -> None:
    """Make \\Features\\FEATURE below the mounted volume `folder`."""
    place = folder / "Features" / feature
    place.mkdir(parents=True)
    MAKERS[feature](place, chance)


def _streams(place: Path, chance: Random) -> None:
    target = place / "file with streams.txt"
    target.write_bytes(text(chance, 9000))
    write_stream(target, "Zone.Identifier", b"[ZoneTransfer]\r\nZoneId=3\r\n")
    write_stream(target, "big", noise(chance, 70_000))
    write_stream(target, "empty", b"")
    write_stream(target, "\u6d41", text(chance, 300))
    (place / "only a stream").touch()
    write_stream(place / "only a stream", "data", text(chance, 5000))
    (place / "folder").mkdir()
    write_stream(place / "folder", "on a folder", text(chance, 6000))
    write_stream(place / "folder", "small", b"small")


def _links(place: Path, chance: Random) -> None:
    (place / "a").mkdir()
    (place / "b").mkdir()
    (place / "a" / "shared.dll").write_bytes(program(size=40_000, chance=chance))
    for name in ("b/shared.dll", "b/other name.dll", "shared too.dll"):
        os.link(place / "a" / "shared.dll", place / name)
    (place / "resident.txt").write_bytes(b"small and linked")
    os.link(place / "resident.txt", place / "b" / "resident again.txt")


def _short_names(place: Path, chance: Random) -> None:
    for name, short in (("A long program name.exe", "ALONGP~1.EXE"), ("A long program other.exe", "ALONGP~2.EXE"),
                        ("SHORT.TXT", "SHORT.TXT"), ("lower.txt", "LOWER.TXT"), ("\u957f\u540d.dat", "B2E1~1.DAT")):
        (place / name).write_bytes(text(chance, 3000))
        os.setxattr(place / name, "system.ntfs_dos_name", short.encode())
    (place / "Folder with a short name").mkdir()
    os.setxattr(place / "Folder with a short name", "system.ntfs_dos_name", b"FOLDER~1")
    os.link(place / "A long program name.exe", place / "its second name has none.exe")


def _security(place: Path, chance: Random) -> None:
    for name, value in DESCRIPTORS.items():
        (place / name).mkdir()
        for target in (place / name / "file.bin", place / name / "inside"):
            target.write_bytes(text(chance, 2000))
            os.setxattr(target, "system.ntfs_acl", value)
        os.setxattr(place / name, "system.ntfs_acl", value)


def _times(place: Path, chance: Random) -> None:
    for name, times in (("ancient", (1, 2, 3)),
                        ("odd ticks", (0x01D1234567890123, 0x01D1234567890125, 0x01D1234567890127)),
                        ("future", (0x02FF_FFFF_FFFF_FFFF, 0x02FF_FFFF_FFFF_FFFE, 0x02FF_FFFF_FFFF_FFFD)),
                        ("backwards", (0x01D2000000000007, 0x01D1000000000005, 0x01D0000000000003))):
        (place / name).write_bytes(text(chance, 2500))
        set_times(place / name, *times)


def _attributes(place: Path, chance: Random) -> None:
    kinds = {"read only": READ_ONLY, "hidden": HIDDEN, "system": SYSTEM, "archive": ARCHIVE, "offline": OFFLINE,
             "temporary": TEMPORARY, "not indexed": NOT_INDEXED, "none": 0,
             "all": READ_ONLY | HIDDEN | SYSTEM | ARCHIVE | NOT_INDEXED | TEMPORARY | OFFLINE}
    for name, attributes in kinds.items():
        (place / name).write_bytes(text(chance, 2000))
        set_attributes(place / name, attributes)
    (place / "folder").mkdir()
    set_attributes(place / "folder", HIDDEN | SYSTEM | NOT_INDEXED)


def _object_ids(place: Path, chance: Random) -> None:
    for name, size in (("short id", 16), ("full id", 64)):
        (place / name).write_bytes(text(chance, 2000))
        os.setxattr(place / name, "system.ntfs_object_id", noise(chance, size))
    (place / "folder").mkdir()
    os.setxattr(place / "folder", "system.ntfs_object_id", noise(chance, 64))


def _eas(place: Path, chance: Random) -> None:
    several = {b"LXUID": noise(chance, 4), b"LXMOD": noise(chance, 4), b"LONGER.NAME": noise(chance, 700)}
    for name, entries in (("one.dat", {b"ABCD": b"hello"}), ("several.dat", several)):
        (place / name).write_bytes(text(chance, 2000))
        os.setxattr(place / name, "system.ntfs_ea", _pack_eas(entries))


def _pack_eas(entries: dict[bytes, bytes]) -> bytes:
    packed = b""
    for name, value in entries.items():
        body = struct.pack("<BBH", 0, len(name), len(value)) + name + b"\0" + value
        size = -(-(len(body) + 4) // 4) * 4
        packed += struct.pack("<I", size) + body.ljust(size - 4, b"\0")
    return packed


def _names_buffer(target: str, shown: str, *, terminated: bool) -> bytes:
    first, second = target.encode("utf-16-le"), shown.encode("utf-16-le")
    if terminated:
        return struct.pack("<HHHH", 0, len(first), len(first) + 2, len(second)) + first + b"\0\0" + second + b"\0\0"
    relative = not target.startswith("\\??\\")
    return struct.pack("<HHHHI", 0, len(first), len(first), len(second), relative) + first + second


def _junctions(place: Path, _chance: Random) -> None:
    for name, target in (("to Windows", "C:\\Windows"), ("to elsewhere", "D:\\Data \u6570\u636e")):
        (place / name).mkdir()
        set_reparse(place / name, JUNCTION_TAG, _names_buffer(f"\\??\\{target}", target, terminated=True))


def _symlinks(place: Path, chance: Random) -> None:
    (place / "target.txt").write_bytes(text(chance, 2000))
    for name, target in (("relative.txt", "target.txt"), ("up.txt", "..\\..\\Windows\\explorer.exe"),
                         ("absolute.txt", "C:\\Windows\\explorer.exe"), ("nowhere", "missing\\file")):
        (place / name).touch()
        full = f"\\??\\{target}" if target.startswith("C:") else target
        set_reparse(place / name, SYMLINK_TAG, _names_buffer(full, target, terminated=False))
    (place / "folder link").mkdir()
    target = "..\\..\\Windows"
    set_reparse(place / "folder link", SYMLINK_TAG, _names_buffer(target, target, terminated=False))


def _compressed(place: Path, chance: Random) -> None:
    set_attributes(place, COMPRESSED_ATTRIBUTE)
    (place / "inside").mkdir()
    (place / "compressible.txt").write_bytes(text(chance, 300_000))
    (place / "noise.bin").write_bytes(noise(chance, 100_000))
    (place / "inside" / "small.txt").write_bytes(text(chance, 400))
    (place / "zeros.bin").write_bytes(bytes(200_000))


def _sparse(place: Path, chance: Random) -> None:
    with (place / "holes.bin").open("wb") as file:
        file.truncate(3_000_000)
        for offset in (0, 1_000_000, 2_990_000):
            file.seek(offset)
            file.write(noise(chance, 6000))
    with (place / "only a hole.bin").open("wb") as file:
        file.truncate(2_000_000)


def _twins(place: Path, chance: Random) -> None:
    for name in ("twin.txt", "TWIN.TXT", "Twin.txt"):
        (place / name).write_bytes(name.encode() + text(chance, 3000))
    (place / "folder").mkdir()
    (place / "FOLDER").mkdir()
    (place / "FOLDER" / "inside.txt").write_bytes(text(chance, 1500))


def _surrogates(place: Path, chance: Random) -> None:
    root = os.fsencode(place)
    for name in (b"high \xed\xa0\x80 alone.bin", b"low \xed\xb0\x81 alone.bin", "pair \U0001f600.bin".encode()):
        Path(os.fsdecode(root + b"/" + name)).write_bytes(text(chance, 2500))


def _long_names(place: Path, chance: Random) -> None:
    (place / ("n" * 251 + ".txt")).write_bytes(text(chance, 2500))
    (place / ("\u540d" * 255)).write_bytes(text(chance, 2500))
    (place / ("d" * 255)).mkdir()


def _empty(place: Path, _chance: Random) -> None:
    (place / "empty.txt").touch()
    (place / "empty folder").mkdir()


def _resident(place: Path, chance: Random) -> None:
    for size in (1, 8, 100, 400, 600, 700, 800):
        (place / f"{size} bytes.txt").write_bytes(text(chance, size))


def _attribute_list(place: Path, chance: Random) -> None:
    target = place / "many streams.bin"
    target.write_bytes(noise(chance, 50_000))
    for number in range(24):
        write_stream(target, f"stream number {number}", text(chance, 150))
    target = place / "many names.bin"
    target.write_bytes(noise(chance, 30_000))
    for number in range(24):
        os.link(target, place / f"{number} is another name of the same file, and long.bin")


def _deep(place: Path, chance: Random) -> None:
    for depth in range(40):
        place = place / f"folder {depth}"
        place.mkdir()
    (place / "at the bottom.txt").write_bytes(text(chance, 3000))


def _chinese(place: Path, chance: Random) -> None:
    folder = place / "\u7cfb\u7edf\u6587\u4ef6"
    folder.mkdir()
    for name in ("\u8bf4\u660e.txt", "\u955c\u50cf\u5907\u4efd.dat", "\u7a0b\u5e8f.exe"):
        (folder / name).write_bytes(program(size=12_000, chance=chance))


def _encrypted(place: Path, chance: Random) -> None:
    target = place / "encrypted.bin"
    target.write_bytes(noise(chance, 1024) + b"\x00\x00")  # the raw form ends with the count of padding bytes
    os.setxattr(target, "system.ntfs_efsinfo", struct.pack("<I", 400) + noise(chance, 396))


def _compact(place: Path, chance: Random) -> None:
    make_compact(place / "compact.exe", program(size=50_000, chance=chance))


def make_compact(target: Path, data: bytes, algorithm: int = 0) -> None:
    """A file of System Compression, packed by libwim: XPRESS 4K, LZX, XPRESS 8K or XPRESS 16K."""
    size, kind = ((4096, 1), (32768, 2), (8192, 1), (16384, 1))[algorithm]
    chunks = [_packed(data[start:start + size], kind, size) for start in range(0, len(data), size)]
    ends = [sum(map(len, chunks[:count])) for count in range(1, len(chunks))]
    target.touch()
    write_stream(target, "WofCompressedData", struct.pack(f"<{len(ends)}I", *ends) + b"".join(chunks))
    with target.open("r+b") as file:
        file.truncate(len(data))
    set_reparse(target, WOF_TAG, struct.pack("<IIII", 1, 2, 1, algorithm))


def _packed(chunk: bytes, kind: int, chunk_size: int) -> bytes:
    """`chunk` compressed by codec `kind`, or as it is where that gains nothing."""
    library = ctypes.CDLL(ctypes.util.find_library("wim") or "libwim.so.15")
    compress = library.wimlib_compress
    compress.restype = ctypes.c_size_t
    compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]
    handle = ctypes.c_void_p()
    assert library.wimlib_create_compressor(kind, ctypes.c_size_t(chunk_size), 50, ctypes.byref(handle)) == 0
    room = ctypes.create_string_buffer(chunk_size)
    size = compress(chunk, len(chunk), room, len(chunk) - 1, handle)
    library.wimlib_free_compressor(handle)
    return room.raw[:size] if size else chunk


MAKERS: dict[Feature, Callable[[Path, Random], None]] = {
    Feature.STREAMS: _streams, Feature.LINKS: _links, Feature.SHORT_NAMES: _short_names,
    Feature.SECURITY: _security, Feature.TIMES: _times, Feature.ATTRIBUTES: _attributes,
    Feature.OBJECT_IDS: _object_ids, Feature.EAS: _eas, Feature.JUNCTIONS: _junctions,
    Feature.SYMLINKS: _symlinks, Feature.COMPRESSED: _compressed, Feature.SPARSE: _sparse,
    Feature.TWINS: _twins, Feature.SURROGATES: _surrogates, Feature.LONG_NAMES: _long_names,
    Feature.EMPTY: _empty, Feature.RESIDENT: _resident, Feature.ATTRIBUTE_LIST: _attribute_list,
    Feature.DEEP: _deep, Feature.CHINESE: _chinese, Feature.ENCRYPTED: _encrypted, Feature.COMPACT: _compact,
}
