"""$Reparse with more entries than its root holds: each one that goes is gone, and no other."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from judges import sound_volume
from volume_rig import ROOT, TIMES, agrees, fresh_volume, opened, pointer, utf16

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 5000


def test_pointers_become_files_one_run_after_the_other(tmp_path: Path) -> None:
    """The volume is closed between the runs, so that nothing that was not written hides in memory."""
    path = fresh_volume(tmp_path / "volume.img", size=16 << 20)
    with opened(path) as volume:
        files = [volume.create_pointer(ROOT, utf16(f"file {number}"), b"", 0x20, TIMES, 0, SIZE, pointer(SIZE, number))
                 for number in range(300)]
    Random(1).shuffle(files)
    for number, file_id in enumerate(files, start=1):
        with opened(path) as volume:
            volume.remove_reparse(file_id)
        if number % 100 == 0:
            agrees(path)
    sound_volume(path)


def test_object_ids_are_removed_one_run_after_the_other(tmp_path: Path) -> None:
    """$ObjId is an index of the same kind."""
    path = fresh_volume(tmp_path / "volume.img", size=16 << 20)
    with opened(path) as volume:
        files = [volume.create_file(ROOT, utf16(f"file {number}"), b"", 0x20, TIMES, 0) for number in range(150)]
        for number, file_id in enumerate(files):
            volume.set_object_id(file_id, bytes([number]) * 16)
    for file_id in files[::2]:
        with opened(path) as volume:
            volume.set_object_id(file_id, b"")
    agrees(path)
