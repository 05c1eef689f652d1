"""Who uses a WIM, found by looking: beside it, below it, mounted; and what is said of volumes that cannot be read."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

from converted import Converted
from mounting import copy_sparse, mounted
from partition_table import partition
from running import done, refused
from wimboot.disk import Host
from wimboot.formats.guid import guid_text, parse_guid
from wimboot.ops.sharing.users import Users, users_of


@pytest.fixture
def nothing_attached(tmp_path: Path) -> Host:
    """A host without disks and mounts."""
    return Host(proc=tmp_path / "proc", sys=tmp_path / "sys")


def _guid(converted: Converted) -> bytes:
    return parse_guid(converted.told["image"]["wim_guid"])


def _places(users: Users) -> list[str]:
    return sorted(user.place for user in users.found)


def test_images_beside_and_below_the_wim_are_found(converted: Converted, nothing_attached: Host) -> None:
    """A volume beside the WIM, one in a disk in a folder, but none four folders down, and no volume of another WIM."""
    home = converted.wim.parent
    below, deep = home / "machines/one", home / "a/b/c/d"
    below.mkdir(parents=True)
    deep.mkdir(parents=True)
    copy_sparse(converted.volume, deep / "far.img")
    copy_sparse(converted.original, home / "plain.img")
    disk = below / "disk.raw"
    copy_sparse(converted.volume, disk, target_offset=1 << 20)
    partition(disk, f"label: dos\nstart=2048, size={(64 << 20) // 512}, type=7\n")
    (home / "notes.img").write_bytes(b"no disk at all".ljust(2 << 20, b"\0"))
    (home / "short.img").write_bytes(b"\xeb\x52\x90NTFS    ")
    users = users_of(_guid(converted), converted.wim, host=nothing_attached)
    assert _places(users) == [f"{disk}#1", str(converted.volume)]
    assert not users.unread
    assert {user.source.wim_index for user in users.found} == {1}
    assert {guid_text(user.source.wim_guid) for user in users.found} == {converted.told["image"]["wim_guid"]}
    assert users.complete
    assert not users_of(bytes(range(16)), converted.wim, host=nothing_attached).found


@pytest.mark.parametrize("kind", ["vhdx", "qcow2", "vmdk", "vdi"])
def test_disks_in_other_forms_are_looked_into(converted: Converted, nothing_attached: Host, kind: str) -> None:
    """A system that was moved into another kind of disk needs the WIM as before."""
    disk = converted.wim.parent / f"moved.{kind}"
    subprocess.run(["qemu-img", "convert", "-q", "-f", "raw", "-O", kind, converted.volume, disk], check=True)
    converted.volume.unlink()
    users = users_of(_guid(converted), converted.wim, host=nothing_attached)
    assert _places(users) == [str(disk)]
    assert not users.unread


def test_disks_in_a_form_that_is_not_read_may_be_users(converted: Converted, nothing_attached: Host) -> None:
    """Compressed, say: that such a one needs the WIM cannot be ruled out."""
    with mounted(converted.volume, write=True) as root:
        (root / "added.bin").write_bytes(b"added" * 9999)
    done("update", converted.volume)
    disk = converted.wim.parent / "moved.qcow2"
    subprocess.run(["qemu-img", "convert", "-q", "-c", "-f", "raw", "-O", "qcow2", converted.volume, disk], check=True)
    converted.volume.unlink()
    users = users_of(_guid(converted), converted.wim, host=nothing_attached)
    assert not users.found
    assert [(one.place, "compressed" in one.why) for one in users.unread] == [(str(disk), True)]
    refused("users-unread", 4, "prune", converted.wim, "--keep-last", "1", "--yes", watching=(converted.wim, disk))


def test_folders_that_are_named_are_looked_into(converted: Converted, nothing_attached: Host, tmp_path: Path) -> None:
    """A WIM that lies elsewhere finds its volumes in the folders given; the same one twice is one."""
    wim = tmp_path / "elsewhere" / "store.wim"
    wim.parent.mkdir()
    shutil.copy(converted.wim, wim)
    folder = converted.volume.parent
    assert not users_of(_guid(converted), wim, host=nothing_attached).found
    assert _places(users_of(_guid(converted), wim, [folder, folder], host=nothing_attached)) == [str(converted.volume)]


def test_images_beside_a_link_to_the_wim_are_found(converted: Converted, nothing_attached: Host,
                                                   tmp_path: Path) -> None:
    """Whoever keeps the WIM elsewhere and a link beside the disks names the link."""
    away = tmp_path / "away"
    away.mkdir()
    converted.wim.rename(away / "store.wim")
    converted.wim.symlink_to(away / "store.wim")
    assert _places(users_of(_guid(converted), converted.wim, host=nothing_attached)) == [str(converted.volume)]


def test_ntfs_that_cannot_be_looked_at_is_told(converted: Converted, nothing_attached: Host) -> None:
    """An image that a virtual machine uses, one whose interrupted run waits, one that is damaged: each by its name."""
    home = converted.wim.parent
    waiting, damaged, busy = home / "waiting.img", home / "damaged.img", home / "busy.img"
    for copy in (waiting, damaged, busy):
        copy_sparse(converted.volume, copy)
    (home / "waiting.img.wimboot-log").write_bytes(b"\0" * 4096)
    with damaged.open("r+b") as file:
        file.seek(0x30)
        file.write(b"\xff" * 8)
    with busy.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        users = users_of(_guid(converted), converted.wim, host=nothing_attached)
    why = {unread.place: unread.why for unread in users.unread}
    assert why.keys() == {str(waiting), str(damaged), str(busy)}
    assert "interrupted" in why[str(waiting)]
    assert "used by another program" in why[str(busy)]
    assert _places(users) == [str(converted.volume)]


def test_a_mounted_volume_is_asked_through_its_mount(converted: Converted) -> None:
    """What its driver has open for writing is not read under it, and found all the same."""
    with mounted(converted.volume, write=True):
        users = users_of(_guid(converted), converted.wim)
    assert str(converted.volume) in _places(users)
    assert str(converted.volume) not in {unread.place for unread in users.unread}
