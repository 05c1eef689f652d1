"""Copies of a disk beside it, as backups are: the same ids, the same WIM inside."""

from __future__ import annotations

import os
from pathlib import Path

import build
from converted import Converted
from data_disks import MIB
from mounting import carve, copy_sparse, mounted
from running import done, refused, unchanged, wimboot


def test_a_copy_of_the_disk_has_a_wim_of_its_own(stick: Path, alone: Converted, tmp_path: Path) -> None:
    """Windows sees one disk: an update of either goes into its own WIM, however many images the other's has, and where
    its own is damaged nothing else passes for it.
    """
    done("relocate", f"{stick}#2", "--wim", f"{stick}#1:/wimboot/store.wim", "--as",
         f"mbr:{build.DISK_SIGNATURE:08x}:{MIB}:\\wimboot\\store.wim")
    copy = tmp_path / "copy.img"
    copy_sparse(stick, copy)
    system = stick.stat().st_size - alone.volume.stat().st_size
    for disk, other in ((stick, copy), (copy, stick)):
        edited = carve(disk, system, tmp_path / "edited.img")
        with mounted(edited, write=True) as root:
            (root / "Windows" / f"of {disk.stem}.dll").write_bytes(os.urandom(90_000))
        copy_sparse(edited, disk, target_offset=system, size=alone.volume.stat().st_size)
        with unchanged(other):
            done("update", f"{disk}#2")
        assert "Sound: " in done("verify", f"{disk}#2").out
        assert "passed over" not in wimboot("status", f"{disk}#2").err
    with copy.open("r+b") as file:      # the WIM's header goes
        data = os.pread(file.fileno(), 32 * MIB, MIB)
        os.pwrite(file.fileno(), bytes(208), MIB + data.index(b"MSWIM\0\0\0"))
    told = refused("wim-replaced", 4, "update", f"{copy}#2", watching=(stick, copy))
    assert f"{copy}#1:/wimboot/store.wim" in told.err
