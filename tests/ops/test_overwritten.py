"""What --format never goes over, --yes or not: WIMs, and files that are something else."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from converted import fresh_volume
from judges import sound_volume
from mounting import UTF_8
from running import NO_PLACE, done, refused, unchanged, wimboot

FORMAT = ("--full", "--format", "--yes")


@pytest.fixture(scope="module")
def wim(pristine_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture, only for reading."""
    path = tmp_path_factory.mktemp("source") / "store.wim"
    done("capture", pristine_small, "--wim", path)
    return path


def test_a_wim_is_never_formatted_over(wim: Path, tmp_path: Path) -> None:
    """The source by its own name and by others, the store that is exported into, and any other WIM."""
    own, other, link, hard = (tmp_path / name for name in ("own.wim", "other.img", "link.img", "hard.img"))
    shutil.copy(wim, own)
    shutil.copy(wim, other)
    link.symlink_to(own)
    os.link(own, hard)
    watching = (own, other, hard)
    for target in (own, link, hard, other):
        refused("target-is-wim", 4, "apply", own, "1", target, *FORMAT, watching=watching)
    refused("target-is-wim", 4, "apply", own, "1", other, "--export", other, "--format", "--yes", *NO_PLACE,
            watching=watching)
    other.write_bytes(b"WLPWM\0\0\0" + bytes(8 << 20))
    refused("target-is-wim", 4, "apply", own, "1", other, *FORMAT, watching=watching)
    refused("target-is-wim", 4, "apply", own, "1", other, *FORMAT, "--dry-run", watching=watching)


def _archive(kind: str, path: Path) -> None:
    data = os.urandom(30_000)
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a file", data)
    elif kind == "tar":
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            info = tarfile.TarInfo("a file")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    elif kind == "ext4":
        subprocess.run(["mkfs.ext4", "-q", str(path), "32M"], check=True, capture_output=True, env=UTF_8)
    elif kind == "fat":
        subprocess.run(["mkfs.fat", "-C", str(path), "32768"], check=True, capture_output=True)
    else:
        subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(path), "32M"], check=True, capture_output=True)
    with path.open("r+b") as file:
        file.truncate(32 << 20)     # large enough for a volume


@pytest.mark.parametrize("kind", ["zip", "tar", "ext4", "fat", "qcow2", "vmdk", "vdi", "vhdx"])
def test_files_of_other_kinds_are_not_formatted_over(kind: str, wim: Path, tmp_path: Path) -> None:
    """Archives, disk images that are no raw ones, other file systems."""
    target = tmp_path / "target.img"
    _archive(kind, target)
    error, code = ("holds-other", 4) if kind in ("zip", "tar", "ext4", "fat") else ("disk-not-writable", 4)
    refused(error, code, "apply", wim, "1", target, *FORMAT, watching=(target,))


def test_zeros_noise_and_volumes_are_formatted(wim: Path, tmp_path: Path) -> None:
    """As the user has said."""
    target = tmp_path / "target.img"
    for content in (bytes(32 << 20), os.urandom(32 << 20), fresh_volume(tmp_path / "fresh.img").read_bytes()):
        target.write_bytes(content)
        done("apply", wim, "1", target, *FORMAT)
        sound_volume(target)


def test_programs_are_asked_too(small_volume: Path, tmp_path: Path) -> None:
    """--json alone is no yes: where a person would be asked, a program gets a document that says so."""
    wim, image = tmp_path / "store.wim", tmp_path / "a.ram"
    done("capture", small_volume, "--wim", wim)
    image.write_bytes(b"the image of yesterday")
    with unchanged(small_volume, wim, image):
        for command in (("convert", small_volume, "--wim", wim, "--format", *NO_PLACE),
                        ("apply", wim, "1", small_volume, "--format", *NO_PLACE),
                        ("restore", small_volume, "--wim", wim, "--image", "1", "--format"),
                        ("ram", "--wim", wim, "--image", "1", image)):
            told = wimboot(*command, "--json")
            assert told.json["error"]["id"] == "confirmation-needed", command
            assert "--yes" in told.json["error"]["hint"]
            assert (told.code, told.err) == (4, "")
