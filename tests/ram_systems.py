"""A converted Windows 7 that could start from a disk in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import build
from boot_systems import add_boot_files
from mounting import copy_sparse, mounted
from registry_hives import dword, edited, multi_sz, sz
from running import done

__all__ = ["MEMORY", "PLACE", "Seven", "seven"]

PLACE = "mbr:5cbea03e:1048576:\\wimboot\\store.wim"
MEMORY = "\\Control\\Session Manager\\Memory Management"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seven:
    """A converted Windows 7 with a driver for disks in memory; `told` is what `convert` said."""

    volume: Path
    wim: Path


def install(volume: Path, service: str = "svbusx64") -> None:
    """What an installer of such a driver leaves behind, a page file, and a second control set."""
    with mounted(volume, write=True) as root:
        hive = root / "Windows/System32/config/SYSTEM"
        keys = {}
        for number in (1, 2):
            at = f"ControlSet{number:03d}"
            keys[f"{at}\\services\\{service}"] = {
                "Type": dword(1), "Start": dword(0), "ErrorControl": dword(1), "Group": sz("SCSI Miniport"),
                "ImagePath": sz(f"\\SystemRoot\\System32\\drivers\\{service}.sys")}
            keys[at + MEMORY] = {"PagingFiles": multi_sz("?:\\pagefile.sys"), "PhysicalAddressExtension": dword(1)}
            keys[f"{at}\\Control\\Power"] = {"HibernateEnabled": dword(1)}
        hive.write_bytes(edited(hive.read_bytes(), keys))
        program = (root / "Windows/System32/drivers/ntfs.sys").read_bytes()
        (root / f"Windows/System32/drivers/{service}.sys").write_bytes(program)


@pytest.fixture(scope="session")
def seven(built_system: Callable[..., build.System], tmp_path_factory: pytest.TempPathFactory) -> Seven:
    """For reading only."""
    folder = tmp_path_factory.mktemp("seven")
    volume, wim = folder / "win7.img", folder / "store.wim"
    copy_sparse(built_system(size=32 << 20, files=24, features=()).path, volume)
    add_boot_files(volume)
    install(volume)
    done("convert", volume, "--wim", wim, "--name", "first", "--wim-place", PLACE, "--driver", "none")
    return Seven(volume=volume, wim=wim)
