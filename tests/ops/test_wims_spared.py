"""WIMs inside the volume that they back, and that a restore does not use: they are its pointers' data all the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from judges import every_pointer_leads_home, sound_volume, sound_wim
from mounting import mounted
from running import done, refused

ONE, TWO = "stores/one.wim", "stores/two.wim"


def _convert(volume: Path, wim: str, name: str) -> None:
    place = f"mbr:5CBEA03E:1048576:\\{wim}".replace("/", "\\")
    done("convert", volume, "--wim", f"{volume}:/{wim}", "--name", name, "--wim-place", place, "--driver", "none")


def _take_out(volume: Path, wim: str, folder: Path) -> Path:
    copy = folder / Path(wim).name
    with mounted(volume) as root:
        shutil.copyfile(root / wim, copy)
    return copy


@pytest.fixture
def two_wims(small_volume: Path) -> Path:
    """A volume with two WIMs in it, and pointers into both."""
    _convert(small_volume, ONE, "first")
    with mounted(small_volume, write=True) as root:
        (root / "added.bin").write_bytes(os.urandom(90_000))
    _convert(small_volume, TWO, "second")
    return small_volume


@pytest.mark.parametrize(("wim", "image"), [(TWO, "second"), (ONE, "first")])
def test_a_restore_spares_the_other_wim_that_the_volume_points_into(
    two_wims: Path, tmp_path: Path, wim: str, image: str
) -> None:
    """The image of one WIM has nothing where the other lies, which goes on backing the volume's pointers."""
    done("restore", two_wims, "--wim", f"{two_wims}:/{wim}", "--image", image, "--driver", "none")
    done("verify", two_wims)
    sound_volume(two_wims)
    for name in (ONE, TWO):
        sound_wim(_take_out(two_wims, name, tmp_path))


def test_a_restore_from_a_copy_spares_the_wim_itself(small_volume: Path, tmp_path: Path) -> None:
    """Named a copy of the WIM outside, a restore does not take the WIM in the volume for a file that is new."""
    _convert(small_volume, ONE, "first")
    copy = _take_out(small_volume, ONE, tmp_path)
    done("restore", small_volume, "--wim", copy, "--driver", "none")
    with mounted(small_volume) as root:
        assert (root / ONE).read_bytes() == copy.read_bytes()
    assert every_pointer_leads_home(small_volume, copy, {}) > 20


def test_formatting_is_refused_where_another_wim_of_the_volume_lies_in_it(two_wims: Path, tmp_path: Path) -> None:
    """Neither WIM may be formatted away, also where the one that is used is a copy outside."""
    copy = _take_out(two_wims, TWO, tmp_path)
    refused("wim-on-volume", 4, "restore", two_wims, "--wim", copy, "--format", "--yes", "--driver", "none",
            watching=(two_wims, copy))


def test_a_folder_or_another_file_at_the_registered_place_is_no_wim(small_volume: Path, tmp_path: Path) -> None:
    """What only has the WIM's name is restored like everything else."""
    _convert(small_volume, ONE, "first")
    copy = _take_out(small_volume, ONE, tmp_path)
    with mounted(small_volume, write=True) as root:
        (root / ONE).write_bytes(b"no WIM" * 100)
    done("restore", small_volume, "--wim", copy, "--driver", "none")
    with mounted(small_volume, write=True) as root:
        assert not (root / ONE).exists()
        (root / ONE).mkdir(parents=True)
    done("restore", small_volume, "--wim", copy, "--driver", "none")
    with mounted(small_volume) as root:
        assert not (root / ONE).exists()
