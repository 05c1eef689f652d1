"""WIMs inside volumes that cannot be used, or whose use would cost something: refused, and nothing is changed."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

import build
from mounting import copy_sparse, mounted
from running import NO_PLACE, done, notes, refused, unchanged, wimboot
from wim_places import convert_into, place_in_the_same
from wimboot.ntfs import Volume, volume_facts
from wimboot.ntfs.volume import ROOT
from wimboot.storage import FileDevice, HostFile
from wimboot.windows.security import SYSTEM_ONLY


def test_a_volume_without_a_disk_has_no_place(pristine_small: Path, tmp_path: Path) -> None:
    """Where no partition table tells it, the user has to say where Windows will find the WIM."""
    place = place_in_the_same(tmp_path, pristine_small)
    refused("place-unknown", 4, "convert", place.target, "--wim", place.wim, "--driver", "none",
            watching=tuple(place.files))


def test_formatting_over_the_wim_is_refused(pristine_small: Path, tmp_path: Path) -> None:
    """A rebuild would destroy the WIM before it could be read."""
    place = place_in_the_same(tmp_path, pristine_small)
    convert_into(place)
    for verb in (("convert", place.target, "--wim", place.wim, "--name", "x", *NO_PLACE),
                 ("restore", place.target, "--wim", place.wim, "--driver", "none"),
                 ("apply", place.wim, "first", place.target, *NO_PLACE)):
        refused("wim-on-volume", 4, *verb, "--format", "--yes", watching=tuple(place.files))


def test_an_image_that_would_replace_the_wim_is_refused(pristine_small: Path, tmp_path: Path) -> None:
    """Where the image has a file at the path of the WIM in use, nothing is changed."""
    place = place_in_the_same(tmp_path, pristine_small)
    with mounted(place.system[0], write=True) as root:
        (root / "data").mkdir()
        (root / "data/store.wim").write_bytes(b"another file of that name " * 200)
    store = tmp_path / "outside.wim"
    done("capture", place.target, "--wim", store, "--name", "first")
    with mounted(place.system[0], write=True) as root:
        (root / "data/store.wim").write_bytes(store.read_bytes())
    refused("wim-in-the-way", 4, "restore", place.target, "--wim", f"{place.target}:/data/store.wim", "--image",
            "first", *NO_PLACE, watching=tuple(place.files))


@pytest.mark.parametrize(("inside", "error", "code"), [
    ("../store.wim", "bad-inside-path", 2),
    ("a/../../store.wim", "bad-inside-path", 2),
    ("what?.wim", "bad-inside-path", 2),
    ("", "bad-inside-path", 2),
    ("Windows", "not-a-file", 4),
    ("Windows/explorer.exe/store.wim", "not-a-folder", 4),
    ("Features/junctions/to Windows/store.wim", "link-on-the-way", 4),
    ("Windows/explorer.exe", "not-a-wim", 1),
])
def test_places_that_hold_no_wim_are_refused(
    inside: str, error: str, code: int, pristine_small: Path, tmp_path: Path
) -> None:
    """Paths that leave the volume, folders, links, other files: each refused by name, nothing changed."""
    disk = tmp_path / "own.img"
    copy_sparse(pristine_small, disk)
    refused(error, code, "capture", disk, "--wim", f"{disk}:/{inside}", watching=(disk,))


def test_a_wim_that_is_missing_is_told(pristine_small: Path, data_volume: Path) -> None:
    """Reading makes no file and no folder."""
    for missing in (f"{data_volume}:/WIMBOOT/no.wim", f"{data_volume}:/no.wim"):
        refused("wim-missing", 2, "images", missing, watching=(data_volume,))
        refused("wim-missing", 2, "verify", pristine_small, "--wim", missing, watching=(data_volume,))
    refused("no-target", 2, "images", f"{data_volume.parent}/none.img#1:/a.wim")
    refused("no-partition", 2, "images", f"{data_volume}#3:/a.wim")


@pytest.mark.parametrize("kind", ["compressed", "sparse", "encrypted", "pointer"])
def test_a_wim_that_does_not_lie_plainly_is_refused(kind: str, data_volume: Path, pristine_small: Path,
                                                    tmp_path: Path) -> None:
    """NTFS-compressed, sparse, encrypted, or a pointer itself: never read or written as what it is not."""
    home, store = tmp_path / "home.img", tmp_path / "store.wim"
    done("capture", pristine_small, "--wim", store, "--name", "first")
    copy_sparse(data_volume, home)
    _put_unplain(home, store.read_bytes(), kind)
    for verb in (("images", f"{home}:/store.wim"), ("capture", pristine_small, "--wim", f"{home}:/store.wim")):
        refused("not-plain", 1, *verb, watching=(home, store))


def _put_unplain(home: Path, data: bytes, kind: str) -> None:
    file = HostFile.open(home, write=True)
    with Volume(FileDevice(file), write=True, where="home") as volume:
        made = volume.create_file(ROOT, "store.wim".encode("utf-16-le"), b"", 0x20, (0, 0, 0),
                                  volume.security_id(SYSTEM_ONLY))
        padded = data + bytes(1 << 20)
        volume.write_data(made, b"", iter((padded,)), len(padded), sparse=kind == "sparse",
                          compressed=kind == "compressed")
        if kind == "pointer":
            volume.set_reparse(made, struct.pack("<IHH", 0x80000017, 88, 0) + bytes(88))
    file.close()
    if kind == "encrypted":
        _encrypt(home)


def _encrypt(home: Path) -> None:
    with mounted(home, write=True) as root:
        path = root / "store.wim"
        path.write_bytes(bytes(4096) + b"\0\0")     # the raw form ends with the count of padding bytes
        os.setxattr(path, "system.ntfs_efsinfo", struct.pack("<I", 400) + bytes(396))


def test_a_folder_of_a_volume_is_called_by_its_path(pristine_small: Path) -> None:
    """Not by the number of its record; and what to name instead."""
    for command in (("images", f"{pristine_small}:/Windows/System32"),
                    ("verify", "--wim", f"{pristine_small}:/Windows/System32")):
        told = refused("not-a-file", 4, *command).err
        assert f"\\Windows\\System32 of {pristine_small} is a folder" in told
        assert "Name a file in it." in told


def test_a_volume_that_may_not_be_changed_is_refused(pristine_small: Path, data_volume: Path, tmp_path: Path) -> None:
    """What holds for a target holds for the volume of its WIM: mounted, dirty."""
    home = tmp_path / "home.img"
    copy_sparse(data_volume, home)
    command = ("capture", pristine_small, "--wim", f"{home}:/store.wim", "--name", "first")
    with mounted(home, write=True):
        refused("mounted", 4, *command)
    subprocess.run(["ntfsfix", "-n", str(home)], check=False, capture_output=True)
    _mark_dirty(home)
    refused("volume-dirty", 4, *command, watching=(home,))


def _mark_dirty(volume: Path) -> None:
    file = HostFile.open(volume, write=True)
    for offset in volume_facts(FileDevice(file)).flags_offsets:
        file.pwrite(offset, b"\x01\x00")
    file.close()


def test_a_full_volume_is_told_beforehand_or_left_as_it_was(pristine_small: Path, tmp_path: Path) -> None:
    """A WIM for which the volume has no room fails, and volume and target are as they were."""
    home = tmp_path / "tiny.img"
    build.make_volume(home, size=5 << 20)
    with mounted(home, write=True) as root:
        (root / "filling.bin").write_bytes(b"x" * (1800 << 10))
    target = tmp_path / "system.img"
    copy_sparse(pristine_small, target)
    with unchanged(home, times=False, volumes=(target,)):
        run = wimboot("convert", target, "--wim", f"{home}:/store.wim", *NO_PLACE, "--json")
    assert run.code == 4
    assert run.json["error"]["id"] == "volume-full"
    assert "wim-may-not-fit" in notes("convert", target, "--wim", f"{home}:/store.wim", *NO_PLACE, "--dry-run")
