"""Files and folders on FAT volumes: what is written is what every judge reads, and the room is kept in order."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fat_judge import run, sound_fat
from mounting import UTF_8
from wimboot.fat import FatEntry, FatVolume, format_volume
from wimboot.fat.refusals import (
    FatClosed,
    FatDirty,
    FatFileTooLarge,
    FatFolderNotEmpty,
    FatFull,
    FatNameNotPossible,
    FatNotAFile,
    FatNotAFolder,
    FatReadOnly,
    FatRootFull,
    FatTooLarge,
)
from wimboot.formats.fatboot import FatBoot, FsInfo
from wimboot.storage import Data, HostFile, HostFolder
from wimboot.storage.memory import Image, MemoryFile

MIB = 1 << 20
SIZES = {"fat12": MIB, "fat16": 8 * MIB, "fat32": 34 * MIB}
NOW = datetime(2026, 11, 22, 18, 30, 42, tzinfo=UTC)
NAMES = ["bootmgr", "BOOTMGR.EFI", "bootmgr.exe.mui", "segmono_boot.ttf", "中文 文件.txt", "é.x", "a b.c d",
         "\U0001d518nicode", "x" * 255, ".hidden", "many.dots.in.it", "Zz~1", "boot[1].ini", "no=eq,u+al;s"]


@pytest.fixture(params=SIZES)
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An empty volume of each kind."""
    path = tmp_path / f"{request.param}.img"
    file = HostFolder(tmp_path).create(path.name)
    file.truncate(SIZES[request.param])
    format_volume(file, SIZES[request.param], label="TEST", serial=1)
    file.close()
    return path


@contextmanager
def volume(image: Path, *, write: bool = True) -> Iterator[FatVolume]:
    """That volume, opened."""
    file = HostFile.open(image, write=write)
    try:
        with FatVolume(file, write=write, where="the volume", now=lambda: NOW) as opened:
            yield opened
    finally:
        file.close()


