"""The boot sector of NTFS volumes."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.ntfsboot import BootSector


def boot(*, sector: int = 512, cluster: int = 8, total: int = 1 << 20, mft: int = 4, mirror: int = 100,
         record: int = -10, index: int = 1, name: bytes = b"NTFS    ") -> bytes:
    """A boot sector as mkntfs lays it out."""
    data = bytearray(512)
    data[3:11] = name
    struct.pack_into("<HB", data, 0x0B, sector, cluster & 0xFF)
    struct.pack_into("<I", data, 0x1C, 2048)
    struct.pack_into("<QQQb3xb3xQ", data, 0x28, total, mft, mirror, record, index, 0x1122334455667788)
    data[510:] = b"\x55\xaa"
    return bytes(data)


@pytest.mark.parametrize(("code", "size"), [(1, 512), (8, 4096), (128, 65536), (0xF8, 131_072), (0xF4, 2 << 20)])
def test_cluster_sizes_are_read_in_both_forms(code: int, size: int) -> None:
    """Up to 128 sectors a count, above it the exponent of one."""
    assert BootSector.parse(boot(cluster=code, index=-12)).cluster_size == size


@pytest.mark.parametrize(("code", "size"), [(-10, 1024), (-12, 4096), (1, 4096), (-9, 512), (2, 8192)])
def test_record_sizes_are_read_in_both_forms(code: int, size: int) -> None:
    """Positive: clusters; negative: the exponent of the size in bytes."""
    sector = BootSector.parse(boot(record=code, index=code))
    assert (sector.record_size, sector.index_size) == (size, size)


@pytest.mark.parametrize("change", [
    {"name": b"MSDOS5.0"}, {"sector": 0}, {"sector": 513}, {"sector": 8192}, {"cluster": 0}, {"cluster": 3},
    {"cluster": 0x81}, {"cluster": 0xE0}, {"total": 0}, {"total": 1 << 60}, {"total": 7}, {"mft": 0}, {"mft": 1 << 17},
    {"mirror": 1 << 40}, {"record": 0}, {"record": 127}, {"record": -1}, {"record": -128}, {"index": 3}, {"index": 0}])
def test_impossible_values_are_refused(change: dict[str, int]) -> None:
    """FormatError, for each field by itself."""
    with pytest.raises(FormatError):
        BootSector.parse(boot(**change))  # type: ignore[arg-type]  # the name is bytes


@given(st.binary(max_size=600))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    """Nothing but FormatError comes of bytes that are no boot sector."""
    try:
        BootSector.parse(data)
    except FormatError:
        return


@given(st.lists(st.tuples(st.integers(0, 0x53), st.integers(0, 255)), max_size=6))
def test_changed_bytes_are_parsed_or_refused(changes: list[tuple[int, int]]) -> None:
    """Nor of one with some bytes changed; what is accepted stays within NTFS' limits."""
    data = bytearray(boot())
    for at, value in changes:
        data[at] = value
    try:
        sector = BootSector.parse(bytes(data))
    except FormatError:
        return
    assert 512 <= sector.record_size <= 65536
    assert 512 <= sector.cluster_size <= 2 << 20
    assert 0 < sector.mft_lcn < sector.total_clusters


@pytest.mark.parametrize("cluster", [512, 4096, 65536])
def test_fields_are_those_that_mkntfs_was_told(tmp_path: Path, cluster: int) -> None:
    """Sizes, the partition's place and the volume's own size, which leaves out the backup of the boot sector."""
    image = tmp_path / "volume.img"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkntfs", "-q", "-Q", "-F", "-s", "512", "-c", str(cluster), "-p", "63", "-H", "255", "-S", "63",
                    str(image)], check=True, capture_output=True)
    with image.open("rb") as file:
        sector = BootSector.parse(file.read(512))
    assert (sector.sector_size, sector.cluster_size, sector.hidden_sectors) == (512, cluster, 63)
    assert (sector.record_size, sector.volume_size) == (1024, (16 << 20) - 512)
