"""A disk in extents of a file: reads, writes, and what of the file is free."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.disk._mapped import MappedDisk
from wimboot.errors import HostError, Internal
from wimboot.storage import FileDevice
from wimboot.storage.faults import Image, MemoryFile


@pytest.mark.parametrize("extents", [[], [(0, 10, 0)], [(0, 10, 0), (11, 9, None)], [(0, 20, -1)], [(0, 21, 0)]])
def test_extents_that_are_no_disk_are_a_bug(extents: list[tuple[int, int, int | None]]) -> None:
    """They lie in a row and reach the end."""
    with pytest.raises(Internal):
        MappedDisk(FileDevice(MemoryFile(Image(bytes(100)))), 20, extents)


def test_bytes_without_a_place_cannot_be_written() -> None:
    """Nor can bytes that are not there."""
    disk = MappedDisk(FileDevice(MemoryFile(Image(b"a" * 100))), 20, [(0, 10, 50), (10, 10, None)])
    disk.pwrite(0, b"b" * 10)
    for start, size in ((9, 2), (15, 1), (19, 2), (-1, 1)):
        with pytest.raises(HostError):
            disk.pwrite(start, b"c" * size)
    assert disk.pread(0, 30) == b"b" * 9 + b"c" + bytes(10)
    assert disk.places(8, 2) == [(58, 2)]
    assert disk.places(8, 3) is None
    assert disk.places(15, 6) is None


@given(st.data())
def test_free_pages_are_those_of_free_clusters(data: st.DataObject) -> None:
    """As a byte-for-byte look has them."""
    pages = data.draw(st.permutations(range(1, 7)))
    cuts = sorted(data.draw(st.sets(st.integers(1, 39), max_size=5)))
    bounds = list(zip([0, *cuts], [*cuts, 40], strict=True))
    extents: list[tuple[int, int, int | None]] = []
    for number, (start, end) in enumerate(bounds):
        place = pages[number] * 40_960 + data.draw(st.sampled_from([0, 512, 4096]))
        extents.append((start * 1024, (end - start) * 1024, None if data.draw(st.booleans()) else place))
    unit, first = data.draw(st.sampled_from([512, 1024, 4096, 8192])), data.draw(st.sampled_from([0, 512, 2048]))
    count = (40 * 1024 - first) // unit
    bitmap = data.draw(st.binary(min_size=10, max_size=10))
    disk = MappedDisk(FileDevice(MemoryFile(Image(bytes(300_000)))), 40 * 1024, extents)
    bits, total = disk.free_pages(first, unit, bitmap, count)
    assert total == 300_000 // 4096
    free = set()
    for start, size, where in extents:
        for byte in range(start, start + size, 512) if where is not None else ():
            cluster = (byte - first) // unit
            if byte >= first and cluster < count and not bitmap[cluster // 8] >> cluster % 8 & 1:
                free.add((where or 0) + byte - start)
    found = {page for page in range(total) if not bits[page // 8] >> page % 8 & 1}
    assert found == {page for page in range(total) if all(page * 4096 + part in free for part in range(0, 4096, 512))}
    with pytest.raises(Internal):
        disk.free_pages(first, unit, bitmap, count + 1000)
