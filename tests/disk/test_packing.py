"""Disks packed into one file: other programs unpack them, and what comes out is a fixed VHD of the same disk."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import lz4.frame
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vhd_judge import judge_vhd
from wimboot.disk import packing
from wimboot.disk.lz4disk import Lz4Disk
from wimboot.disk.packing import Lz4Missing, Packing, PackingOptions, TooLargeForGzip, check_packing, pack_disk
from wimboot.disk.vhdcreate import create_vhd
from wimboot.disk.vhdlayout import read_layout
from wimboot.events import Counter
from wimboot.formats.vhdfooter import DiskType, Footer
from wimboot.storage import File, HostFile, HostFolder

SIZE = (19 << 20) + 512
"""Neither whole pieces of 4 MiB nor whole blocks."""


@pytest.fixture
def contents() -> bytes:
    """A disk with a little at its start, in its middle and at its very end."""
    disk = bytearray(SIZE)
    disk[:6] = b"start\xff"
    disk[5 << 20:(5 << 20) + 100_000] = b"\xff" * 50_000 + bytes(range(250)) * 200
    disk[-5:] = b"\xffend\xff"
    return bytes(disk)


@pytest.fixture
def source(tmp_path: Path, contents: bytes) -> HostFile:
    """That disk in a dynamic VHD."""
    def fill(file: File) -> None:
        file.pwrite(0, contents[:100])
        file.pwrite(5 << 20, contents[5 << 20:6 << 20])
        file.pwrite(SIZE - 5, contents[-5:])

    create_vhd(HostFolder(tmp_path), "source.vhd", kind=DiskType.DYNAMIC, size=SIZE, fill=fill, where="source.vhd")
    return HostFile.open(tmp_path / "source.vhd")


def packed(source: HostFile, out: Path, kind: Packing, threads: int = 2, *, thorough: bool = False,
           end: int | None = None) -> bytes:
    """The bytes of the file that is made."""
    file, counter = HostFolder(out.parent).create(out.name), Counter()
    options = PackingOptions(packing=kind, threads=threads, thorough=thorough, end=end)
    pack_disk(source, read_layout(source, "source.vhd"), file, options, counter)
    file.close()
    assert counter.done in (SIZE if end is None else end, (SIZE if end is None else end) + 512)
    return out.read_bytes()


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("kind", [Packing.LZ4, Packing.GZIP, Packing.FIXED])
def test_a_fixed_vhd_comes_out(source: HostFile, contents: bytes, tmp_path: Path, kind: Packing, threads: int) -> None:
    """The disk to the byte, and the footer of a fixed one behind it."""
    data = packed(source, tmp_path / "out", kind, threads)
    unpack = {Packing.LZ4: lz4.frame.decompress, Packing.GZIP: gzip.decompress, Packing.FIXED: bytes}[kind]
    out = unpack(data)
    assert out[:SIZE] == contents
    footer = Footer.parse(out[SIZE:])
    assert len(out) == SIZE + 512
    assert (footer.type, footer.size) == (DiskType.FIXED, SIZE)
    assert kind is Packing.FIXED or len(data) < 180_000
    judge_vhd(out)


@given(end=st.integers(0, SIZE), kind=st.sampled_from([Packing.LZ4, Packing.GZIP, Packing.FIXED]))
@example(end=8 << 20, kind=Packing.LZ4)
@example(end=SIZE, kind=Packing.GZIP)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_disk_is_packed_up_to_any_byte(source: HostFile, contents: bytes, tmp_path: Path, end: int, kind: Packing,
                                         ) -> None:
    """The footer behind it is that of the whole disk; what LZ4 packed is read again with zeros for the rest."""
    (tmp_path / "out").unlink(missing_ok=True)
    data = packed(source, tmp_path / "out", kind, end=end)
    unpack = {Packing.LZ4: lz4.frame.decompress, Packing.GZIP: gzip.decompress, Packing.FIXED: bytes}[kind]
    out = unpack(data)
    assert out[:end] == contents[:end]
    assert (len(out), Footer.parse(out[end:]).size) == (end + 512, SIZE)
    if kind is Packing.LZ4 and end:
        disk = Lz4Disk(HostFile.open(tmp_path / "out"))
        assert disk.size() == SIZE
        for offset in (0, max(0, end - 600), end, SIZE - 100):
            assert disk.pread(offset, 1000) == (contents[:end] + bytes(SIZE - end))[offset:offset + 1000]


@pytest.mark.parametrize("kind", [Packing.LZ4, Packing.GZIP])
def test_what_is_packed_thoroughly_is_smaller(source: HostFile, contents: bytes, tmp_path: Path, kind: Packing) -> None:
    """And the same when it is unpacked."""
    plain, small = packed(source, tmp_path / "a", kind), packed(source, tmp_path / "b", kind, thorough=True)
    assert len(small) <= len(plain)
    unpack = {Packing.LZ4: lz4.frame.decompress, Packing.GZIP: gzip.decompress}[kind]
    assert unpack(small) == unpack(plain)
    assert unpack(small)[:SIZE] == contents


def test_the_content_size_stands_in_the_frame(source: HostFile, tmp_path: Path) -> None:
    """grub4dos takes no frame without it, and blocks of 4 MiB at most."""
    packed(source, tmp_path / "out", Packing.LZ4)
    info = lz4.frame.get_frame_info((tmp_path / "out").read_bytes())
    assert info["content_size"] == SIZE + 512
    assert info["block_size"] == 4 << 20
    assert not info["block_linked"]


def test_a_dynamic_vhd_begins_with_its_footer(source: HostFile, contents: bytes, tmp_path: Path) -> None:
    """By which grub4dos knows it; there are only the blocks that hold something."""
    data = packed(source, tmp_path / "out.vhd", Packing.VHD)
    assert data[:8] == b"conectix"
    assert Footer.parse(data[:512]).type == DiskType.DYNAMIC
    assert len(data) < 4 * (2 << 20)
    assert judge_vhd(data).disk == contents


def test_gzip_is_refused_from_four_gigabytes_on() -> None:
    """Its size field has 32 bits, and grub4dos believes it."""
    check_packing(Packing.GZIP, (4 << 30) - 1024)
    with pytest.raises(TooLargeForGzip):
        check_packing(Packing.GZIP, (4 << 30) - 512)
    check_packing(Packing.FIXED, 5 << 30)


def test_without_the_package_lz4_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do; the other forms need no package."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "lz4"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lz4", None)
    with pytest.raises(Lz4Missing, match="lz4"):
        check_packing(Packing.LZ4, SIZE)
    check_packing(Packing.GZIP, SIZE)


def test_zeros_are_compressed_once(source: HostFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece in which the VHD has no block is neither read nor compressed again."""
    seen: list[int] = []
    real = packing.lz4_block()

    class Counting:
        @staticmethod
        def compress(source: bytes, *, mode: str = "default", compression: int = 0, store_size: bool) -> bytes:
            seen.append(len(source))
            return real.compress(source, mode=mode, compression=compression, store_size=store_size)

    monkeypatch.setattr(packing, "lz4_block", lambda: Counting)
    packed(source, tmp_path / "out", Packing.LZ4)
    assert sorted(seen) == sorted([4 << 20, 4 << 20, (3 << 20) + 1024, 4 << 20])    # three with data, one of zeros
