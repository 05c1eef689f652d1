"""Volumes whose file table is not sound: refused with what is wrong, never a crash, a hang or a half-read tree."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from record_bytes import copied, list_entry, outside, pack_record, patch_record, raw_record, resident
from tree_facts import scanned, tree_snapshot

from build import make_volume
from mounting import mounted
from sample_features import set_reparse, write_stream
from wimboot.errors import Error, FormatError
from wimboot.formats.ntfsrecord import unfix
from wimboot.ntfs._reader import Reader
from wimboot.ntfs._scan import DamagedVolume, cluster_bitmap, scan, volume_facts
from wimboot.ntfs.metafile import Metafiles
from wimboot.storage._device import FileDevice
from wimboot.storage.host import HostFile

FOLDER = 0x10000000


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small volume with two folders, a file of several records, and a few others."""
    image = tmp_path_factory.mktemp("sound") / "volume.img"
    make_volume(image, size=8 << 20)
    with mounted(image, write=True) as root:
        (root / "outer" / "inner").mkdir(parents=True)
        (root / "outer" / "inner" / "file").write_bytes(b"content" * 400)
        (root / "plain").write_bytes(b"p" * 10_000)
        (root / "small").write_bytes(b"small")
        for number in range(25):
            write_stream(root / "small", f"stream number {number}", bytes([number]) * 80)
        (root / "compact").write_bytes(b"")
        write_stream(root / "compact", "WofCompressedData", b"packed")
        with (root / "compact").open("r+b") as file:
            file.truncate(5000)
        set_reparse(root / "compact", 0x80000017, struct.pack("<IIII", 1, 2, 1, 0))
    scanned(image)
    return image


@pytest.fixture
def volume(sound: Path, tmp_path: Path) -> Path:
    """The test's own copy."""
    own = tmp_path / "volume.img"
    shutil.copy(sound, own)
    return own


def number_of(image: Path, path: str) -> int:
    """The record of a file."""
    tree, _ = scanned(image)
    return tree.file_id(tree.find(path)) & (1 << 48) - 1


def change(image: Path, number: int, edit: Callable[[bytearray], None], *, mark: bool = False) -> None:
    """Edit a record, its update sequence undone and put on again."""
    raw = raw_record(image, number)
    record = bytearray(unfix(raw))
    edit(record)
    start = struct.unpack_from("<H", record, 4)[0]
    for i in range(1, len(record) // 512 + 1):
        record[start + 2 * i:start + 2 * i + 2] = record[512 * i - 2:512 * i]
        record[512 * i - 2:512 * i] = raw[start:start + 2]
    patch_record(image, number, bytes(record), mark=mark)


def refused(image: Path) -> str:
    """What the scan says."""
    with pytest.raises(DamagedVolume) as caught:
        scanned(image)
    assert isinstance(caught.value.facts["count"], int)
    assert caught.value.hint
    return str(caught.value)


def test_a_folder_within_itself_is_refused(volume: Path) -> None:
    """outer lies in inner, which lies in outer: no walk up ends."""
    outer, inner = number_of(volume, "/outer"), number_of(volume, "/outer/inner")
    reference = struct.pack("<Q", struct.unpack_from("<H", raw_record(volume, inner), 16)[0] << 48 | inner)

    def edit(record: bytearray) -> None:
        at = bytes(record).index("outer".encode("utf-16-le")) - 66
        record[at:at + 8] = reference

    change(volume, outer, edit)
    assert "within itself" in refused(volume)


@pytest.mark.parametrize(("value", "words"), [
    (5000 << 48 | 5, "parent that does not exist"), (1 << 48 | 60_000, "parent that does not exist")])
def test_a_parent_that_is_not_there_is_refused(volume: Path, value: int, words: str) -> None:
    """Another sequence number than the folder's, a record past the end."""
    def edit(record: bytearray) -> None:
        at = bytes(record).index("plain".encode("utf-16-le")) - 66
        record[at:at + 8] = struct.pack("<Q", value)

    change(volume, number_of(volume, "/plain"), edit)
    assert words in refused(volume)


def test_a_parent_that_is_a_file_is_refused(volume: Path) -> None:
    """Files hold no files."""
    plain = number_of(volume, "/plain")
    reference = struct.unpack_from("<H", raw_record(volume, plain), 16)[0] << 48 | plain

    def edit(record: bytearray) -> None:
        at = bytes(record).index("inner".encode("utf-16-le")) - 66
        record[at:at + 8] = struct.pack("<Q", reference)

    change(volume, number_of(volume, "/outer/inner"), edit)
    assert "not a folder" in refused(volume)


def test_a_lost_extension_record_is_refused(volume: Path) -> None:
    """The attribute list tells of streams that a free record would have held."""
    number = number_of(volume, "/small")
    files = Metafiles(HostFile.open(volume))
    lost = [n for n in range(24, files.record_count) if raw_record(volume, n)[22] & 1 and files.record(n).base]
    bitmap = files.attribute(0, 0xB0)
    assert bitmap is not None
    change(volume, lost[0], lambda record: record.__setitem__(22, record[22] & ~1))
    with volume.open("r+b") as file:
        place = (bitmap.runs[0][0] or 0) * 4096 + lost[0] // 8
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes((byte & ~(1 << lost[0] % 8),)))
    said = refused(volume)
    assert f"record {number} does not agree with its attribute list" in said


