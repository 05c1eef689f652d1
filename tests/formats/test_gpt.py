"""GUID partition tables: as sgdisk and sfdisk write them, with either copy damaged, and hostile."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.gpt import Gpt, GptEntry, GptHeader, pack_gpt, protective_entry, read_gpt
from wimboot.formats.guid import guid_text
from wimboot.formats.mbr import Mbr

SECTORS = st.integers(0, 2**64 - 1)
GUIDS = st.binary(min_size=16, max_size=16)
NAMES = st.text(st.characters(codec="utf-16-le", exclude_characters="\0"), max_size=18)


@given(st.builds(GptHeader, sector=SECTORS, other_sector=SECTORS, first_usable=st.just(34),
                 last_usable=st.integers(34, 2**60), disk_guid=GUIDS, entries_sector=SECTORS,
                 entry_count=st.integers(0, 1000),
                 entry_size=st.sampled_from([128, 256, 512]), entries_crc=st.integers(0, 2**32 - 1)))
def test_header_comes_back_as_packed(header: GptHeader) -> None:
    """Every field survives."""
    assert GptHeader.parse(header.pack().ljust(512, b"\0")) == header


@given(st.builds(GptEntry, number=st.just(1), type_guid=GUIDS, guid=GUIDS, first_sector=SECTORS, last_sector=SECTORS,
                 attributes=SECTORS, name=NAMES))
def test_entry_comes_back_as_packed(entry: GptEntry) -> None:
    """So does every field of an entry, names beyond the first plane included."""
    assert GptEntry.parse(entry.pack(), 0, 1) == entry


@given(st.binary(max_size=600))
def test_any_bytes_are_a_header_or_refused(data: bytes) -> None:
    """No bytes raise anything but FormatError."""
    for candidate in (data, b"EFI PART\0\0\1\0" + data):
        with contextlib.suppress(FormatError):
            GptHeader.parse(candidate)


@given(st.data(), st.sampled_from([512, 4096]), st.integers(100, 5000))
def test_table_comes_back_from_either_end(data: st.DataObject, sector_size: int, sectors: int) -> None:
    """What is packed is read from the start of the disk, and from its end where the start is lost."""
    cuts = sorted(data.draw(st.sets(st.integers(40, sectors - 40), max_size=6)))
    entries = tuple(GptEntry(number=number, type_guid=b"t" * 16, guid=bytes([number]) * 16, first_sector=first,
                             last_sector=last - 1, name=data.draw(NAMES), attributes=data.draw(SECTORS))
                    for number, (first, last) in enumerate(itertools.pairwise(cuts), 1))
    disk = bytearray(sectors * sector_size)
    for sector, part in pack_gpt(b"d" * 16, entries, sectors, sector_size):
        disk[sector * sector_size:sector * sector_size + len(part)] = part

    def read(sector: int, count: int) -> bytes:
        return bytes(disk[sector * sector_size:(sector + count) * sector_size])

    found = read_gpt(read, sectors, sector_size)
    assert (found.entries, found.why, found.header.disk_guid) == (entries, "", b"d" * 16)
    disk[sector_size:6 * sector_size] = bytes(5 * sector_size)
    spare = read_gpt(read, sectors, sector_size)
    assert (spare.entries, bool(spare.why)) == (entries, True)


@pytest.mark.parametrize(("places", "sectors"), [
    ([(1, 34, 60), (1, 61, 70)], 200), ([(0, 34, 60)], 200), ([(129, 34, 60)], 200), ([(1, 34, 60), (2, 60, 70)], 200),
    ([(1, 33, 60)], 200), ([(1, 34, 167)], 200), ([(1, 60, 50)], 200), ([], 60),
])
def test_impossible_tables_are_not_packed(places: list[tuple[int, int, int]], sectors: int) -> None:
    """Numbers twice or beyond the array, entries that overlap or lie over the tables, a disk without room."""
    entries = [GptEntry(number=number, type_guid=b"t" * 16, guid=b"g" * 16, first_sector=first, last_sector=last)
               for number, first, last in places]
    with pytest.raises(FormatError):
        pack_gpt(b"d" * 16, entries, sectors)


def test_protective_entry_reaches_as_far_as_its_fields() -> None:
    """To the last sector by CHS and number; where they cannot, they say so."""
    assert protective_entry(2048).pack() == bytes.fromhex("00000200ee20200001000000ff070000")
    assert protective_entry(1 << 40).pack()[5:] == b"\xff\xff\xff\1\0\0\0\xff\xff\xff\xff"


@given(st.data())
def test_any_fields_under_right_checksums_are_refused_or_on_the_disk(data: st.DataObject) -> None:
    """A hostile table with right CRCs leads nowhere outside the disk and costs no memory."""
    numbers = st.one_of(st.integers(0, 80), SECTORS)
    rows = data.draw(st.lists(st.tuples(numbers, numbers), max_size=4))
    array = packed(rows)
    header = GptHeader(sector=data.draw(numbers), other_sector=data.draw(numbers), first_usable=data.draw(numbers),
                       last_usable=data.draw(numbers), disk_guid=bytes(16), entries_sector=2,
                       entry_count=data.draw(st.sampled_from([len(rows), 0, 2**32 - 1])),
                       entry_size=data.draw(st.sampled_from([128, 0, 1, 2**31])), entries_crc=zlib.crc32(array))
    disk = bytes(512) + header.pack().ljust(512, b"\0") + array.ljust(512 * 78, b"\0")
    with contextlib.suppress(FormatError):
        for entry in read(disk).entries:
            assert 0 <= entry.first_sector <= entry.last_sector < len(disk) // 512


def packed(places: list[tuple[int, int]]) -> bytes:
    """Entries at these first and last sectors."""
    return b"".join(GptEntry(number=1, type_guid=b"t" * 16, guid=bytes(16), first_sector=first, last_sector=last).pack()
                    for first, last in places)


def read(disk: bytes | bytearray, sector_size: int = 512) -> Gpt:
    """The table of a disk in memory; reads past its end are a bug of the reader."""
    def sectors(sector: int, count: int) -> bytes:
        assert 0 <= sector <= sector + count <= len(disk) // sector_size
        return bytes(disk[sector * sector_size:(sector + count) * sector_size])
    return read_gpt(sectors, len(disk) // sector_size, sector_size)


def run(program: str, *arguments: str, text: str = "") -> str:
    """Another program's answer."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    return subprocess.run([program, *arguments], input=text, text=True, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk as Windows has it, made by sgdisk."""
    path = tmp_path_factory.mktemp("gpt") / "disk.img"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    run("sgdisk", "--clear", "--new=1:2048:+10M", "--typecode=1:ef00", "--change-name=1:EFI system partition",
        "--new=2:0:+1M", "--typecode=2:0c01", "--new=5:0:+20M", "--typecode=5:0700",
        "--change-name=5:Größe des Volumes 漢", str(path))
    return path


