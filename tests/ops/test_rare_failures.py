"""Failures that take some making: each has its id, its exit code, and what to do."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import mfusepy
import pytest

from mounting import mounted
from repair_rig import EXPLORER, KERNEL32, Pair
from running import done, refused
from sample_features import WOF_TAG, set_reparse
from wimboot.ops import mount


def _shown(path: str) -> str:
    return "\\" + path.replace("/", "\\")


def test_nothing_to_verify_is_wrong_usage() -> None:
    """Neither a volume nor a WIM was named."""
    assert "--wim" in refused("nothing-to-verify", 2, "verify").err


def test_a_file_of_an_unknown_provider_is_never_captured_empty(small_volume: Path, tmp_path: Path) -> None:
    """The overlay filter may learn more ways than the two that are known."""
    with mounted(small_volume, write=True) as root:
        (root / "odd.bin").write_bytes(bytes(50_000))
        set_reparse(root / "odd.bin", WOF_TAG, struct.pack("<IIII", 1, 9, 1, 0))
    wim = tmp_path / "new.wim"
    for verb in ("capture", "convert"):
        told = refused("backing-unknown", 1, verb, small_volume, "--wim", wim,
                       *(("--wim-place", "later", "--driver", "none") if verb == "convert" else ()),
                       watching=(small_volume, wim))
        assert "odd.bin" in told.err


def test_files_are_not_replaced_by_pointers_to_damaged_data(pair: Pair) -> None:
    """A restore reads back what it will point to before it gives anything up."""
    with pair.edited() as root:
        (root / EXPLORER).unlink()
        (root / EXPLORER).write_bytes(b"the only copy" * 5000)
    pair.damage(EXPLORER)
    refused("blobs-damaged", 1, "restore", pair.volume, watching=(pair.volume, pair.wim))
    done("restore", pair.volume, "--keep", _shown(EXPLORER))


def test_a_pointer_to_a_blob_of_another_size_is_no_file(pair: Pair, tmp_path: Path) -> None:
    """Neither cut to the file's size nor filled up: an error."""
    with pair.edited() as root:
        path = root / EXPLORER
        value = bytearray(os.getxattr(path, "system.ntfs_reparse_data", follow_symlinks=False))
        value[0x20:0x34] = pair.sha1(KERNEL32)
        os.setxattr(path, "system.ntfs_reparse_data", bytes(value), follow_symlinks=False)
    out = tmp_path / "out"
    told = refused("blob-size-differs", 1, "extract", pair.volume, _shown(EXPLORER), out, watching=(out,))
    assert "verify" in told.err


def test_a_folder_that_fails_in_part_says_how_much_came(pair: Pair, tmp_path: Path) -> None:
    """The files that could be read are there."""
    pair.damage(EXPLORER, KERNEL32)
    run = refused("not-all-extracted", 1, "extract", pair.volume, "\\Windows", tmp_path / "out", "--force")
    assert "2 files" in run.err
    assert (tmp_path / "out/System32/user32.dll").stat().st_size
    assert not (tmp_path / "out/explorer.exe").exists()


def test_mounting_says_what_the_host_lacks(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No /dev/fuse, and libfuse that gives up."""
    monkeypatch.setenv("FUSE_LIBRARY_NAME", "fuse3")
    (tmp_path / "mnt").mkdir()
    command = ("mount", pair.volume, tmp_path / "mnt", "-f")

    def gives_up(*_arguments: object, **_options: object) -> None:
        raise RuntimeError(1)

    monkeypatch.setattr(mfusepy, "FUSE", gives_up)
    assert "allow-other" in refused("mount-failed", 1, *command, watching=(pair.volume,)).err
    monkeypatch.setattr(mount, "Path", lambda name: tmp_path / "missing" if name == "/dev/fuse" else Path(name))
    assert "modprobe" in refused("no-fuse-device", 1, *command, watching=(pair.volume,)).err