def test_an_extension_of_nothing_is_refused(volume: Path) -> None:
    """A record in use that extends a file which has no attribute list."""
    free = Metafiles(HostFile.open(volume)).record_count - 1
    patch_record(volume, free, pack_record([resident(0x80, b"stray", "x")], number=free,
                                           base=number_of(volume, "/plain") | 1 << 48, links=0))
    assert "extends a file that does not exist" in refused(volume)


@pytest.mark.parametrize(("sequence", "words"), [(64, "attribute list"), (0, "attribute list")])
def test_an_attribute_list_that_leads_elsewhere_is_refused(volume: Path, sequence: int, words: str) -> None:
    """Each entry names a record of its own file, with its sequence number."""
    files = Metafiles(HostFile.open(volume))
    free = files.record_count - 1
    listed = b"".join((list_entry(0x10, 1 << 48 | free), list_entry(0x30, 1 << 48 | free),
                       list_entry(0x80, sequence << 48 | free)))
    plain = number_of(volume, "/plain")
    patch_record(volume, free, pack_record([*copied(volume, plain, 0x10), resident(0x20, listed),
                                            *copied(volume, plain, 0x30), resident(0x80, b"data")], number=free))
    assert words in refused(volume)


def test_records_in_use_by_one_account_only_are_refused(volume: Path) -> None:
    """$MFT's bitmap and the record's own flag must agree: the next new file would be written over it."""
    change(volume, number_of(volume, "/plain"), lambda record: record.__setitem__(22, record[22] & ~1))
    assert "by one account" in refused(volume)


def test_torn_records_are_refused(volume: Path) -> None:
    """The two sectors of a record were not written together."""
    number = number_of(volume, "/plain")
    record = bytearray(raw_record(volume, number))
    record[1023] ^= 0x55
    patch_record(volume, number, bytes(record), mark=False)
    assert "not written together" in refused(volume)


def test_an_unknown_security_id_is_refused(volume: Path) -> None:
    """The volume's store of descriptors does not know it."""
    number = number_of(volume, "/plain")
    information = struct.pack("<QQQQIIIIIIQQ", 1, 2, 3, 4, 0x20, 0, 0, 0, 0, 0xFFFF, 0, 0)
    sequence = struct.unpack_from("<H", raw_record(volume, number), 16)[0]
    patch_record(volume, number, pack_record(
        [resident(0x10, information), *copied(volume, number, 0x30, 0x50, 0x80)], number=number, sequence=sequence))
    assert "security id" in refused(volume)


@pytest.mark.parametrize("stream", ["gone", "other"])
def test_compact_files_without_their_data_are_refused(volume: Path, stream: str) -> None:
    """The stream that holds their content must be there: they are never read as zeros."""
    number = number_of(volume, "/compact")

    def edit(record: bytearray) -> None:
        at = bytes(record).index("WofCompressedData".encode("utf-16-le"))
        record[at] = ord("w") if stream == "other" else ord("X")

    change(volume, number, edit)
    assert "overlay data" in refused(volume)


