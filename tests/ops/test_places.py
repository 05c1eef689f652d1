"""Where a WIM lies when Windows runs: found from where it lies now, given, left for later, and told anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import build
from converted import OVERLAY_FILES, SMALL, Converted
from data_disks import MIB, data_disk
from judges import every_pointer_leads_home, sound_volume
from mounting import copy_sparse, mounted
from running import done, notes, refused, unchanged, wimboot
from snapshots import differences, seen_through, snapshot

PLACES = {"mbr": f"mbr:{build.DISK_SIGNATURE:08x}:{MIB}:\\wimboot\\store.wim",
          "gpt": f"gpt:{build.DISK_GUID}:{build.PARTITION_GUID}:\\wimboot\\store.wim"}


@pytest.fixture
def eight(built_system: Callable[..., build.System], tmp_path: Path) -> Path:
    """The test's own Windows 8.1 with its driver."""
    own = tmp_path / "eight.img"
    copy_sparse(built_system(size=24 << 20, files=12, features=SMALL, version="6.3").path, own)
    return own


@pytest.mark.parametrize("table", ["mbr", "gpt"])
def test_the_place_of_a_wim_on_a_windows_disk_is_found(table: str, eight: Path, tmp_path: Path) -> None:
    """From the mount table and the partition table, without a word from the user."""
    with data_disk(tmp_path, table) as root:
        (root / "wimboot").mkdir()
        wim = root / "wimboot" / "store.wim"
        done("convert", eight, "--wim", wim)
        done("verify", eight, "--wim", wim)
        assert every_pointer_leads_home(eight, wim, {}) > 20
        assert _place(eight) == PLACES[table]
    sound_volume(eight)


def test_a_place_given_for_later_is_told_by_relocate(converted: Converted) -> None:
    """The reminder is gone then; id and pointers stay, and the volume is sound."""
    assert "place-later" in notes("verify", converted.volume, "--wim", converted.wim)
    with unchanged(converted.volume, converted.wim):
        told = done("relocate", converted.volume, "--wim", converted.wim, "--as", PLACES["gpt"], "--dry-run",
                    "--json").json
    assert (told["before"], told["after"], told["dry_run"]) == ("later", PLACES["gpt"], True)
    with unchanged(converted.wim):
        done("relocate", converted.volume, "--wim", converted.wim, "--as", PLACES["gpt"])
    assert _place(converted.volume) == PLACES["gpt"]
    assert "place-later" not in notes("verify", converted.volume, "--wim", converted.wim)
    assert every_pointer_leads_home(converted.volume, converted.wim, {}) > 100
    sound_volume(converted.volume)


def test_a_restore_keeps_the_place_that_is_registered(converted: Converted) -> None:
    """The user need not say it again; the same WIM at the same place keeps its id."""
    done("relocate", converted.volume, "--wim", converted.wim, "--as", PLACES["mbr"])
    with mounted(converted.volume, write=True) as root:
        (root / "Windows/explorer.exe").unlink()
    done("restore", converted.volume, "--wim", converted.wim)
    sources = done("info", converted.volume, "--json").json["volume"]["sources"]
    assert [(source["id"], source["place"]) for source in sources] == [(0, PLACES["mbr"])]


def test_relocate_refuses_what_it_does_not_know(converted: Converted, small_volume: Path, tmp_path: Path) -> None:
    """A volume without a WIM, a WIM of another volume, a place that is none."""
    other = tmp_path / "other.wim"
    done("capture", small_volume, "--wim", other)
    with unchanged(converted.volume, converted.wim, small_volume):
        assert wimboot("relocate", small_volume, "--wim", converted.wim, "--as", PLACES["mbr"]).code == 4
        assert wimboot("relocate", converted.volume, "--wim", other, "--as", PLACES["mbr"]).code == 4
        refused("bad-wim-place", 2, "relocate", converted.volume, "--wim", converted.wim, "--as", "d:\\x")


def _place(volume: Path) -> str:
    (source,) = done("info", volume, "--json").json["volume"]["sources"]
    return str(source["place"])


@pytest.fixture
def shared(converted: Converted, built_system: Callable[..., build.System], tmp_path: Path) -> tuple[Converted, str]:
    """A volume whose WIM another system went into since, and what that conversion said."""
    second = tmp_path / "second.img"
    copy_sparse(built_system(size=24 << 20, files=12, features=SMALL, version="6.3").path, second)
    told = done("convert", second, "--wim", converted.wim, "--wim-place", "later")
    done("verify", second, "--wim", converted.wim)
    return converted, told.err


def test_relocate_brings_a_volume_up_to_its_wim(shared: tuple[Converted, str]) -> None:
    """Who let the WIM grow is told; verify names the verb; pointers and records alone change."""
    volume, wim = shared[0].volume, shared[0].wim
    before = snapshot(volume)
    assert "wimboot relocate" in shared[1]
    checked = wimboot("verify", volume, "--wim", wim, "--quick", "--json")
    (problem,) = checked.json["problems"]
    assert problem["id"] == "behind"
    assert "wimboot relocate" in problem["text"]
    with unchanged(volume, wim):
        dry = done("relocate", volume, "--wim", wim, "--as", PLACES["gpt"], "--dry-run", "--json").json
    with unchanged(wim):
        told = done("relocate", volume, "--wim", wim, "--as", PLACES["gpt"], "--json").json
    assert dry["refreshed"] == told["refreshed"] > 100
    done("verify", volume, "--wim", wim)
    sound_volume(volume)
    assert every_pointer_leads_home(volume, wim, {}) > 100
    assert not differences(seen_through(before), seen_through(snapshot(volume)), without=OVERLAY_FILES)
    assert done("relocate", volume, "--wim", wim, "--as", PLACES["gpt"], "--json").json["refreshed"] == 0


def test_the_registered_place_stays_where_none_is_given(shared: tuple[Converted, str]) -> None:
    """A WIM that lies where no Windows could read it is brought along without a word about its place."""
    volume, wim = shared[0].volume, shared[0].wim
    done("relocate", volume, "--wim", wim, "--as", PLACES["mbr"])
    told = done("capture", volume, "--wim", wim, "--name", "one more")
    assert "wimboot relocate" in told.err
    done("relocate", volume, "--wim", wim)
    assert _place(volume) == PLACES["mbr"]
    done("verify", volume, "--wim", wim)


def test_a_first_capture_has_no_others_to_speak_of(small_volume: Path, tmp_path: Path) -> None:
    """A new WIM has no volumes that stand on it."""
    assert "relocate" not in done("capture", small_volume, "--wim", tmp_path / "store.wim").err
