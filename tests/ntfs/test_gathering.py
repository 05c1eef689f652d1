"""Volumes whose own files lie together: other programs find them sound, and their end is one free stretch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from judges import sound_volume
from volume_rig import ROOT, TIMES, opened, utf16
from wimboot.disk.unused import FreeMap
from wimboot.errors import FormatError
from wimboot.ntfs import cluster_bitmap, volume_facts
from wimboot.ntfs.format import copy_formatted, format_volume
from wimboot.ntfs.gathering import gather
from wimboot.storage import FileDevice, HostFile
from wimboot.storage.memory import MemoryFolder

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.storage import File


_ROOMY = 16 << 20


def used_end(device: File) -> int:
    """Where the last cluster in use ends."""
    facts = volume_facts(device)
    return FreeMap(start=0, unit_size=facts.cluster_size, bitmap=cluster_bitmap(device),
                   count=facts.total_clusters).used_end


@pytest.mark.parametrize(("size", "cluster_size"), [
    (2 << 20, 512), (5 << 20, 4096), (16 << 20, 4096), ((40 << 20) + 512, 512), ((40 << 20) - 512, 4096),
    (40 << 20, 65536), (300 << 20, 4096), (300 << 20, 1024)])
def test_a_gathered_volume_is_sound_and_ends_early(tmp_path: Path, size: int, cluster_size: int) -> None:
    """Nothing but room for $MFT and the volume's own files; what lay there before does not shine through.

    Of a volume with no room for that it stays as it is.
    """
    path = tmp_path / "disk.img"
    path.write_bytes(os.urandom(1 << 20) * (-(-size >> 20)))
    os.truncate(path, size)
    device = FileDevice(HostFile.open(path, write=True))
    with format_volume(size, cluster_size=cluster_size, serial=0x1122334455667788, folder=tmp_path) as made:
        before, own = used_end(made.file), volume_facts(made.file)
        gather(made.file)
        copy_formatted(made, device)
    facts = volume_facts(device)
    assert facts.free_clusters == own.free_clusters
    taken = (facts.total_clusters - facts.free_clusters) * cluster_size
    assert used_end(device) <= before
    if size >= _ROOMY:
        assert used_end(device) <= size // 8 + taken + 8 * cluster_size < before
    with path.open("rb") as file:
        first = file.read(512)
        file.seek(-512, os.SEEK_END)
        assert file.read() == first
    sound_volume(path)
    with opened(path) as volume:
        assert volume.serial == 0x1122334455667788
        for number in range(200):
            file_id = volume.create_file(ROOT, utf16(f"file {number}"), b"", 0x20, TIMES, 0)
            volume.write_data(file_id, b"", [b"x" * 300], 300)
    sound_volume(path)


def test_what_lies_together_stays(tmp_path: Path) -> None:
    """A second time changes nothing."""
    with format_volume(40 << 20, folder=tmp_path) as made:
        gather(made.file)
        once = made.file.pread(0, 40 << 20)
        gather(made.file)
        assert made.file.pread(0, 40 << 20) == once


def test_what_is_no_new_volume_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written where a structure is not as mkntfs makes it."""
    with format_volume(4 << 20, folder=tmp_path) as made:
        good = made.file.pread(0, 4 << 20)
    facts_at = good.index(b"FILE") + 2 * 1024 + 510     # $LogFile's record: the update sequence's end of a sector
    broken = good[:facts_at] + b"??" + good[facts_at + 2:]
    file = MemoryFolder().create("volume")
    file.pwrite(0, broken)
    with pytest.raises(FormatError):
        gather(file)
