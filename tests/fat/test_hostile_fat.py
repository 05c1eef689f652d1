"""FAT volumes that lie: refused by name, in bounded time and memory, never followed for ever."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wimboot.errors import Error
from wimboot.fat import FatVolume, format_volume
from wimboot.fat.refusals import ExFat, FatDamaged, NotFat
from wimboot.formats.fatboot import FatBoot
from wimboot.formats.fatdir import DirEntry, DosAttribute, split_long
from wimboot.storage.memory import Image, MemoryFile

SIZE = 34 << 20
SMALL = 200 << 10


def made(size: int = SIZE) -> MemoryFile:
    """A volume with a few files and folders."""
    file = MemoryFile(Image(size=size))
    format_volume(file, size, serial=1)
    with FatVolume(file, write=True) as opened:
        opened.write(r"EFI\Boot\bootx64.efi", b"b" * 5000)
        opened.write("first", b"1" * 2000)
        opened.write("second", b"2" * 2000)
    return file


SOUND = made()
SOUND_SMALL = made(SMALL)


@pytest.fixture
def file() -> MemoryFile:
    """A FAT32 volume of the test's own."""
    return MemoryFile(SOUND.image.copy())


class Damage:
    """Places of the FAT32 volume above."""

    boot = FatBoot.parse(SOUND.pread(0, 512))

    @classmethod
    def link(cls, file: MemoryFile, cluster: int, value: int) -> None:
        """Set an entry of both FATs."""
        for number in range(2):
            file.pwrite(cls.boot.fat_offset + number * cls.boot.fat_size + 4 * cluster, struct.pack("<I", value))

    @classmethod
    def cluster(cls, cluster: int) -> int:
        """Byte of a cluster."""
        return cls.boot.data_offset + (cluster - 2) * 512

    @classmethod
    def first(cls, file: MemoryFile, name: bytes, folder: int = 2) -> int:
        """First cluster of a name in a folder of one cluster."""
        raw = file.pread(cls.cluster(folder), 512)
        entry = DirEntry.parse(raw, raw.index(name))
        return entry.cluster

    @classmethod
    def entry(cls, file: MemoryFile, name: bytes, entry: DirEntry) -> None:
        """Overwrite an entry of the root folder."""
        at = cls.cluster(2)
        file.pwrite(at + file.pread(at, 512).index(name), entry.pack())


def loop(file: MemoryFile) -> None:
    """A file whose last cluster leads to its first."""
    first = Damage.first(file, b"FIRST")
    Damage.link(file, first + 3, first)


def folder_loop(file: MemoryFile) -> None:
    """The root folder goes on in itself."""
    Damage.link(file, 2, 2)


def cross(file: MemoryFile) -> None:
    """Two files that share clusters."""
    Damage.link(file, Damage.first(file, b"FIRST") + 1, Damage.first(file, b"SECOND") + 2)


def outside(file: MemoryFile) -> None:
    """A chain that leads out of the volume."""
    Damage.link(file, Damage.first(file, b"FIRST"), 0x0FFF_FFF0)


def free(file: MemoryFile) -> None:
    """A chain that leads to a free cluster."""
    Damage.link(file, Damage.first(file, b"FIRST"), 0)


def bad(file: MemoryFile) -> None:
    """A chain that leads to a bad cluster."""
    Damage.link(file, Damage.first(file, b"FIRST"), 0x0FFF_FFF7)


def short(file: MemoryFile) -> None:
    """More bytes than clusters."""
    first = Damage.first(file, b"FIRST")
    Damage.entry(file, b"FIRST", DirEntry(name=b"FIRST      ", attributes=0x20, cluster=first, size=0xFFFF_FFFF))


def own_parent(file: MemoryFile) -> None:
    """A folder that holds itself: the root."""
    Damage.entry(file, b"FIRST", DirEntry(name=b"FIRST      ", attributes=0x10, cluster=2))


def no_cluster(file: MemoryFile) -> None:
    """A folder without clusters."""
    Damage.entry(file, b"FIRST", DirEntry(name=b"FIRST      ", attributes=0x10))


def wild_cluster(file: MemoryFile) -> None:
    """A file in a cluster that no volume has."""
    Damage.entry(file, b"FIRST", DirEntry(name=b"FIRST      ", attributes=0x20, cluster=0xFFFF_FFFF, size=1))