def content(name: str, size: int) -> bytes:
    """Bytes of their own for each name."""
    line = name.encode() + b"|"
    return (line * (size // len(line) + 1))[:size]


def test_names_are_read_by_every_judge(image: Path) -> None:
    """Long, short, Chinese and odd ones; what mtools and 7z read is what was written."""
    files = {name: content(name, 100 * number) for number, name in enumerate(NAMES)}
    files |= {f"EFI/Microsoft/Boot/zh-CN/{name}": data[:50] for name, data in files.items()}
    with volume(image) as opened:
        for path, data in files.items():
            opened.write(path.replace("/", "\\"), data)
    sound_fat(image, files)
    with volume(image, write=False) as opened:
        for path, data in files.items():
            assert opened.read(path.upper() if path.isascii() else path) == data
        assert {entry.name for entry in opened.list()} == {*NAMES, "EFI"}
        assert opened.list("efi/microsoft") == (FatEntry(name="Boot", is_folder=True, size=0, attributes=0x10),)


def test_files_of_mtools_are_read_and_replaced(image: Path, tmp_path: Path) -> None:
    """What another program made is found by both of its names, keeps them, and has its new content."""
    source = tmp_path / "bootmgr.exe.mui"
    source.write_bytes(b"old" * 1000)
    run("mmd", "-i", image, "::/Boot", "::/Boot/de-DE")
    run("mcopy", "-i", image, source, "::/Boot/de-DE/bootmgr.exe.mui")
    with volume(image) as opened:
        assert opened.read(r"\boot\DE-de\BOOTMG~1.MUI") == b"old" * 1000
        opened.write(r"\BOOT\de-de\bootmgr.EXE.mui", b"new" * 3000)
        opened.write(r"\Boot\de-DE\memtest.exe.mui", b"")
    sound_fat(image, {"Boot/de-DE/bootmgr.exe.mui": b"new" * 3000, "Boot/de-DE/memtest.exe.mui": b""})


def test_free_clusters_come_back(image: Path) -> None:
    """Shrinking, growing, removing: at the end there is as much room as in the beginning, and FSInfo says so."""
    with volume(image) as opened:
        before = opened.free_size
        opened.write("grow", b"x" * 5000)
        opened.write("other", b"y" * 5000)
        opened.write("grow", b"z" * 20_000)
        assert opened.free_size < before - 25_000
        opened.write("grow", b"z")
        opened.write("other", b"")
        assert opened.free_size >= before - opened.boot.cluster_size
    sound_fat(image, {"grow": b"z", "other": b""})
    with volume(image) as opened:
        opened.make_folder(r"a\b")
        with pytest.raises(FatFolderNotEmpty):
            opened.remove("a")
        for path in ("grow", "other", r"a\b", "a", "none"):
            opened.remove(path)
        assert opened.free_size == before
        boot = opened.boot
    if boot.fsinfo_sector is not None:
        info = FsInfo.parse(image.read_bytes()[boot.fsinfo_sector * 512:][:512])
        assert info.free_clusters * boot.cluster_size == before
    sound_fat(image, {})


def test_full_volume_takes_exactly_what_fits(image: Path) -> None:
    """The last cluster can be used; a byte more is refused before anything is written."""
    with volume(image) as opened:
        free = opened.free_size
        opened.write("most", b"m" * free)
        assert opened.free_size == 0
        opened.write("most", b"n" * free)   # in its own clusters
        opened.write("empty", b"")
    before = image.read_bytes()
    with volume(image) as opened:
        for path, size in (("one", 1), ("most", free + 1), (r"folder\file", 0)):
            with pytest.raises(FatFull):
                opened.write(path, b"1" * size)
        with pytest.raises(FatFull):
            opened.make_folder("folder")
        assert opened.read("most") == b"n" * free
    assert image.read_bytes() == before
    sound_fat(image, {"most": b"n" * free, "empty": b""})


def test_room_is_told_to_the_cluster(image: Path) -> None:
    """What `require_room` lets pass can be written, what it refuses cannot: folders and long names counted."""
    wanted = {f"{folder}\\{name}": 700 for folder in ("fonts", r"EFI\Boot", "EFI\\" + "y" * 200) for name in NAMES}
    with volume(image) as opened:
        cluster = opened.boot.cluster_size
        for number in range(300):
            opened.write(f"spare\\{number}", b".")
        opened.write("fill", b"f" * opened.free_size)
        for number in range(300):
            try:
                opened.require_room(wanted)
                break
            except FatFull:
                opened.remove(f"spare\\{number}")
        assert opened.free_size > len(wanted) * cluster
        for path, size in wanted.items():
            opened.write(path, b"w" * size)
        assert opened.free_size == 0
    sound_fat(image)


def test_scattered_room_is_used(image: Path) -> None:
    """A file gets the clusters that are left between others."""
    with volume(image) as opened:
        cluster = opened.boot.cluster_size
        for number in range(40):
            opened.write(f"f{number}", b"." * cluster)
        opened.write("rest", b"r" * opened.free_size)
        for number in range(0, 40, 2):
            opened.remove(f"f{number}")
        opened.write("scattered", content("scattered", 20 * cluster - 3))
        assert opened.free_size == 0
        assert opened.read("scattered") == content("scattered", 20 * cluster - 3)
    sound_fat(image)


def test_times_and_attributes_are_kept(image: Path) -> None:
    """A new file is made now; a replaced one keeps when it was made, and its attributes unless others are given."""
    with volume(image) as opened:
        opened.write("hidden", b"1", attributes=0x27)
        opened.write("plain", b"1")
        opened.write("hidden", b"2")
        assert {entry.name: entry.attributes for entry in opened.list()} == {"hidden": 0x27, "plain": 0x20}
        opened.write("hidden", b"3", attributes=0xFF)
        assert {entry.attributes for entry in opened.list()} == {0x27, 0x20}
    said = run("mdir", "-a", "-i", image, "::").decode()
    assert said.count("2026-11-22  18:30") == 2
    assert b"2026-11-22 18:30:42" in run("7z", "l", image)


def test_root_of_fixed_size_gets_full(tmp_path: Path) -> None:
    """The root of FAT16 has 512 entries; folders in it have room for more."""
    file = MemoryFile(Image(size=8 * MIB))
    format_volume(file, 8 * MIB, label="TEST")
    with FatVolume(file, write=True) as opened:
        opened.make_folder("inner")
        for number in range(510):
            opened.write(f"f{number}", b"")
        with pytest.raises(FatRootFull):
            opened.write("last", b"")
        with pytest.raises(FatRootFull):
            opened.require_room({"one": 1})
        opened.remove("f7")
        opened.write("last", b"")
        for number in range(180):       # of four entries each
            opened.write(f"inner\\a long name for number {number}", b"")
    file.image.save(tmp_path / "root.img")
    sound_fat(tmp_path / "root.img")


def test_what_cannot_be_is_refused(image: Path) -> None:
    """Files for folders, folders for files, names that no system can open, too many bytes."""
    with volume(image) as opened:
        opened.write(r"folder\file", b"1")
        before = opened.free_size
        with pytest.raises(FatNotAFolder):
            opened.write(r"folder\file\x", b"")
        with pytest.raises(FatNotAFolder):
            opened.make_folder(r"folder\file")
        for path in ("folder", "\\"):
            with pytest.raises(FatNotAFile):
                opened.write(path, b"")
        with pytest.raises(FatFolderNotEmpty):
            opened.remove("\\")
        for path in ("a:b", r"x\..\y", "dot.", "nul", "x" * 256, "a?"):
            with pytest.raises(FatNameNotPossible):
                opened.write(path, b"")
        with pytest.raises(FatFileTooLarge):
            opened.write("huge", Huge())
        with pytest.raises(FatFileTooLarge):
            opened.read(r"folder\file", limit=0)
        assert opened.free_size == before
        assert opened.read("folder") is None
        assert opened.read("none") is None
        assert opened.size("folder") is None
        assert opened.exists("FOLDER")
        assert not opened.is_folder(r"folder\file")
        assert opened.list(r"folder\file") == ()
    with volume(image, write=False) as opened, pytest.raises(FatReadOnly):
        opened.write("x", b"")
    sound_fat(image, {"folder/file": b"1"})


class Huge(bytes):
    """Says that it has 4 GiB."""

    def __len__(self) -> int:
        return 1 << 32


def test_volume_in_use_is_not_written(image: Path) -> None:
    """One that was not unmounted is refused, by its boot sector's mark or by that of its FAT; reading it goes on."""
    boot = FatBoot.parse(image.read_bytes()[:512])
    with volume(image) as opened:
        opened.write("x", b"1")
        marks = opened.dirty_marks
    assert len(marks) == (1 if boot.kind == 12 else 3)
    sound = image.read_bytes()
    for offset, mark in marks[:2]:
        with image.open("r+b") as file:
            file.seek(offset)
            file.write(mark)
        assert b"irty" in subprocess.run(["fsck.fat", "-n", image], env=UTF_8, capture_output=True, check=False).stdout
        with pytest.raises(FatDirty), volume(image):
            pass
        with volume(image, write=False) as opened:
            assert opened.read("x") == b"1"
            assert opened.dirty
        image.write_bytes(sound)


def test_unsound_fsinfo_is_left_alone() -> None:
    """What other systems would not read either is nobody's hint; the free clusters are counted."""
    size = 34 * MIB
    file = MemoryFile(Image(size=size))
    format_volume(file, size)
    free = FatVolume(file).free_size
    file.pwrite(512, b"something else")
    with FatVolume(file, write=True) as opened:
        opened.write("x", b"1" * 1000)
        assert opened.free_size == free - 1024
    assert file.pread(512, 14) == b"something else"
    assert FatVolume(file).free_size == free - 1024


def test_failed_change_closes_the_volume() -> None:
    """After a write that failed half-way nothing more is written."""
    ground = MemoryFile(Image(size=8 * MIB))
    format_volume(ground, 8 * MIB)
    failing = Failing(ground)
    with pytest.raises(OSError, match="a test"):
        failing.write_with(FatVolume(failing, write=True))


class Failing(MemoryFile):
    """Fails at its third write."""

    def __init__(self, file: MemoryFile) -> None:
        super().__init__(file.image)
        self.left = 3

    def pwrite(self, offset: int, data: Data) -> None:
        self.left -= 1
        if not self.left:
            raise OSError("a test")
        super().pwrite(offset, data)

    def write_with(self, opened: FatVolume) -> None:
        """Write, see that it is over, and fail as it did."""
        try:
            opened.write(r"a\b", b"x")
        except OSError:
            with pytest.raises(FatClosed):
                opened.write("c", b"")
            raise


def test_volume_of_too_many_clusters_is_not_written() -> None:
    """A FAT of 64 MiB and more is no system partition's; reading needs none of it in memory."""
    size = 10 << 30
    file = MemoryFile(Image(size=size))
    format_volume(file, size, cluster_size=512)
    with pytest.raises(FatTooLarge):
        FatVolume(file, write=True)
    assert FatVolume(file).list() == ()


def test_only_the_fat_in_use_is_written(tmp_path: Path) -> None:
    """A FAT32 volume may say that one of its FATs counts; the other one is left alone."""
    size = 34 * MIB
    file = MemoryFile(Image(size=size))
    boot = format_volume(file, size)
    file.pwrite(40, b"\x81\0")
    file.pwrite(6 * 512 + 40, b"\x81\0")
    first = file.pread(boot.fat_offset, boot.fat_size)
    with FatVolume(file, write=True) as opened:
        opened.write("x", b"1" * 1000)
    assert file.pread(boot.fat_offset, boot.fat_size) == first
    assert file.pread(boot.fat_offset + boot.fat_size + 12, 4) == b"\4\0\0\0"
    file.image.save(tmp_path / "one.img")
    assert FatVolume(file).read("x") == b"1" * 1000
