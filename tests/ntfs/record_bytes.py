"""File records made by hand, for volumes that no driver would write."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from wimboot.formats.ntfsrecord import FileRecord, Run, pack_runs, unfix
from wimboot.ntfs.metafile import Metafiles
from wimboot.storage.host import HostFile

__all__ = ["copied", "list_entry", "outside", "pack_record", "patch_record", "raw_record", "resident", "whole"]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def resident(kind: int, value: bytes, name: str = "", flags: int = 0) -> bytes:
    """An attribute whose value stands in the record."""
    raw = name.encode("utf-16-le")
    offset = (24 + len(raw) + 7) // 8 * 8
    data = _padded((bytes(24) + raw).ljust(offset, b"\0") + value)
    head = struct.pack("<IIBBHHHIHH", kind, len(data), 0, len(raw) // 2, 24, flags, 0, len(value), offset, 0)
    return head + data[24:]


def outside(kind: int, runs: Sequence[Run], *, size: int, lowest: int = 0, initialized: int | None = None,
            name: str = "", cluster: int = 512, flags: int = 0) -> bytes:
    """An attribute, or an extent of one, whose value lies in clusters."""
    raw = name.encode("utf-16-le")
    pairs = (64 + len(raw) + 7) // 8 * 8
    clusters = sum(count for _, count in runs)
    data = _padded((bytes(64) + raw).ljust(pairs, b"\0") + pack_runs(runs))
    head = struct.pack("<IIBBHHHQqHB5xQQQ", kind, len(data), 1, len(raw) // 2, 64, flags, 0, lowest,
                       lowest + clusters - 1, pairs, 0, clusters * cluster, size,
                       size if initialized is None else initialized)
    return head + data[64:]


def list_entry(kind: int, reference: int, lowest: int = 0, name: str = "") -> bytes:
    """One entry of an attribute list."""
    raw = name.encode("utf-16-le")
    size = (26 + len(raw) + 7) // 8 * 8
    return (struct.pack("<IHBBQQH", kind, size, len(raw) // 2, 26, lowest, reference, 0) + raw).ljust(size, b"\0")


def pack_record(attributes: Sequence[bytes], *, number: int, sequence: int = 1, flags: int = 1, base: int = 0,
                size: int = 1024, links: int = 1) -> bytes:
    """A whole record, its update sequence applied."""
    words = size // 512 + 1
    start = (48 + 2 * words + 7) // 8 * 8
    body = b"".join(attributes) + b"\xff\xff\xff\xff\0\0\0\0"
    head = struct.pack("<4sHHQHHHHIIQHHI", b"FILE", 48, words, 0, sequence, links, start, flags, start + len(body),
                       size, base, 99, 0, number)
    record = bytearray(head.ljust(start, b"\0") + body)
    assert len(record) <= size
    record += bytes(size - len(record))
    record[48:50] = b"\x07\0"
    for i in range(1, words):
        record[48 + 2 * i:50 + 2 * i] = record[512 * i - 2:512 * i]
        record[512 * i - 2:512 * i] = b"\x07\0"
    return bytes(record)


def raw_record(image: Path, number: int) -> bytes:
    """A record as it lies on the volume."""
    files = Metafiles(HostFile.open(image))
    return files.mft.read(number * files.boot.record_size, files.boot.record_size)


def patch_record(image: Path, number: int, record: bytes, *, mark: bool = True) -> None:
    """Put a record onto the volume and, with `mark`, into $MFT's bitmap (which must lie in clusters)."""
    files = Metafiles(HostFile.open(image))
    place, room = files.mft.place(number * files.boot.record_size)
    bitmap = files.attribute(0, 0xB0)
    assert place is not None
    assert room >= len(record)
    assert bitmap is not None
    assert bitmap.runs
    assert bitmap.runs[0][0] is not None
    with image.open("r+b") as file:
        file.seek(place)
        file.write(record)
        if mark:
            file.seek(bitmap.runs[0][0] * files.boot.cluster_size + number // 8)
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes((byte | 1 << number % 8,)))


def whole(image: Path, number: int) -> tuple[FileRecord, bytes]:
    """A record parsed, and its bytes with the update sequence undone."""
    raw = raw_record(image, number)
    return FileRecord.parse(raw), unfix(raw)


def copied(image: Path, number: int, *kinds: int) -> list[bytes]:
    """The attributes of those types as they stand in a record."""
    record, data = whole(image, number)
    out = []
    for attribute in record.attributes:
        if attribute.type in kinds:
            size = struct.unpack_from("<I", data, attribute.offset + 4)[0]
            out.append(data[attribute.offset:attribute.offset + size])
    return out
