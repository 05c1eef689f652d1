"""Which drive letter a system finds itself at: written for where it was deployed to, and no change that is told."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import build
from data_disks import attached_disk
from disk_kinds import KindOfDisk, disk_of_kind, empty_disk
from judges import sound_volume
from prepared import HIVE, edit_system, said, values_of
from registry_hives import dword
from running import done, unchanged
from snapshots import snapshot
from wimboot.registry import RegistryValue

LATER = ("--wim-place", "later")
MBR = struct.pack("<IQ", build.DISK_SIGNATURE, build.PARTITION_OFFSET)
GPT = b"DMIO:ID:" + build.PARTITION_GUID.bytes_le
OTHER = struct.pack("<IQ", 0x11223344, 1 << 21)
VOLUME_NAME = "\\??\\Volume{5b1f5d2e-0000-0000-0000-100000000000}"


def letters(disk: KindOfDisk, scratch: Path) -> dict[str, bytes]:
    """MountedDevices of the system on a disk, as regipy reads it."""
    found: dict[str, Any] = values_of(said(disk.raw(), scratch, disk.offset), "\\MountedDevices")
    return {name: bytes.fromhex(value) if isinstance(value, str) else bytes(value) for name, value in found.items()}


def captured(source: KindOfDisk, wim: Path, entries: dict[str, bytes] | None = None) -> None:
    """Capture a system whose registry has these entries."""
    if entries is not None:
        edit_system(source.path, {"MountedDevices": {
            name: RegistryValue.binary(data) for name, data in entries.items()}}, source.offset)
    done("capture", source.path, "--wim", wim, "--name", "first")


@pytest.mark.parametrize(("kind", "device"), [("gpt", GPT), ("mbr", MBR)])
@pytest.mark.parametrize("form", ["--pointers", "--full"])
def test_a_deployed_system_gets_the_letter_of_its_new_disk(
        kind: str, device: bytes, form: str, built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """On MBR and GPT disks; another letter of that partition goes, other letters and volume names stay."""
    source = disk_of_kind("raw", tmp_path, built_system)
    wim, target = tmp_path / "store.wim", empty_disk(kind, tmp_path)
    captured(source, wim, {"\\DosDevices\\C:": OTHER, "\\DosDevices\\E:": device, "\\DosDevices\\F:": b"another",
                           VOLUME_NAME: OTHER, "#{a}": b"storage"})
    done("apply", wim, "1", f"{target.path}#1", *(LATER if form == "--pointers" else ("--full",)))
    assert letters(target, tmp_path / "hive") == {
        "\\DosDevices\\C:": device, "\\DosDevices\\F:": b"another", VOLUME_NAME: OTHER, "#{a}": b"storage"}
    sound_volume(target.path, target.offset)


def test_what_was_prepared_is_no_change(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Neither status nor update nor a second restore finds anything, as long as Windows has not run."""
    source = disk_of_kind("raw", tmp_path, built_system)
    wim, target = tmp_path / "store.wim", empty_disk("gpt", tmp_path)
    captured(source, wim, {"\\DosDevices\\C:": OTHER})
    done("apply", wim, "1", f"{target.path}#1", *LATER)
    assert letters(target, tmp_path / "hive") == {"\\DosDevices\\C:": GPT}
    for _ in range(2):
        assert done("status", target.path, "--json").json["changes"] == []
        assert "nothing to do" in done("restore", target.path).out
    with unchanged(wim, times=False):
        assert done("update", target.path, "--dry-run", "--json").json["changes"] == done(
            "update", target.path, "--json").json["changes"]
    assert letters(target, tmp_path / "hive") == {"\\DosDevices\\C:": GPT}


def test_once_windows_has_run_its_registry_is_a_change(built_system: Callable[..., build.System],
                                                       tmp_path: Path) -> None:
    """Another time stamp in the base block; the letter of the volume stays when it is restored."""
    source = disk_of_kind("raw", tmp_path, built_system)
    wim, target = tmp_path / "store.wim", empty_disk("mbr", tmp_path)
    captured(source, wim, {"\\DosDevices\\C:": OTHER})
    done("apply", wim, "1", f"{target.path}#1", *LATER)
    edit_system(target.path, {"Setup": {"CmdLine": dword(1)}}, target.offset)
    told = done("status", target.path, "--json").json["changes"]
    assert [change["path"] for change in told] == ["\\Windows\\System32\\config\\SYSTEM"]
    done("restore", target.path)
    assert letters(target, tmp_path / "hive") == {"\\DosDevices\\C:": MBR}
    assert done("status", target.path, "--json").json["changes"] == []


