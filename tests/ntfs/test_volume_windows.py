"""A volume that Windows formatted and filled takes our changes."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from index_judge import index_problems, open_volume, read_records
from judges import VOLUME_JUDGES
from mounting import mounted
from volume_rig import ROOT, TIMES, descriptor, opened, pointer, utf16

SAMPLE = Path(__file__).parents[2].parent / "shared/samples/vhd/windows-fixed.vhd.xz"
SECTOR, START = 512, 128


@pytest.fixture
def windows_volume(tmp_path: Path) -> Path:
    if not SAMPLE.exists():
        pytest.skip("the VHD made by Windows is not beside the checkout")
    raw = lzma.decompress(SAMPLE.read_bytes())[START * SECTOR:]
    sectors = int.from_bytes(raw[40:48], "little") + 1
    path = tmp_path / "windows.img"
    path.write_bytes(raw[:sectors * SECTOR])
    return path


def test_a_volume_of_windows_is_changed_soundly(windows_volume: Path) -> None:
    """Its file becomes a pointer and comes back, new files join; no judge finds more than before."""
    before = index_problems(windows_volume)
    with open_volume(windows_volume) as view:
        notepad = next(record for record in read_records(view).values()
                       if any(name.shown == "notepad.exe" for name in record.names))
    with opened(windows_volume) as volume:
        content = volume.read(notepad.reference)
        volume.point(notepad.reference, pointer(len(content)), len(content))
        security = volume.security_id(descriptor())
        folder = volume.create_folder(ROOT, utf16("new folder"), utf16("NEWFOL~1"), 0x10, TIMES, security)
        for number in range(100):
            volume.create_pointer(folder, utf16(f"pointer {number}"), b"", 0x20, TIMES, security, 9999, pointer(9999))
        volume.rename(notepad.reference, ROOT, utf16("notepad.exe"), folder, utf16("Notepad.exe"))
    _judge(windows_volume, before)
    with opened(windows_volume) as volume:
        volume.write_data(notepad.reference, b"", [content], len(content))
    _judge(windows_volume, before)
    with mounted(windows_volume) as root:
        assert (root / "new folder" / "Notepad.exe").read_bytes() == content


def _judge(path: Path, before: list[str]) -> None:
    assert index_problems(path) == before, "what Windows left is all there is"
    for name, judge in VOLUME_JUDGES.items():
        if name != "indexes":
            judge(path, 0)
