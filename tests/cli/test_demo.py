"""`wimboot demo`: what somebody sees first has to go well, and to harm nothing."""

from __future__ import annotations

import errno
import shlex
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest

from judges import every_pointer_leads_home, sound_volume, sound_wim
from running import done, refused, wimboot
from wimboot.ops import demo
from wimboot.ops.sample.system import PARTITION_OFFSET, DemoSystem


def test_a_demo_takes_a_system_through_its_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Converted, updated, restored to either image; nothing in it needs an excuse, and what it leaves is sound."""
    monkeypatch.setattr(demo, "DemoSystem", partial(DemoSystem, size=160 << 20, files=60))
    folder = tmp_path / "new" / "demo"
    run = done("demo", folder, "--json")
    assert "warning" not in run.err
    stages = {stage["name"]: stage for stage in run.json["stages"]}
    assert list(stages) == ["built", "converted", "verified", "used", "updated", "damaged", "restored",
                            "back to the first", "verified again"]
    assert stages["converted"]["occupied_bytes"] < stages["built"]["occupied_bytes"] - 20_000_000
    assert stages["used"]["occupied_bytes"] - stages["updated"]["occupied_bytes"] > 3_000_000
    assert stages["updated"]["wim_bytes"] - stages["used"]["wim_bytes"] > 3_000_000
    for one, other in (("restored", "updated"), ("back to the first", "converted")):
        assert [stages[one][key] for key in ("files", "pointers", "virtual_bytes")] == [
            stages[other][key] for key in ("files", "pointers", "virtual_bytes")]
    disk, wim = folder / "disk.img", folder / "store.wim"
    sound_wim(wim)
    sound_volume(disk, PARTITION_OFFSET)
    assert every_pointer_leads_home(disk, wim, {}, PARTITION_OFFSET) == stages["converted"]["pointers"]
    monkeypatch.setattr(demo, "demo", lambda _folder, _emit: demo.Demo(disk=disk, wim=wim, stages=()))
    _what_to_try_tells_something(done("demo", folder).out)


def _what_to_try_tells_something(out: str) -> None:
    """Each proposed command does its work on what the demo left, and none finds fault with it."""
    tried = [shlex.split(line)[1:] for line in out.partition("Try:\n")[2].splitlines()]
    told = {words[0]: done(*words) for words in tried}
    assert list(told) == ["info", "images", "diff", "explain"]
    assert not any("MOVED" in each.out or each.err for each in told.values())
    assert "  LATER: it has no place yet" in told["info"].out
    assert "1 added, 1 removed." in told["diff"].out
    assert "form  pointer" in told["explain"].out


@pytest.mark.parametrize("there", [True, False])
def test_a_demo_that_is_stopped_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """So that the next one finds nothing in its way; the folder stays where it was there."""
    def stop(*_: object) -> None:
        assert (tmp_path / "demo/store.wim").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "DemoSystem", partial(DemoSystem, size=160 << 20, files=60))
    monkeypatch.setattr(demo, "_update", stop)
    if there:
        (tmp_path / "demo").mkdir()
    assert wimboot("demo", tmp_path / "demo").code == 130
    assert list(tmp_path.rglob("*")) == ([tmp_path / "demo"] if there else [])


@pytest.mark.parametrize(("found", "words"), [("/usr/bin/wimboot", "wimboot"), (None, ".venv/bin/wimboot")])
def test_what_to_try_can_be_typed(monkeypatch: pytest.MonkeyPatch, found: str | None, words: str) -> None:
    """By the path of this run where no wimboot is found by its name; and of one thing it is said so."""
    stage = demo.Stage(name="updated", files=2, pointers=1, virtual=9, occupied=9, wim_size=9, seconds=0.1,
                       told="1 new pointers, 2 refreshed")
    done_demo = demo.Demo(disk=Path("d/disk.img"), wim=Path("d/store.wim"), stages=(stage,))
    monkeypatch.setattr(demo, "demo", lambda _folder, _emit: done_demo)
    monkeypatch.setattr(sys, "argv", [".venv/bin/wimboot"])
    monkeypatch.setattr(shutil, "which", lambda _name: found)
    out = done("demo", "d").out
    assert f"Try:\n    {words} info d/disk.img\n    {words} images d/store.wim\n" in out
    assert "1 new pointer, 2 refreshed" in out


@pytest.mark.parametrize("name", ["disk.img", "store.wim"])
def test_a_demo_overwrites_nothing(name: str, tmp_path: Path) -> None:
    """A file of an earlier one, or somebody's own."""
    (tmp_path / name).write_bytes(b"mine")
    refused("demo-in-the-way", 4, "demo", tmp_path, watching=(tmp_path / name,))


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file lies where it would be: what, where, why and what to do, and no word of a bug."""
    (tmp_path / "file").write_bytes(b"mine")
    told = refused("host-not-usable", 1, "demo", tmp_path / "file" / "demo", watching=(tmp_path / "file",))
    assert f"{tmp_path / 'file' / 'demo'} failed: Not a directory" in told.err


def test_a_path_that_is_refused_anywhere_is_no_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the host says of a path, and wherever it comes up."""
    def no(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", no)
    told = refused("host-not-usable", 1, "demo", tmp_path)
    assert f"using {tmp_path / 'disk.img'} failed: Permission denied" in told.err