def test_at_the_place_it_knows_nothing_is_written(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """An image of a system with pointers, back on a disk of the same signature: SYSTEM has every byte of the image."""
    source = disk_of_kind("mbr", tmp_path, built_system)
    wim, target = tmp_path / "store.wim", empty_disk("mbr", tmp_path)
    done("convert", source.path, "--wim", wim, *LATER)
    done("apply", wim, "1", f"{target.path}#1", *LATER)
    there, here = snapshot(source.path, source.offset)[HIVE], snapshot(target.path, target.offset)[HIVE]
    assert there.streams == here.streams
    done("extract", f"{target.path}#1", HIVE, tmp_path / "here")
    done("extract", f"{source.path}#1", HIVE, tmp_path / "there")
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


def test_a_bare_volume_forgets_all_letters(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Where it will lie is not known, and none must claim C: for a disk that is not there."""
    source = disk_of_kind("mbr", tmp_path, built_system)
    wim, target = tmp_path / "store.wim", empty_disk("raw", tmp_path)
    captured(source, wim, {"\\DosDevices\\D:": OTHER, VOLUME_NAME: OTHER, "#{a}": b"storage"})
    done("apply", wim, "1", target.path, *LATER)
    assert letters(target, tmp_path / "hive") == {"#{a}": b"storage"}
    assert done("status", target.path, "--json").json["changes"] == []


def test_a_disk_without_a_signature_is_not_known(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Windows would give it one, and nobody knows which."""
    source = disk_of_kind("mbr", tmp_path, built_system)
    wim, target = tmp_path / "store.wim", empty_disk("mbr", tmp_path)
    captured(source, wim)
    with target.path.open("r+b") as file:
        file.seek(0x1B8)
        file.write(bytes(4))
    done("apply", wim, "1", f"{target.path}#1", *LATER)
    assert letters(target, tmp_path / "hive") == {}


def test_converting_in_place_leaves_letters_alone(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Stale ones too: the system stays where it is."""
    source = disk_of_kind("mbr", tmp_path, built_system)
    edit_system(source.path, {"MountedDevices": {"\\DosDevices\\C:": RegistryValue.binary(OTHER)}}, source.offset)
    done("convert", source.path, "--wim", tmp_path / "store.wim", *LATER)
    assert letters(source, tmp_path / "hive") == {"\\DosDevices\\C:": OTHER}


def test_a_block_device_is_the_partition_that_it_is(
    built_system: Callable[..., build.System], tmp_path: Path, durable: Path
) -> None:
    """The partition's own device, without its disk being named."""
    source = disk_of_kind("raw", tmp_path, built_system)
    wim, target = tmp_path / "store.wim", empty_disk("mbr", tmp_path)
    captured(source, wim)
    with attached_disk(target.path) as device:
        partition = Path(f"{device}p1")
        if not partition.exists():
            pytest.skip("no loop devices with partitions here")
        done("apply", wim, "1", partition, *LATER, "--log", durable)
    assert letters(target, tmp_path / "hive") == {"\\DosDevices\\C:": MBR}


def test_a_vhd_that_grows_is_told_of_and_kept_small_on_request(built_system: Callable[..., build.System],
                                                               tmp_path: Path) -> None:
    """In every control set; a fixed VHD has nothing to grow."""
    source = disk_of_kind("raw", tmp_path, built_system)
    edit_system(source.path, {"ControlSet002\\services\\Disk": {"Start": dword(0)}})
    wim = tmp_path / "store.wim"
    captured(source, wim)
    for kind, options, is_told in (("dynamic", (), True), ("fixed", (), False), ("dynamic", ("--no-expand",), False)):
        target = empty_disk(kind, tmp_path, name=f"{kind}{len(options)}")
        told = done("apply", wim, "1", f"{target.path}#1", *LATER, *options).err
        assert ("--no-expand" in told) is is_told
        hive = said(target.raw(), tmp_path / "hive", target.offset)
        for number in (1, 2):
            key = f"\\ControlSet00{number}\\services\\FsDepends\\Parameters"
            assert values_of(hive, key) == ({"VirtualDiskExpandOnMount": 4} if options else {})
        assert done("status", target.path, "--json").json["changes"] == []


def test_a_system_on_another_letter_keeps_it(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """What its SystemRoot says: the paths in its registry begin so."""
    from mounting import mounted
    from registry_hives import edited, sz

    source = disk_of_kind("raw", tmp_path, built_system)
    software = "Windows/System32/config/SOFTWARE"
    with mounted(source.path, write=True) as root:
        data = edited((root / software).read_bytes(), {
            "Microsoft\\Windows NT\\CurrentVersion": {"SystemRoot": sz("D:\\Windows")}})
        (root / software).write_bytes(data)
    wim, target = tmp_path / "store.wim", empty_disk("mbr", tmp_path)
    captured(source, wim)
    done("apply", wim, "1", f"{target.path}#1", *LATER)
    assert letters(target, tmp_path / "hive") == {"\\DosDevices\\D:": MBR}
