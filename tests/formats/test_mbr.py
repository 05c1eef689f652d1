"""Boot records and chains of logical partitions: as sfdisk writes them, and refused where they cannot be."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.mbr import ACTIVE, NO_CHS, Mbr, MbrEntry, MbrPartition, chs_of, mbr_partitions

NUMBERS = st.integers(0, 2**32 - 1)
ENTRIES = st.builds(
    MbrEntry, status=st.sampled_from([0, ACTIVE]), first_chs=st.binary(min_size=3, max_size=3),
    type=st.integers(0, 255), last_chs=st.binary(min_size=3, max_size=3), first_sector=NUMBERS, sectors=NUMBERS)
RECORDS = st.builds(
    Mbr, boot_code=st.binary(min_size=440, max_size=440), disk_signature=NUMBERS, reserved=st.integers(0, 0xFFFF),
    entries=st.tuples(ENTRIES, ENTRIES, ENTRIES, ENTRIES))


@given(RECORDS)
def test_record_comes_back_as_packed(mbr: Mbr) -> None:
    """Everything survives: boot code, signature, flags, CHS values, unknown types."""
    assert len(mbr.pack()) == 512
    assert Mbr.parse(mbr.pack()) == mbr


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_are_a_record_or_refused(data: bytes, signed: bool) -> None:
    """No bytes raise anything but FormatError; what parses packs to the same bytes."""
    if signed:
        data = data[:510].ljust(510, b"\0") + b"\x55\xaa"
    with contextlib.suppress(FormatError):
        assert Mbr.parse(data).pack() == data[:512]


@given(st.dictionaries(st.integers(0, 6), RECORDS, max_size=4), RECORDS)
def test_any_chain_ends_or_is_refused(records: dict[int, Mbr], first: Mbr) -> None:
    """Whatever stands in the sectors of a disk, the walk ends, and what it returns lies on the disk."""
    with contextlib.suppress(FormatError):
        for partition in mbr_partitions(first, lambda sector: records.get(sector % 7, first).pack(), 2**32):
            assert 0 < partition.first_sector <= partition.first_sector + partition.sectors <= 2**32


@given(st.integers(0, 2**32 - 1))
def test_chs_leads_back_to_its_sector(sector: int) -> None:
    """With 255 heads of 63 sectors; beyond cylinder 1023 there is only the value that says so."""
    head, packed, low = chs_of(sector)
    cylinder = (packed & 0xC0) << 2 | low
    if sector < 1024 * 255 * 63:
        assert (cylinder * 255 + head) * 63 + (packed & 0x3F) - 1 == sector
        assert head < 255
    else:
        assert chs_of(sector) == NO_CHS == b"\xfe\xff\xff"


def test_chs_is_what_windows_writes() -> None:
    """Into the entry of a VHD of 10 MiB (LBA 128 to 14463), and of a partition at 1 MiB."""
    assert chs_of(128) == bytes((2, 3, 0))
    assert chs_of(14463) == bytes((229, 37, 0))
    assert chs_of(2048) == b"\x20\x21\x00"


def run(program: str, *arguments: str, text: str = "") -> str:
    """Another program's answer."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    return subprocess.run([program, *arguments], input=text, text=True, capture_output=True, check=True).stdout