@pytest.mark.parametrize(("attribute", "words"), [
    (outside(0x80, [(1 << 30, 3)], size=10_000, cluster=4096), "run list"),
    (outside(0x80, [(100, 2)], size=10_000, cluster=4096), "sizes do not fit"),
    (outside(0x80, [(100, 3)], size=10_000, initialized=10_001, cluster=4096), "sizes do not fit"),
    (outside(0x80, [(100, 3)], size=10_000, cluster=4096, lowest=7), "sizes do not fit"),
    (resident(0x80, b"one") + resident(0x80, b"two"), "the same attribute twice"),
    (resident(0xC0, b"12345678"), "reparse"),
    (b"\x80\0\0\0\x10\0\0\0" + bytes(8), "attribute that does not fit"),
    (b"\x80\0\0\0\0\0\0\x80" + bytes(24), "attribute that does not fit")])
def test_impossible_attributes_are_refused(volume: Path, attribute: bytes, words: str) -> None:
    """Runs past the end of the volume, more bytes than clusters, extents without a start, doubles, no length."""
    number = number_of(volume, "/plain")
    sequence = struct.unpack_from("<H", raw_record(volume, number), 16)[0]
    patch_record(volume, number, pack_record([*copied(volume, number, 0x10, 0x30), attribute], number=number,
                                             sequence=sequence))
    assert words in refused(volume)


def test_all_errors_are_counted_and_the_first_told(volume: Path) -> None:
    """The user hears of every one before repairing."""
    for number in [number_of(volume, path) for path in ("/plain", "/outer/inner/file")]:
        change(volume, number, lambda record: record.__setitem__(25, 0xFF))
    with pytest.raises(DamagedVolume) as caught:
        scanned(volume)
    assert caught.value.facts["count"] == 2
    assert len(caught.value.facts["problems"]) == 2  # type: ignore[arg-type]  # a tuple


class Bytes:
    """A volume in memory."""

    def __init__(self, data: bytearray) -> None:
        self.data = data

    def pread(self, offset: int, size: int) -> bytes:
        """A piece of it."""
        return bytes(self.data[offset:offset + size])

    def size(self) -> int:
        """Of the volume."""
        return len(self.data)


def _spoil(record: bytearray, chance: Random) -> None:
    used = max(64, min(struct.unpack_from("<I", record, 24)[0], len(record)))
    for _ in range(chance.choice((1, 1, 2, 4))):
        size = chance.choice((1, 2, 4, 8))
        at = chance.randrange(0, used) & -size
        if not 48 <= at < 56:
            worst = (0, 1, (1 << 8 * size) - 1, 1 << 8 * size - 1, len(record), chance.getrandbits(8 * size))
            record[at:at + size] = (chance.choice(worst) & (1 << 8 * size) - 1).to_bytes(size, "little")


@pytest.mark.parametrize("rounds", [300, pytest.param(6000, marks=pytest.mark.heavy)])
def test_random_damage_is_refused_or_read(sound: Path, rounds: int) -> None:
    """Records changed at random with a sound update sequence: an Error, or a tree that can be walked and read."""
    data = bytearray(sound.read_bytes())
    files = Metafiles(Bytes(data))  # type: ignore[arg-type]  # it only reads
    places = [files.mft.place(n * 1024)[0] or 0 for n in range(files.record_count)]
    places = [place for place in places if data[place + 22] & 1]
    accepted = 0
    for seed in range(rounds):
        chance = Random(seed)
        place = chance.choice(places)
        before = bytes(data[place:place + 1024])
        record = bytearray(unfix(before))
        _spoil(record, chance)
        for i in (1, 2):
            record[48 + 2 * i:50 + 2 * i] = record[512 * i - 2:512 * i]
            record[512 * i - 2:512 * i] = record[48:50]
        data[place:place + 1024] = record
        device = FileDevice(Bytes(data))  # type: ignore[arg-type]  # it only reads
        try:
            tree = scan(device)
            tree_snapshot(tree, Reader(device, tree, None))
            volume_facts(device)
            cluster_bitmap(device)
            accepted += 1
        except Error:
            pass
        data[place:place + 1024] = before
    assert 0 < accepted < rounds


def test_a_volume_without_its_root_is_refused(volume: Path) -> None:
    """Everything hangs from it."""
    change(volume, 5, lambda record: record.__setitem__(22, 0))
    with pytest.raises((FormatError, DamagedVolume)):
        scanned(volume)
