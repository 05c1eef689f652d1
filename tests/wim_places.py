"""Places where a WIM can lie inside a volume: the one that it backs, another of the same disk, one on another disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import build
from mounting import copy_sparse, mounted
from running import NO_PLACE, done
from two_partitions import FIRST_START, SECOND_GUID, two_partitions

__all__ = ["WIM", "Place", "convert_into", "data_volume", "place", "place_in_the_same", "two_places"]

WIM = "WIMBOOT/store.wim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A target and a WIM in a volume. `system` and `home` are files and bytes at which the two volumes begin."""

    target: str
    wim: str
    system: tuple[Path, int]
    home: tuple[Path, int]
    place: tuple[str, ...]
    registered: str

    @property
    def files(self) -> list[Path]:
        """The disk images."""
        return sorted({self.system[0], self.home[0]})

    @contextmanager
    def wim_file(self) -> Iterator[Path]:
        """The WIM as the ntfs-3g driver shows it."""
        with mounted(self.home[0], offset=self.home[1]) as root:
            yield root / WIM


Making = Callable[[Path, Path, Path], Place]


def place_in_the_same(folder: Path, volume: Path, _: Path | None = None) -> Place:
    """A bare volume that will hold its own WIM."""
    disk = folder / "own.img"
    copy_sparse(volume, disk)
    return Place(target=str(disk), wim=f"{disk}:/{WIM}", system=(disk, 0), home=(disk, 0), place=NO_PLACE,
                 registered="later")


def _same_on_a_disk(folder: Path, volume: Path, data: Path) -> Place:
    disk = folder / "disk.img"
    second = two_partitions(disk, data, volume, "gpt")
    return Place(target=f"{disk}#2", wim=f"{disk}#2:/{WIM}", system=(disk, second), home=(disk, second),
                 place=("--driver", "none"), registered=f"gpt:{build.DISK_GUID}:{SECOND_GUID}:\\WIMBOOT\\store.wim")


def _sibling(folder: Path, volume: Path, data: Path) -> Place:
    disk = folder / "disk.img"
    second = two_partitions(disk, data, volume)
    return Place(target=f"{disk}#2", wim=f"{disk}#1:/{WIM}", system=(disk, second), home=(disk, FIRST_START),
                 place=("--driver", "none"),
                 registered=f"mbr:{build.DISK_SIGNATURE:08x}:{FIRST_START}:\\WIMBOOT\\store.wim")


def _other(folder: Path, volume: Path, data: Path) -> Place:
    disk, store = folder / "system.img", folder / "data.img"
    copy_sparse(volume, disk)
    copy_sparse(data, store)
    return Place(target=str(disk), wim=f"{store}:/{WIM}", system=(disk, 0), home=(store, 0), place=NO_PLACE,
                 registered="later")


MAKINGS: dict[str, Making] = {
    "same": place_in_the_same, "same-on-a-disk": _same_on_a_disk, "sibling": _sibling, "other": _other,
}


@pytest.fixture(scope="session")
def data_volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty volume; for reading only."""
    path = tmp_path_factory.mktemp("data") / "data.img"
    build.make_volume(path, size=24 << 20, label="Data")
    return path


@pytest.fixture(params=[
    "same", "other", *(pytest.param(name, marks=pytest.mark.heavy) for name in ("same-on-a-disk", "sibling"))])
def two_places(request: pytest.FixtureRequest, tmp_path: Path, pristine_small: Path, data_volume: Path) -> Place:
    """The places that differ most, for what takes long; the others where there is time."""
    return MAKINGS[request.param](tmp_path, pristine_small, data_volume)


@pytest.fixture(params=MAKINGS)
def place(request: pytest.FixtureRequest, tmp_path: Path, pristine_small: Path, data_volume: Path) -> Place:
    """Each of the places in turn, with a system that is not converted yet."""
    return MAKINGS[request.param](tmp_path, pristine_small, data_volume)


def convert_into(place: Place) -> None:
    """Convert the system into the WIM, which is made."""
    done("convert", place.target, "--wim", place.wim, "--name", "first", *place.place)
