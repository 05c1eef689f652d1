"""Formatting through a sparse file."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from judges import sound_volume
from volume_rig import ROOT, TIMES, opened, utf16
from wimboot.ntfs.format import MkntfsMissing, SizeNotFormattable, copy_formatted, format_volume
from wimboot.storage import FileDevice, HostFile, SliceDevice

if TYPE_CHECKING:
    from pathlib import Path


def _device(path: Path, content: bytes) -> FileDevice:
    path.write_bytes(content)
    return FileDevice(HostFile.open(path, write=True))


@pytest.mark.parametrize("cluster_size", [512, 4096, 65536])
def test_a_formatted_volume_is_sound_whatever_lay_there(tmp_path: Path, cluster_size: int) -> None:
    """What mkntfs takes for zeros is written as zeros: old bytes do not shine through."""
    size = 40 << 20
    device = _device(tmp_path / "disk.img", os.urandom(size))
    with format_volume(size, cluster_size=cluster_size, label="Volume \u00e4", hidden_sectors=2048,
                       serial=0x1122334455667788, folder=tmp_path) as made:
        copy_formatted(made, device)
        assert os.fstat(made.file.fileno()).st_blocks * 512 < size
    assert [path.name for path in tmp_path.iterdir()] == ["disk.img"]
    path = tmp_path / "disk.img"
    raw = path.read_bytes()
    assert raw[:512] == raw[-512:], "the copy of the boot sector"
    assert int.from_bytes(raw[28:32], "little") == 2048
    assert (raw[24:26], raw[26:28]) == (b"\x3f\0", b"\xff\0")
    with opened(path) as volume:
        assert (volume.cluster_size, volume.label, volume.serial) == (cluster_size, "Volume \u00e4", 0x1122334455667788)
        for number in range(200):
            file_id = volume.create_file(ROOT, utf16(f"file {number}"), b"", 0x20, TIMES, 0)
            volume.write_data(file_id, b"", [b"x" * 3000], 3000)
    sound_volume(path)


def test_free_clusters_are_not_written(tmp_path: Path) -> None:
    """Copying costs what the empty volume takes, not the size of the partition."""
    size = 60 << 20
    pattern = bytes(range(1, 256)) * 4112
    device = _device(tmp_path / "disk.img", (pattern * (size // len(pattern) + 1))[:size])
    with format_volume(size, folder=tmp_path) as made:
        copy_formatted(made, device)
    raw = (tmp_path / "disk.img").read_bytes()
    kept = sum(raw[offset:offset + 255].count(0) == 0 for offset in range(0, size, 4096))
    assert kept > size // 4096 * 0.8


def test_a_partition_in_a_disk_is_formatted_in_place(tmp_path: Path) -> None:
    """Nothing beside the partition changes."""
    device = _device(tmp_path / "disk.img", b"\xaa" * (24 << 20))
    with format_volume(16 << 20, hidden_sectors=8192, folder=tmp_path) as made:
        copy_formatted(made, SliceDevice(device, 4 << 20, 16 << 20))
    raw = (tmp_path / "disk.img").read_bytes()
    assert raw[:4 << 20] == b"\xaa" * (4 << 20)
    assert raw[20 << 20:] == b"\xaa" * (4 << 20)
    (tmp_path / "part.img").write_bytes(raw[4 << 20:20 << 20])
    sound_volume(tmp_path / "part.img")


@pytest.mark.parametrize(("size", "options"), [
    (0, {}), (512, {}), (1 << 20, {}), ((8 << 20) + 1, {}), (8 << 20, {"cluster_size": 1000}),
    (8 << 20, {"cluster_size": 0}), (8 << 20, {"label": "x" * 33}), (8 << 20, {"label": "a\0b"}),
])
def test_impossible_volumes_are_refused(tmp_path: Path, size: int, options: dict[str, object]) -> None:
    """Before mkntfs is started, and with nothing left behind."""
    with pytest.raises(SizeNotFormattable):
        format_volume(size, folder=tmp_path, **options)  # type: ignore[arg-type]  # wrong on purpose
    assert not list(tmp_path.iterdir())


def test_a_device_of_another_size_is_refused(tmp_path: Path) -> None:
    """A volume is made for one partition."""
    device = _device(tmp_path / "disk.img", bytes(9 << 20))
    with format_volume(8 << 20, folder=tmp_path) as made, pytest.raises(SizeNotFormattable):
        copy_formatted(made, device)


def test_a_missing_mkntfs_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user is told what to install."""
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("mkntfs")

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(MkntfsMissing) as caught:
        format_volume(8 << 20, folder=tmp_path)
    assert "ntfs-3g" in caught.value.hint
    assert not list(tmp_path.iterdir())