LAYOUTS = {
    "empty": "label: dos\nlabel-id: 0x00000000\n",
    "one": "label: dos\nlabel-id: 0x1234abcd\n2048,20480,7,*\n",
    "four": "label: dos\nlabel-id: 0xffffffff\n63,1000,6\n2048,2048,27\n8192,4096,7,*\n16384,100,83\n",
    "logical": "label: dos\nlabel-id: 0xcafe0001\n2048,4096,7,*\n8192,100000,5\n10240,2048,7\n14336,4096,83\n"
               "20480,70000,7\n",
    "extended LBA first": "label: dos\nlabel-id: 0xcafe0002\n2048,50000,f\n60000,4096,7\n4096,2048,7\n8192,2048,b\n",
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_partitions_are_those_that_sfdisk_tells(tmp_path: Path, layout: str) -> None:
    """Numbers, places, types and active flags agree with sfdisk's own reading of what it wrote."""
    disk = tmp_path / "disk.img"
    disk.touch()
    with disk.open("r+b") as file:
        file.truncate(64 << 20)
    run("sfdisk", "--no-reread", "--no-tell-kernel", str(disk), text=layout)
    told = json.loads(run("sfdisk", "--json", str(disk)))["partitiontable"]
    data = disk.read_bytes()
    mbr = Mbr.parse(data)
    found = mbr_partitions(mbr, lambda sector: data[sector * 512:sector * 512 + 512], len(data) // 512)
    assert mbr.disk_signature == int(told["id"], 16)
    assert {(part.number, part.first_sector, part.sectors, part.type, part.active) for part in found} == {
        (int(part["node"].removeprefix(str(disk))), part["start"], part["size"], int(part["type"], 16),
         part.get("bootable", False)) for part in told.get("partitions", [])}


def test_many_logical_partitions_are_numbered_in_order(tmp_path: Path) -> None:
    """A chain of 50 is walked to its end."""
    disk = tmp_path / "disk.img"
    with disk.open("wb") as file:
        file.truncate(256 << 20)
    lines = "label: dos\n2048,500000,5\n" + "".join(f"{4096 + 8192 * place},4096,7\n" for place in range(50))
    run("sfdisk", "--no-reread", "--no-tell-kernel", str(disk), text=lines)
    data = disk.read_bytes()
    found = mbr_partitions(Mbr.parse(data), lambda sector: data[sector * 512:sector * 512 + 512], len(data) // 512)
    assert [part.number for part in found] == [1, *range(5, 55)]
    assert [part.first_sector for part in found[1:]] == [4096 + 8192 * place for place in range(50)]


def record(*entries: tuple[int, int, int]) -> Mbr:
    """A record of (type, first sector, sectors)."""
    given_ones = [MbrEntry(type=kind, first_sector=first, sectors=count) for kind, first, count in entries]
    one, two, three, four = (*given_ones, *(MbrEntry(),) * (4 - len(entries)))
    return Mbr(entries=(one, two, three, four))


def walk(first: Mbr, chain: dict[int, Mbr], size: int = 100_000) -> tuple[MbrPartition, ...]:
    """The partitions of a made-up disk; sectors that are not given are empty records."""
    return mbr_partitions(first, lambda sector: chain.get(sector, Mbr()).pack(), size)


@pytest.mark.parametrize(("first", "chain"), [
    (record((7, 2048, 99_000)), {}),
    (record((7, 0, 100)), {}),
    (record((7, 100, 1000), (7, 1000, 1000)), {}),
    (record((5, 1000, 5000)), {1000: record((7, 63, 100), (5, 0, 100))}),
    (record((5, 1000, 5000)), {1000: record((7, 63, 100), (5, 1000, 100)), 2000: record((7, 63, 100), (5, 1000, 100))}),
    (record((5, 1000, 5000)), {1000: record((7, 63, 100), (5, 6000, 100))}),
    (record((5, 1000, 5000)), {1000: record((7, 63, 10_000))}),
    (record((5, 1000, 5000)), {1000: record((7, 0, 100))}),
    (record((5, 1000, 5000)), {1000: record((7, 63, 2000), (5, 1000, 500)), 2000: record((7, 63, 100))}),
], ids=["past the disk", "on the MBR", "overlap", "chain to itself", "circle", "chain leaves", "logical leaves",
        "on its EBR", "logical overlap"])
def test_impossible_partitions_are_refused(first: Mbr, chain: dict[int, Mbr]) -> None:
    """None of these is clamped or followed."""
    with pytest.raises(FormatError):
        walk(first, chain)


def test_endless_chain_is_refused() -> None:
    """A chain that always goes on is cut at a limit, not at the end of the disk."""
    chain = {1000 + 10 * place: record((7, 1, 5), (5, 10 * (place + 1), 10)) for place in range(5000)}
    asked = []

    def read(sector: int) -> bytes:
        asked.append(sector)
        return chain[sector].pack()

    with pytest.raises(FormatError, match="does not end"):
        mbr_partitions(record((5, 1000, 90_000)), read, 100_000)
    assert len(asked) < 300


def test_fat_boot_sector_is_no_mbr() -> None:
    """A boot sector ends in 55 AA too; its text where the entries would be gives it away."""
    sector = bytearray(512)
    sector[3:11] = b"MSDOS5.0"
    sector[440:510] = b"Remove disks or other media.  Press any key to restart    NTLDR     12"[:70]
    sector[510:] = b"\x55\xaa"
    with pytest.raises(FormatError):
        Mbr.parse(bytes(sector))
