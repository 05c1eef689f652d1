"""Boot code on a new disk: taken from what the user has of his own Windows, put around what describes the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from judges import sound_volume
from running import done, refused, wimboot

SIZE = 40 << 20
START = 1 << 20
BOOTMGR = b"\x07\0" + "BOOTMGR".encode("utf-16-le")
NTLDR = b"\x05\0" + "NTLDR".encode("utf-16-le")


def windows_sectors(name: bytes = BOOTMGR) -> bytes:
    """Sixteen sectors that look like those of a volume that Windows formatted."""
    first = b"\xeb\x52\x90NTFS    " + b"\xee" * 73 + bytes(range(1, 171)) * 2 + b"\xcc" * 86 + b"\x55\xaa"
    assert len(first) == 512
    return first + name + os.urandom(8192 - 512 - len(name))


def windows_mbr() -> bytes:
    """A master boot record with other people's partitions."""
    return os.urandom(440) + b"SIGN\0\0" + b"\x80" * 64 + b"\x55\xaa"


def made_with(path: Path, *arguments: object) -> bytes:
    """A new raw disk with that boot code."""
    done("create", path, "--size", SIZE, *arguments)
    return path.read_bytes()


def test_code_stands_around_what_describes_disk_and_volume(tmp_path: Path) -> None:
    """The table, the signature and the BPB are ours; everything else is the user's, in the backup sector too."""
    mbr, sectors = windows_mbr(), windows_sectors()
    (tmp_path / "mbr").write_bytes(mbr)
    (tmp_path / "boot").write_bytes(sectors)
    given = ("--serial", "1122334455667788", "--disk-id", "0badcafe")
    bare = made_with(tmp_path / "bare.img", *given)
    disk = made_with(tmp_path / "disk.img", *given, "--boot-code", tmp_path / "mbr", "--boot-code", tmp_path / "boot")
    assert (disk[:440], disk[440:512]) == (mbr[:440], bare[440:512])
    volume, before = disk[START:], bare[START:]
    assert volume[:0x0B] == sectors[:0x0B]
    assert volume[0x0B:0x54] == before[0x0B:0x54]
    assert volume[0x54:8192] == sectors[0x54:]
    end = SIZE - 2 * START
    assert volume[end - 512:end] == volume[:512]
    sound_volume(tmp_path / "disk.img", START)


@pytest.mark.parametrize("form", ["raw", "vhd", "vhdx"])
def test_code_is_taken_from_a_disk(tmp_path: Path, form: str) -> None:
    """An image or VHD of the user's Windows: what comes before its table, and the volume of its active partition."""
    mbr, sectors = tmp_path / "mbr", tmp_path / "boot"
    mbr.write_bytes(windows_mbr())
    sectors.write_bytes(windows_sectors())
    old = tmp_path / f"old.{form}"
    done("create", old, "--size", SIZE, "--boot-code", mbr, "--boot-code", sectors)
    if form == "vhdx" and wimboot("info", old).code:
        pytest.skip("VHDX is not read")
    told = done("create", tmp_path / "both.img", "--size", SIZE, "--boot-code", old, "--json").json
    assert told["boot_code"] == {"mbr": True, "volume": True}
    both = (tmp_path / "both.img").read_bytes()
    assert (both[:440], both[START + 0x54:START + 8192]) == (mbr.read_bytes()[:440], sectors.read_bytes()[0x54:])
    told = done("create", tmp_path / "one.img", "--size", SIZE, "--boot-code", f"{old}#1", "--json").json
    assert told["boot_code"] == {"mbr": False, "volume": True}


def test_code_is_taken_from_a_volume(tmp_path: Path) -> None:
    """An image of a bare one."""
    (tmp_path / "boot").write_bytes(windows_sectors())
    disk = made_with(tmp_path / "disk.img", "--boot-code", tmp_path / "boot")
    (tmp_path / "volume.img").write_bytes(disk[START:-START])
    told = done("create", tmp_path / "new.img", "--size", SIZE, "--boot-code", tmp_path / "volume.img", "--json").json
    assert told["boot_code"] == {"mbr": False, "volume": True}