def twice(file: MemoryFile) -> None:
    """A name that its folder has twice."""
    Damage.entry(file, b"FIRST", DirEntry(name=b"SECOND     ", attributes=0x20))


def no_name(file: MemoryFile) -> None:
    """A name that leads elsewhere."""
    Damage.entry(file, b"FIRST", DirEntry(name=b"A/../X     ", attributes=0x20))


def blank_name(file: MemoryFile) -> None:
    """A name of blanks."""
    Damage.entry(file, b"FIRST", DirEntry(name=b"           ", attributes=0x20))


def two_fats(file: MemoryFile) -> None:
    """FATs that are not the same."""
    file.pwrite(Damage.boot.fat_offset + 4000, b"\1")


def deep(file: MemoryFile) -> None:
    """Folders within folders beyond all measure."""
    inner = DirEntry(name=b"X          ", attributes=0x10)
    clusters = range(1000, 1200)
    Damage.entry(file, b"FIRST", DirEntry(name=b"DEEP       ", attributes=0x10, cluster=1000))
    for cluster in clusters:
        Damage.link(file, cluster, 0x0FFF_FFFF)
        file.pwrite(Damage.cluster(cluster), DirEntry(name=inner.name, attributes=0x10, cluster=cluster + 1).pack())


def endless_folder(file: MemoryFile) -> None:
    """A folder of more entries than a folder has."""
    full = DirEntry(name=b"\xe5          ", attributes=0x20).pack() * 16
    for cluster in range(10_000, 15_000):
        Damage.link(file, cluster, cluster + 1)
        file.pwrite(Damage.cluster(cluster), full)
    Damage.link(file, 15_000, 0x0FFF_FFFF)
    Damage.link(file, 2, 10_000)


@pytest.mark.parametrize(("damage", "told"), [
    (loop, "circle"), (folder_loop, "circle"), (cross, "another"), (outside, "none"), (free, "free"), (bad, "none"),
    (short, "bytes, and"), (own_parent, "another"), (no_cluster, "without clusters"), (wild_cluster, "none"),
    (twice, "twice"), (no_name, "no name"), (blank_name, "no name"), (two_fats, "not the same"), (deep, "deep"),
    (endless_folder, "more than"),
])
def test_damage_is_refused_before_anything_is_written(
    damage: Callable[[MemoryFile], None], told: str, file: MemoryFile,
) -> None:
    """Every kind of damage is found by the look at the whole volume, and told with where it is."""
    damage(file)
    before = file.image.copy()
    with pytest.raises(FatDamaged, match=told) as caught:
        FatVolume(file, write=True, where="disk.img#1")
    assert str(caught.value).startswith("disk.img#1 is damaged at \\")
    assert file.pread(0, SIZE) == before.read(0, SIZE)


@pytest.mark.parametrize("damage", [loop, outside, free, bad, short, wild_cluster])
def test_damaged_files_are_not_read(damage: Callable[[MemoryFile], None], file: MemoryFile) -> None:
    """A volume that is only read refuses the file concerned, and gives the others."""
    damage(file)
    opened = FatVolume(file)
    with pytest.raises(FatDamaged):
        opened.read("first", limit=1 << 40)
    assert opened.read("second") == b"2" * 2000


@pytest.mark.parametrize("damage", [folder_loop, endless_folder, no_name])
def test_damaged_folders_are_not_listed(damage: Callable[[MemoryFile], None], file: MemoryFile) -> None:
    """A folder without end is none."""
    damage(file)
    with pytest.raises(FatDamaged):
        FatVolume(file).list()


def test_folder_without_cluster_is_not_the_root(file: MemoryFile) -> None:
    """On any FAT the first cluster 0 stands for the root in `..` only."""
    no_cluster(file)
    with pytest.raises(FatDamaged):
        FatVolume(file).list("first")


def test_parts_of_long_names_left_behind_mean_nothing(file: MemoryFile) -> None:
    """What belongs to no short name is passed over, as every system does, and stays."""
    lost = split_long("lost name.txt".encode("utf-16-le"), b"OTHER      ")
    raw = file.pread(Damage.cluster(2), 512)
    at = raw.index(b"SECOND")
    moved = b"".join(part.pack() for part in lost) + raw[at:at + 32]
    file.pwrite(Damage.cluster(2) + at, moved)
    with FatVolume(file, write=True) as opened:
        assert [entry.name for entry in opened.list()] == ["EFI", "first", "second"]
        opened.write("second", b"new")
        opened.write("a third one", b"3")
    opened = FatVolume(file)
    assert opened.read("second") == b"new"
    assert lost[0].pack() in file.pread(Damage.cluster(2), 512)


