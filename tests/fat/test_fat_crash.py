"""A FAT volume changed inside a transaction: whatever stops it, it is old or new, and says so while neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from fat_judge import sound_fat
from wimboot.disk import Recovered, Transaction, recover
from wimboot.fat import FatVolume, format_volume
from wimboot.storage import File, Folder
from wimboot.storage.faults import Image, MemoryFolder, Model, Recorder, states

SIZES = {"fat12": 1 << 20, "fat16": 8 << 20, "fat32": 34 << 20}
HEAD = 1 << 20
"""What is written lies in it; comparing it is faster than comparing the whole volume."""
FILES = {r"EFI\Microsoft\Boot\BCD": b"new store" * 3000, r"EFI\Boot\bootx64.efi": b"loader" * 9000, "bootmgr": b"",
         r"Boot\zh-CN\bootmgr.exe.mui": "启动".encode() * 999, r"Boot\Fonts\中文.ttf": b"font" * 5000}


def run_in(folder: Folder) -> None:
    """Boot files written, replaced and removed, in a transaction whose guards say that the volume is in use."""
    file: File = folder.open("esp.img", write=True)
    with Transaction(file, folder, "log", where="esp.img", batch_pages=4) as transaction:
        opened = FatVolume(transaction.device, write=True)
        for offset, mark in opened.dirty_marks:
            transaction.guard(offset, mark)
        for path, data in FILES.items():
            opened.write(path, data)
        opened.remove(r"old\menu.lst")
        opened.remove("old")
        opened.flush()
        transaction.commit()


@pytest.fixture(scope="module", params=SIZES)
def old(request: pytest.FixtureRequest) -> Image:
    """A volume with some files in it."""
    image = Image(size=SIZES[request.param])
    folder = MemoryFolder({"esp.img": image})
    file = folder.open("esp.img", write=True)
    format_volume(file, image.size, serial=1, label="esp")
    with FatVolume(file, write=True) as opened:
        opened.write(r"EFI\Microsoft\Boot\BCD", b"old store" * 2000)
        opened.write("bootmgr", b"old" * 20_000)
        opened.write(r"old\menu.lst", b"title old\n" * 100)
    return image


@pytest.mark.parametrize("model", Model)
def test_volume_is_old_or_new_after_any_crash(model: Model, old: Image, tmp_path: Path) -> None:
    """At every write; before the recovery it is old, new, or marked as one that was not unmounted."""
    recorder = Recorder()
    folder = recorder.folder(MemoryFolder({"esp.img": old.copy()}), "here")
    run_in(folder)
    *_, last = states(recorder, Model.KILL, points=[recorder.point])
    new, before = last.folders["here"]["esp.img"].read(0, HEAD), old.read(0, HEAD)
    assert last.folders["here"]["esp.img"].read(HEAD, old.size) == old.read(HEAD, old.size)     # nothing lies there
    last.folders["here"]["esp.img"].save(tmp_path / "new.img")
    sound_fat(tmp_path / "new.img", {path.replace("\\", "/"): data for path, data in FILES.items()})
    found = set()
    for state in states(recorder, model):
        after = state.folder("here")
        image = after.images["esp.img"]
        held = image.read(0, HEAD)
        if held not in (before, new):
            assert model is Model.SECTOR or FatVolume(after.open("esp.img")).dirty, state.key
        file = after.open("esp.img", write=True)
        recovered = recover(file, after, "log", where="esp.img")
        assert image.read(0, HEAD) in (before, new), state.key
        found.add((recovered, image.read(0, HEAD) == new))
        assert not after.exists("log"), state.key
    assert {(Recovered.DROPPED, False), (Recovered.COMPLETED, True)} <= found
