"""A restore of a Windows on whose volume the WIM of another system lies."""

from __future__ import annotations

from pathlib import Path

from judges import sound_volume, sound_wim
from mounting import mounted
from running import done, refused
from two_partitions import FIRST_START, two_partitions


def _disk(folder: Path, system: Path) -> Path:
    """Two systems; the first was captured when it had no WIM on it yet, the second stands on one there now."""
    disk = folder / "disk.img"
    two_partitions(disk, system, system)
    done("capture", f"{disk}#1", "--wim", folder / "first.wim", "--name", "before")
    done("convert", f"{disk}#2", "--wim", f"{disk}#1:/stores/store.wim", "--driver", "none")
    return disk


def test_a_restore_does_not_take_the_wim_of_another_system_away(small_volume: Path, tmp_path: Path) -> None:
    """It is refused; with --keep all else is restored and the system is sound; --yes gives the system up."""
    disk = _disk(tmp_path, small_volume)
    command = ("restore", f"{disk}#1", "--wim", tmp_path / "first.wim", "--image", "before", "--full")
    told = refused("wim-backs-others", 4, *command, watching=(disk,))
    assert f"{disk}#2" in told.err
    done(*command, "--keep", "\\stores\\store.wim")
    done("verify", f"{disk}#2")
    sound_volume(disk, FIRST_START)
    with mounted(disk, offset=FIRST_START) as root:
        sound_wim(root / "stores/store.wim")
    done(*command, "--yes")
    with mounted(disk, offset=FIRST_START) as root:
        assert not (root / "stores").exists()


def test_a_wim_on_which_nobody_stands_is_a_file_like_others(small_volume: Path, tmp_path: Path) -> None:
    """It goes as everything does that the image lacks."""
    wim = tmp_path / "s.wim"
    done("convert", small_volume, "--wim", wim, "--wim-place", "later", "--driver", "none")
    done("capture", small_volume, "--wim", tmp_path / "unused.wim")
    with mounted(small_volume, write=True) as root:
        (root / "unused.wim").write_bytes((tmp_path / "unused.wim").read_bytes())
    done("restore", small_volume, "--wim", wim, "--driver", "none")
    with mounted(small_volume) as root:
        assert not (root / "unused.wim").exists()