def test_table_is_the_one_that_sfdisk_tells(disk: Path) -> None:
    """Disk GUID, numbers, places, types, GUIDs and names agree with another program's reading."""
    told = json.loads(run("sfdisk", "--json", str(disk)))["partitiontable"]
    data = disk.read_bytes()
    found = read(data)
    assert Mbr.parse(data).is_protective
    assert not found.why
    assert guid_text(found.header.disk_guid).upper() == told["id"]
    assert (found.header.first_usable, found.header.last_usable) == (told["firstlba"], told["lastlba"])
    assert [(entry.number, entry.first_sector, entry.sectors, guid_text(entry.type_guid).upper(),
             guid_text(entry.guid).upper(), entry.name) for entry in found.entries] == [
        (int(part["node"].removeprefix(str(disk))), part["start"], part["size"], part["type"], part["uuid"],
         part.get("name", "")) for part in told["partitions"]]
    assert [entry.number for entry in found.entries] == [1, 2, 5]


@pytest.mark.parametrize("offset", [512, 512 + 16, 512 + 56, 1024, 1024 + 130], ids=str)
def test_backup_stands_in_for_a_damaged_table(disk: Path, offset: int) -> None:
    """One flipped bit in the first header or its entries: the backup is used, and it is said why."""
    data = bytearray(disk.read_bytes())
    whole = read(bytes(data))
    data[offset] ^= 1
    found = read(bytes(data))
    assert found.entries == whole.entries
    assert found.header.disk_guid == whole.header.disk_guid
    assert "GPT" in found.why


def test_no_flip_in_a_table_goes_unnoticed(disk: Path) -> None:
    """Each bit of both headers' fields, and a sample of the entries': the other copy is used, never the wrong one."""
    data = bytearray(disk.read_bytes())
    whole = read(bytes(data))
    rng = random.Random(3)
    last = len(data) - 512
    array = last - 32 * 512
    data[512:1024] = bytes(512)
    for place in [*range(last, last + 92), *(array + rng.randrange(128 * 128) for _ in range(60))]:
        bit = 1 << rng.randrange(8)
        data[place] ^= bit
        with pytest.raises(FormatError):
            read(data)
        data[place] ^= bit
    assert read(data).entries == whole.entries


def test_both_copies_damaged_is_refused_for_the_first_ones_reason(disk: Path) -> None:
    """The error tells about the table that firmware reads."""
    data = bytearray(disk.read_bytes())
    data[512 + 70] ^= 1
    data[-512] ^= 1
    with pytest.raises(FormatError, match="CRC"):
        read(bytes(data))


def test_table_of_a_disk_with_large_sectors_is_read() -> None:
    """4,096-byte sectors: the header stands in the second of them."""
    entry = GptEntry(number=1, type_guid=b"t" * 16, guid=b"g" * 16, first_sector=10, last_sector=19, name="x")
    array = entry.pack().ljust(128 * 128, b"\0")
    header = GptHeader(sector=1, other_sector=99, first_usable=6, last_usable=90, disk_guid=b"d" * 16,
                       entries_sector=2, entries_crc=zlib.crc32(array))
    disk = bytes(4096) + header.pack().ljust(4096, b"\0") + array
    assert read(disk.ljust(100 * 4096, b"\0"), 4096).entries == (entry,)


@pytest.mark.parametrize("places", [[(40, 30)], [(20, 30)], [(40, 95)], [(40, 50), (50, 60)], [(40, 60), (45, 46)]],
                         ids=["backwards", "in the table", "past the usable end", "overlap", "one in the other"])
def test_impossible_partitions_are_refused(places: list[tuple[int, int]]) -> None:
    """Right CRCs do not make a wrong place right."""
    array = packed(places).ljust(128 * 128, b"\0")
    header = GptHeader(sector=1, other_sector=99, first_usable=34, last_usable=90, disk_guid=bytes(16),
                       entries_sector=2, entries_crc=zlib.crc32(array))
    disk = (bytes(512) + header.pack().ljust(512, b"\0") + array).ljust(512 * 100, b"\0")
    with pytest.raises(FormatError, match="partition"):
        read(disk)
    with pytest.raises(FormatError):
        read(disk[:512 * 4])


def test_name_too_long_for_an_entry_is_refused() -> None:
    """37 characters do not fit."""
    with pytest.raises(FormatError):
        GptEntry(number=1, type_guid=bytes(16), guid=bytes(16), first_sector=1, last_sector=1, name="x" * 37).pack()
