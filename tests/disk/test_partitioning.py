"""New partition tables: as sfdisk and sgdisk want them, aligned, and read back as they were laid out."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.disk import TableKind, read_table
from wimboot.disk.partitioning import NewTable, PartitionKind, TableNotPossible, lay_out
from wimboot.storage import HostFolder
from wimboot.storage.faults import MemoryFile

MIB = 1 << 20
SIZES = st.integers(8 << 11, 2040 << 21).map(lambda sectors: sectors * 512)


def written(table: NewTable, code: bytes = b"") -> MemoryFile:
    """A disk with that table and nothing else."""
    file = MemoryFile()
    file.truncate(table.size)
    for offset, data in table.pieces(code):
        file.pwrite(offset, data)
    return file


@given(SIZES, st.sampled_from([TableKind.MBR, TableKind.GPT]), st.booleans(), st.booleans(),
       st.integers(0, 3 * MIB))
def test_table_is_read_back_as_it_was_laid_out(size: int, kind: TableKind, esp: bool, msr: bool, tail: int) -> None:
    """Every partition begins on 1 MiB, the last one ends before the tail, and one MBR partition is active."""
    is_gpt = kind is TableKind.GPT
    try:
        table = lay_out(size, kind=kind, esp_size=100 * MIB * esp * is_gpt, msr_size=16 * MIB * msr * is_gpt, tail=tail)
    except TableNotPossible:
        assert size < 130 * MIB
        return
    found = read_table(written(table), where="new")
    assert (found.kind, found.disk_id, found.damage) == (kind, table.disk_id, "")
    assert [(one.number, one.start, one.size, one.type, one.id, one.guid) for one in found.partitions] == [
        (one.number, one.start, one.size, one.type, one.id, one.guid) for one in table.partitions]
    assert all(one.start % MIB == 0 for one in found.partitions)
    assert [one.active for one in found.partitions] == [not is_gpt] * len(found.partitions)
    last = table.windows
    assert size - max(tail, 33 * 512 * is_gpt) - MIB < last.start + last.size <= size - max(tail, 33 * 512 * is_gpt)
    assert [one.kind for one in table.partitions] == [
        one for one, there in ((PartitionKind.ESP, esp and is_gpt), (PartitionKind.MSR, msr and is_gpt),
                               (PartitionKind.WINDOWS, True)) if there]


def test_ids_are_random_or_those_given() -> None:
    """A signature is never zero; two disks are never the same."""
    made = {lay_out(64 * MIB, kind=kind).disk_id for kind in (TableKind.MBR, TableKind.GPT) for _ in range(20)}
    assert len(made) == 40
    for kind, given_id in ((TableKind.MBR, b"\x78\x56\x34\x12" + bytes(12)), (TableKind.GPT, bytes(range(16)))):
        table = lay_out(64 * MIB, kind=kind, disk_id=given_id)
        assert read_table(written(table), where="new").disk_id == given_id
    assert lay_out(64 * MIB, kind=TableKind.MBR, disk_id=b"\x78\x56\x34\x12" + bytes(12)).signature == 0x12345678


def test_boot_code_stands_before_the_table() -> None:
    """All 440 bytes, and nothing of it in the entries."""
    table = lay_out(64 * MIB, kind=TableKind.MBR)
    bare, with_code = (written(table, code).pread(0, 512) for code in (b"", b"\xcc" * 440))
    assert with_code == b"\xcc" * 440 + bare[440:]
    assert bare[:440] == bytes(440)


@pytest.mark.parametrize(("size", "options"), [
    (0, {}), (64 * MIB + 1, {}), (-512, {}), (3 * MIB, {}), (2 << 40, {}), (64 * MIB, {"kind": TableKind.NONE}),
    (64 * MIB, {"esp_size": 40 * MIB}), (64 * MIB, {"msr_size": 16 * MIB}), (64 * MIB, {"tail": -1}),
    (64 * MIB, {"tail": 62 * MIB}), (64 * MIB, {"disk_id": bytes(16)}), (64 * MIB, {"disk_id": b"x" * 16}),
    (64 * MIB, {"disk_id": b"x" * 4}), (64 * MIB, {"kind": TableKind.GPT, "esp_size": 63 * MIB}),
    (64 * MIB, {"kind": TableKind.GPT, "esp_size": 40 * MIB + 100}), (64 * MIB, {"kind": TableKind.GPT,
                                                                                "disk_id": bytes(16)}),
])
def test_impossible_disks_are_refused(size: int, options: dict[str, object]) -> None:
    """Too small, too large, not in sectors, partitions that an MBR has not, ids that are none."""
    if size == 2 << 40:
        lay_out(size - 512, kind=TableKind.MBR)
    with pytest.raises(TableNotPossible):
        lay_out(size, **{"kind": TableKind.MBR, **options})  # type: ignore[arg-type]  # wrong on purpose


def _run(*command: str | Path) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("size", [64 * MIB, 200 * MIB + 512, 15 << 30, 2040 << 30, (1 << 41) - 512])
@pytest.mark.parametrize("kind", [TableKind.MBR, TableKind.GPT])
def test_partitioners_find_nothing_wrong(tmp_path: Path, kind: TableKind, size: int) -> None:
    """Neither sfdisk nor, of a GPT, sgdisk; both see the partitions where they are."""
    large = kind is TableKind.GPT and size > 150 * MIB
    table = lay_out(size, kind=kind, esp_size=100 * MIB * large, msr_size=16 * MIB * large)
    path = tmp_path / "disk.img"
    file = HostFolder(tmp_path).create(path.name)
    file.truncate(size)
    for offset, data in table.pieces():
        file.pwrite(offset, data)
    file.close()
    assert "No errors detected" in _run("sfdisk", "--verify", path)
    seen = json.loads(_run("sfdisk", "--json", path))["partitiontable"]
    assert [(one["start"] * 512, one["size"] * 512) for one in seen["partitions"]] == [
        (one.start, one.size) for one in table.partitions]
    if kind is TableKind.MBR:
        assert (int(seen["id"], 16), seen["partitions"][0]["bootable"]) == (table.signature, True)
    else:
        assert "No problems found" in _run("sgdisk", "-v", path)
        assert [one["name"] for one in seen["partitions"]] == [one.kind.title for one in table.partitions]
