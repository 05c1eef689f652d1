"""Failures that take some making: each has its id, its exit code, and what to do."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import mfusepy
import pytest

from converted import fresh_volume
from mounting import mounted
from partition_table import partition
from repair_rig import EXPLORER, KERNEL32, Pair
from running import done, refused, wimboot
from sample_features import WOF_TAG, set_reparse
from shared_wim import make_shared
from wimboot.errors import HostError
from wimboot.ops import mount
from wimboot.storage import HostFolder


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


def test_two_names_that_the_host_would_write_alike_do_not_hide_each_other(tmp_path: Path) -> None:
    """A slash in a name becomes %2F; where that is another file's name already, one of them is told."""
    volume, out = fresh_volume(tmp_path / "hostile.img", 16 << 20), tmp_path / "out"
    with mounted(volume, write=True) as root:
        (root / "all").mkdir()
        (root / "all/!!_escaped").write_bytes(b"one")
        (root / "all/..%2Fescaped").write_bytes(b"two")
    data = volume.read_bytes()
    volume.write_bytes(data.replace("!!_escaped".encode("utf-16-le"), "../escaped".encode("utf-16-le")))
    run = wimboot("extract", volume, "\\all", out, "--progress", "json")
    events = [json.loads(line) for line in run.err.splitlines() if line.startswith("{")]
    assert (run.code, [event["id"] for event in events if event["event"] == "problem"]) == (1, ["name-twice"])
    assert [path.name for path in out.iterdir()] == ["..%2Fescaped"]


def test_a_disk_without_ntfs_is_no_target(tmp_path: Path) -> None:
    """Its partitions are of other kinds; `info` lists them."""
    disk = tmp_path / "fat.img"
    partition(disk, "label: dos\nstart=2048, type=c\n", size=8 << 20)
    told = refused("no-ntfs", 2, "capture", disk, "--wim", tmp_path / "new.wim", watching=(disk, tmp_path / "new.wim"))
    assert "wimboot info" in told.err
    shown = done("info", disk).out
    assert "no NTFS partition" in shown
    assert "wimboot info" not in shown  # that is what was just run


def test_a_disk_without_partitions_is_shown_as_it_is(tmp_path: Path) -> None:
    """None can be named, so none is asked for."""
    disk = tmp_path / "new.img"
    partition(disk, "label: gpt\n", size=8 << 20)
    told = done("info", disk).out
    assert "a GPT disk" in told
    assert told.endswith("has no NTFS partition\n")


def test_partitions_without_windows_are_named_to_be_looked_at(tmp_path: Path) -> None:
    """Two NTFS volumes, and no Windows on either: `info` does not say to ask `info` which they are."""
    disk, volume = tmp_path / "data.img", fresh_volume(tmp_path / "volume.img", 8 << 20).read_bytes()
    partition(disk, "label: dos\nstart=2048, size=16384, type=7\nstart=20480, type=7\n", size=24 << 20)
    with disk.open("r+b") as file:
        for sector in (2048, 20480):
            os.pwrite(file.fileno(), volume, sector * 512)
    told = done("info", disk).out
    assert f"Name a partition to see what is on it: {disk}#N." in told
    assert "wimboot info" not in told


def test_a_wim_that_may_not_outlive_a_power_cut_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its new name, its folder was not synced: volumes keep their logs until the next run sees which it is."""
    shared = make_shared(tmp_path)
    replace, sync = HostFolder.replace, HostFolder.sync
    failing: list[str] = []

    def replaced(self: HostFolder, old: str, new: str) -> None:
        replace(self, old, new)
        failing.extend([new] if new == shared.wim.name else [])

    def synced(self: HostFolder) -> None:
        if failing:
            raise HostError(what="syncing", where=failing.pop(), why="Input/output error")
        sync(self)

    monkeypatch.setattr(HostFolder, "replace", replaced)
    monkeypatch.setattr(HostFolder, "sync", synced)
    run = wimboot("prune", shared.wim, "--keep-last", "1", *shared.targets, "--yes", "--json")
    assert (run.code, run.json["error"]["id"]) == (1, "commit-in-doubt")
    assert "wimboot recover" in run.json["error"]["hint"]
    assert len(done("images", shared.wim, "--json").json["images"]) == 2
    for volume in (shared.x64, shared.x86):
        done("recover", volume)
        done("verify", volume, "--wim", shared.wim)


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
