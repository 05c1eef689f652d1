"""`wimboot demo`: what somebody sees first has to go well, and to harm nothing."""

from __future__ import annotations

import errno
from functools import partial
from pathlib import Path

import pytest

from judges import every_pointer_leads_home, sound_volume, sound_wim
from running import done, refused
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


@pytest.mark.parametrize("name", ["disk.img", "store.wim"])
def test_a_demo_overwrites_nothing(name: str, tmp_path: Path) -> None:
    """A file of an earlier one, or somebody's own."""
    (tmp_path / name).write_bytes(b"mine")
    refused("demo-in-the-way", 4, "demo", tmp_path, watching=(tmp_path / name,))


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file lies where it would be: what, where, why and what to do, and no word of a bug."""
    (tmp_path / "file").write_bytes(b"mine")
    told = refused("host-not-usable", 1, "demo", tmp_path / "file" / "demo", watching=(tmp_path / "file",))
    assert f"making the folder {tmp_path / 'file' / 'demo'} failed" in told.err


def test_a_path_that_is_refused_anywhere_is_no_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the host says of a path, and wherever it comes up."""
    def no(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", no)
    told = refused("host-not-usable", 1, "demo", tmp_path)
    assert f"using {tmp_path / 'disk.img'} failed: Permission denied" in told.err
