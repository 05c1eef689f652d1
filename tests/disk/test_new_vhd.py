"""The disk of a dynamic VHD while it is made: what was written is read back, by others too, and no byte is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhd_judge import judge_vhd, libvhdi_reads
from wimboot.disk.newvhd import NewVhdDisk
from wimboot.disk.vhdcreate import create_vhd
from wimboot.errors import HostError, Internal
from wimboot.formats.vhdfooter import DiskType, Footer, geometry_of
from wimboot.storage import File, HostFolder
from wimboot.storage.faults import MemoryFile

SIZE, BLOCK = 5 * 4096 * 4 + 512, 4096 * 4
FOOTER = Footer(type=DiskType.DYNAMIC, size=SIZE, original_size=SIZE, geometry=geometry_of(SIZE), unique_id=b"u" * 16,
                data_offset=512)
WRITES = st.lists(st.tuples(st.integers(0, SIZE - 1), st.binary(min_size=1, max_size=64), st.integers(1, 900)),
                  max_size=12)


class Appending(MemoryFile):
    """A file in which nobody leaves a hole."""

    def pwrite(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        assert offset <= self.size(), "a hole"
        super().pwrite(offset, data)


@given(WRITES)
def test_what_was_written_is_on_the_disk(writes: list[tuple[int, bytes, int]]) -> None:
    """In whatever order, over one another and across blocks; the judge of the format reads the same, without holes."""
    file, model = Appending(), bytearray(SIZE)
    disk = NewVhdDisk(file, FOOTER, BLOCK)
    for offset, piece, times in writes:
        data = (piece * times)[:SIZE - offset]
        disk.pwrite(offset, data)
        model[offset:offset + len(data)] = data
        start = max(0, offset - 9)
        assert disk.pread(start, len(data) + 99) == model[start:start + len(data) + 99]
    assert disk.pread(0, SIZE + 7) == model
    disk.finish()
    judged = judge_vhd(file.pread(0, file.size()))
    assert judged.disk == model
    assert judged.blocks <= sum(any(model[at:at + BLOCK]) for at in range(0, SIZE, BLOCK)) + len(writes)


def test_blocks_of_zeros_are_left_out() -> None:
    """Also those that were written, as a formatter writes them."""
    file = Appending()
    disk = NewVhdDisk(file, FOOTER, BLOCK)
    disk.pwrite(0, bytes(3 * BLOCK))
    disk.pwrite(SIZE - 1, b"x")
    disk.finish()
    assert judge_vhd(file.pread(0, file.size())).blocks == 1


def test_nothing_is_written_past_the_end() -> None:
    """A disk does not grow."""
    disk = NewVhdDisk(Appending(), FOOTER, BLOCK)
    with pytest.raises(Internal):
        disk.pwrite(SIZE - 3, b"four")
    with pytest.raises(HostError):
        disk.truncate(SIZE + 1)
    assert (disk.size(), disk.pread(SIZE, 4)) == (SIZE, b"")


@pytest.mark.parametrize("kind", [DiskType.FIXED, DiskType.DYNAMIC])
def test_filled_vhd_is_what_others_read(tmp_path: Path, kind: DiskType) -> None:
    """The filler sees a file of the disk's size; libvhdi reads what it wrote; the file has no holes."""
    size = 9 << 20

    def fill(file: File) -> None:
        assert (file.size(), file.pread(size - 4, 9)) == (size, bytes(4))
        file.pwrite(size - 7, b"the end")
        file.pwrite((4 << 20) - 3, b"across")
        with pytest.raises(Internal):
            file.pwrite(size - 2, b"more")
        with pytest.raises(HostError):
            file.truncate(0)
        file.sync()
        file.close()
        assert file.pread(size - 7, 99) == b"the end"

    told = create_vhd(HostFolder(tmp_path), "filled.vhd", kind=kind, size=size, fill=fill)
    path = tmp_path / "filled.vhd"
    assert told == path.stat().st_size <= path.stat().st_blocks * 512
    expected = bytearray(size)
    expected[-7:] = b"the end"
    expected[(4 << 20) - 3:(4 << 20) + 3] = b"across"
    assert judge_vhd(path.read_bytes()).disk == expected == libvhdi_reads(path)