def test_parts_left_behind_hide_no_name(file: MemoryFile) -> None:
    """Those of a lost name right before the parts of another one are not taken for its own."""
    lost = split_long("lost name.txt".encode("utf-16-le"), b"OTHER      ")
    kept = split_long("a kept name.txt".encode("utf-16-le"), b"SECOND     ")
    raw = file.pread(Damage.cluster(2), 512)
    at = raw.index(b"SECOND")
    moved = b"".join(part.pack() for part in (*lost, *kept)) + raw[at:at + 32]
    file.pwrite(Damage.cluster(2) + at, moved)
    with FatVolume(file, write=True) as opened:
        assert opened.read("a kept name.txt") == b"2" * 2000
        opened.remove("A kept name.txt")
    assert [entry.name for entry in FatVolume(file).list()] == ["EFI", "first"]


def test_garbage_behind_the_end_stays_hidden(file: MemoryFile) -> None:
    """A new name that takes the slot which ended its folder ends it again."""
    ghost = DirEntry(name=b"GHOST      ", attributes=DosAttribute.ARCHIVE, cluster=9, size=1).pack()
    at = Damage.cluster(2)
    raw = file.pread(at, 512)
    end = next(place for place in range(0, 512, 32) if not raw[place])
    file.pwrite(at + end + 32, ghost * 3)
    with FatVolume(file, write=True) as opened:
        opened.write("new", b"")
    assert [entry.name for entry in FatVolume(file).list()] == ["EFI", "first", "second", "new"]


@pytest.mark.parametrize(("raw", "error"), [
    (b"", NotFat), (bytes(512), NotFat), (b"\xeb\x52\x90NTFS    " + bytes(499) + b"\x55\xaa", NotFat),
    (b"\xeb\x76\x90EXFAT   " + bytes(499) + b"\x55\xaa", ExFat),
])
def test_other_volumes_are_refused(raw: bytes, error: type[Error]) -> None:
    """exFAT by its name; what is no FAT with why it is none."""
    with pytest.raises(error):
        FatVolume(MemoryFile(Image(raw)))


class Cut(MemoryFile):
    """Says that it is longer than what can be read of it."""

    def size(self) -> int:
        return SIZE


@pytest.mark.parametrize("size", [4096, Damage.boot.fat_offset + 8192, Damage.boot.data_offset + 100])
def test_device_that_ends_early_is_told(size: int) -> None:
    """In the reserved sectors, in the FAT, in the root folder."""
    cut = Cut(Image(SOUND.pread(0, size)))
    for write in (False, True):
        with pytest.raises(FatDamaged, match="cut short"):
            FatVolume(cut, write=write).list()


def test_volume_longer_than_its_device_is_refused(file: MemoryFile) -> None:
    """What lies behind the end cannot be read, so nothing is."""
    file.truncate(SIZE - 1)
    with pytest.raises(NotFat, match="only"):
        FatVolume(file)


@given(st.lists(st.tuples(st.integers(0, 40_000), st.binary(min_size=1, max_size=40)), min_size=1, max_size=6))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_any_damage_is_an_error_of_ours(places: list[tuple[int, bytes]]) -> None:
    """Bytes at will over boot sector, FATs, folders: it works, or is refused; never a crash, never an endless loop."""
    file = MemoryFile(SOUND_SMALL.image.copy())
    for offset, noise in places:
        file.pwrite(offset, noise)
    try:
        opened = FatVolume(file)
        _walk(opened)
    except Error:
        pass
    try:
        with FatVolume(file, write=True) as opened:
            opened.write(r"EFI\Boot\bootx64.efi", b"n" * 9000)
            opened.write("new name.txt", b"x" * 3000)
            opened.remove("first")
    except Error:
        return
    opened = FatVolume(file)
    assert opened.read(r"EFI\Boot\bootx64.efi") == b"n" * 9000
    assert opened.read("new name.txt") == b"x" * 3000


def _walk(opened: FatVolume) -> None:
    waiting = [""]
    for _ in range(100):
        if not waiting:
            return
        path = waiting.pop()
        for entry in opened.list(path):
            inner = f"{path}\\{entry.name}"
            if entry.is_folder:
                waiting.append(inner)
            else:
                opened.read(inner)
