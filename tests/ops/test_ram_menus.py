"""The menu that a RAM image's entry goes into is that of the moment when it is written, whoever wrote there before."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from ram_systems import PLACE, Seven
from wimboot.disk.folderlock import folder_lock
from wimboot.disk.locking import Locked
from wimboot.disk.packing import Packing, pack_disk
from wimboot.events import silent
from wimboot.formats.grubmenu import MenuKind, image_entry
from wimboot.ops import ram as op
from wimboot.ops.ram import MadeRam, make_ram
from wimboot.ops.ramming.menu import change_menu, write_menu
from wimboot.ops.ramming.options import RamOptions

MINE = b"title mine\nchainloader /bootmgr\n"


def make(seven: Seven, folder: Path) -> MadeRam:
    """An image in the folder whose menu has its entry."""
    return make_ram(RamOptions(
        out=folder / "a.gz", wim=seven.wim, image="1", wim_place=PLACE, driver="none", size=64 << 20,
        packing=Packing.GZIP, menu=folder / "menu.lst", menu_path="/a.gz"), silent)


def while_packing(monkeypatch: pytest.MonkeyPatch, menu: Path, data: bytes) -> None:
    """Let another program write the menu then."""
    def pack(*arguments: Any) -> None:
        menu.write_bytes(data)
        pack_disk(*arguments)

    monkeypatch.setattr(op, "pack_disk", pack)


def test_entries_written_meanwhile_stay(seven: Seven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making the image takes minutes; the menu that another run wrote then gets the entry too, with nothing lost."""
    menu = tmp_path / "menu.lst"
    menu.write_bytes(b"title old\n")
    while_packing(monkeypatch, menu, MINE)
    assert make(seven, tmp_path).menu_changed
    assert menu.read_bytes().startswith(MINE)
    assert b"/a.gz" in menu.read_bytes()
    assert b"title old" not in menu.read_bytes()


def test_a_menu_made_meanwhile_stays(seven: Seven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There was none when the run began."""
    while_packing(monkeypatch, tmp_path / "menu.lst", MINE)
    make(seven, tmp_path)
    assert (tmp_path / "menu.lst").read_bytes().startswith(MINE)


def test_an_entry_put_in_meanwhile_is_not_put_in_twice(
        seven: Seven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told is what was done: nothing was changed."""
    make(seven, tmp_path)
    menu, once = tmp_path / "menu.lst", (tmp_path / "menu.lst").read_bytes()
    menu.unlink()
    (tmp_path / "a.gz").unlink()
    while_packing(monkeypatch, menu, once)
    assert not make(seven, tmp_path).menu_changed
    assert menu.read_bytes() == once


def test_entries_put_in_at_once_are_all_there(tmp_path: Path) -> None:
    """Eight runs that are done at the same moment."""
    path = tmp_path / "menu.lst"
    menus = [change_menu(path, image_entry(f"/{number}.ram", MenuKind.BIOS, title=None, new_title=f"system {number}"))
             for number in range(8)]
    failed: list[Exception] = []
    begin = threading.Barrier(len(menus))

    def put(number: int) -> None:
        begin.wait()
        try:
            write_menu(menus[number])
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(len(menus))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert all(f"title system {number}".encode() in path.read_bytes() for number in range(len(menus)))
    assert [each.name for each in tmp_path.iterdir()] == ["menu.lst"]


def test_a_menu_that_another_run_is_writing_is_left_alone(tmp_path: Path) -> None:
    """With its half-written file."""
    path = tmp_path / "menu.lst"
    path.write_bytes(MINE)
    menu = change_menu(path, image_entry("/a.ram", MenuKind.BIOS, title=None, new_title="a"))
    (tmp_path / "menu.lst.wimboot-new").write_bytes(b"half")
    with folder_lock(tmp_path, "menu.lst", "the menu"), pytest.raises(Locked, match=r"menu\.lst is being used"):
        write_menu(menu)
    assert path.read_bytes() == MINE
    assert (tmp_path / "menu.lst.wimboot-new").read_bytes() == b"half"
    write_menu(menu)
    assert [each.name for each in tmp_path.iterdir()] == ["menu.lst"]