def sector(start: bytes, kind: bytes, place: int) -> bytes:
    """A boot sector of another file system."""
    return (start.ljust(place) + kind).ljust(510, b"\xcc") + b"\x55\xaa"


def formatted_elsewhere(code: bytes) -> bytes:
    """The 16 sectors of a volume with only that behind its description."""
    return windows_sectors()[:0x54] + code.ljust(426, b"\0") + b"\x55\xaa" + bytes(7680)


@pytest.mark.parametrize(("name", "content", "why"), [
    ("zeros", bytes(510) + b"\x55\xaa", "zeros"), ("unsigned", b"\xcc" * 512, "55 AA"),
    ("odd", b"\xcc" * 1000, "512 bytes"), ("empty", b"", "512 bytes"),
    ("fat", sector(b"\xeb\x3c\x90MSDOS5.0", b"FAT16   ", 0x36), "FAT"),
    ("fat32", sector(b"\xeb\x58\x90MSDOS5.0", b"FAT32   ", 0x52), "FAT"),
    ("exfat", sector(b"\xeb\x76\x90EXFAT   ", b"", 0), "FAT"),
    ("one sector", windows_sectors()[:512], "8,192"),
    ("stub", formatted_elsewhere(b"\xcc" * 9 + b"This is not a bootable disk"), "formatted"),
    ("no code", formatted_elsewhere(b""), "formatted"),
])
def test_file_without_boot_code_is_refused(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    """With what is wrong with it, and nothing made."""
    (tmp_path / name).write_bytes(content)
    told = refused("no-boot-code", 4, "create", tmp_path / "new.vhd", "--size", SIZE, "--boot-code", tmp_path / name)
    assert why in told.err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_disks_without_boot_code_are_refused(tmp_path: Path) -> None:
    """One of ours, a disk where two volumes could be meant, one with an interrupted change."""
    old = tmp_path / "old.img"
    done("create", old, "--size", SIZE)
    assert "formatted" in refused("no-boot-code", 4, "create", tmp_path / "new.vhd", "--size", SIZE, "--boot-code",
                                  old, watching=(old,)).err
    raw = bytearray(old.read_bytes())
    raw[446:478] = bytes.fromhex("0020210007feffff0008000000400000") + bytes.fromhex(
        "0020210007feffff0048000000400000")
    raw[0x4800 * 512:0x4800 * 512 + 512] = raw[START:START + 512]
    old.write_bytes(raw)
    assert "2 volumes" in refused("no-boot-code", 4, "create", tmp_path / "new.vhd", "--size", SIZE, "--boot-code",
                                  old).err
    (tmp_path / "old.img.wimboot-log").write_bytes(b"")
    assert "recover" in refused("no-boot-code", 4, "create", tmp_path / "new.vhd", "--size", SIZE, "--boot-code",
                                f"{old}#1").err
    refused("no-target", 2, "create", tmp_path / "new.vhd", "--size", SIZE, "--boot-code", tmp_path / "none")


def test_the_same_thing_twice_is_refused(tmp_path: Path) -> None:
    """Nobody can tell which one is meant."""
    (tmp_path / "mbr").write_bytes(windows_mbr())
    (tmp_path / "boot").write_bytes(windows_sectors())
    for name in ("mbr", "boot"):
        refused("boot-code-twice", 2, "create", tmp_path / "new.vhd", "--size", SIZE, "--boot-code", tmp_path / name,
                "--boot-code", tmp_path / name)


def test_what_the_code_starts_is_looked_at(tmp_path: Path) -> None:
    """NTLDR's and others' are pointed out, bootmgr's is not; a disk without any is told of."""
    for name, start, told in (("xp", NTLDR, "NTLDR"), ("grub", b"GRUB", "not that of Windows"), ("7", BOOTMGR, "")):
        (tmp_path / name).write_bytes(windows_sectors(start))
        err = done("create", tmp_path / f"{name}.vhd", "--size", SIZE, "--boot-code", tmp_path / name).err
        assert (told in err, "warning" in err) == (True, bool(told))
        assert "no boot code before its table," in err
    assert "no boot code" in done("create", tmp_path / "bare.vhd", "--size", SIZE).err
    assert "no boot code" not in done("create", tmp_path / "gpt.vhd", "--size", SIZE, "--table", "gpt").err
