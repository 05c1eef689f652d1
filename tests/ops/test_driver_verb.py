"""`wimboot driver`: one boot driver put into an offline system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import build
from converted import Converted
from driver_files import signed_driver, wofadk
from judges import every_pointer_leads_home, sound_volume
from mounting import copy_sparse, mounted
from prepared import WOFADK_VALUES, said, values_of
from running import done, refused, unchanged

INF = """[Version]
Signature="$Windows NT$"
Class=SCSIAdapter
ClassGUID={4D36E97B-E325-11CE-BFC1-08002BE10318}
Provider=WinVBlock
[Manufacturer]
WinVBlock=Driver,,NTamd64
[Driver.NTamd64]
"WinVBlock Bus"=WinVBlock.NTamd64,Root\\WinVBlock, Detected\\WinVBlock
[WinVBlock.NTamd64.Services]
AddService=WinVBlock,0x00000002,Service
[Service]
ServiceType=0x00000001
StartType=0x00000002
ErrorControl=0x00000001
ServiceBinary=%12%\\wvblk64.sys
LoadOrderGroup=SCSI miniport
AddReg=BootStart
[BootStart]
HKR,,Start,0x00010001,0
"""
FILE = "Windows/System32/drivers"


def test_the_overlay_driver_is_installed_once(small_volume: Path, tmp_path: Path) -> None:
    """File and service; a second run finds all of it there and writes nothing; a dry run writes nothing at all."""
    driver = wofadk(tmp_path)
    with unchanged(small_volume):
        assert "Would install" in done("driver", small_volume, driver, "--dry-run").out
    told = done("driver", small_volume, driver, "--json").json
    assert (told["service"], told["version"], told["architecture"], told["signature"], told["changed"]) == (
        "WofAdk", "10.0.10240.16384", "amd64", "sha256", True)
    assert told["control_sets"] == [1]
    hive = said(small_volume, tmp_path / "hive")
    assert values_of(hive, "\\ControlSet001\\services\\WofAdk") == WOFADK_VALUES
    assert "WimBoot" not in values_of(hive, "\\Setup")
    sound_volume(small_volume)
    with unchanged(small_volume):
        assert "nothing to do" in done("driver", small_volume, driver).out
    done("convert", small_volume, "--wim", tmp_path / "store.wim", "--wim-place", "later")


def test_a_newer_file_takes_the_place_of_the_old_one(small_volume: Path, tmp_path: Path) -> None:
    """The service is there already: only the file is written."""
    from driver_files import driver_file, signed

    done("driver", small_volume, wofadk(tmp_path))
    newer = tmp_path / "newer.sys"
    newer.write_bytes(signed(driver_file(version=(10, 0, 14393, 0))))
    assert done("driver", small_volume, newer, "--json").json["version"] == "10.0.14393.0"
    with mounted(small_volume) as root:
        assert (root / FILE / "wofadk.sys").read_bytes() == newer.read_bytes()


def test_a_driver_for_disks_in_memory_goes_in_with_its_inf(converted: Converted, tmp_path: Path) -> None:
    """Into a system of pointers: it is a real file, and the next update captures it as such."""
    inf = tmp_path / "WinVBlk.inf"
    inf.write_text(INF)
    given = signed_driver(tmp_path, "wvblk64.sys")
    told = done("driver", converted.volume, given, "--inf", inf, "--json")
    assert (told.json["service"], told.json["device"]) == ("WinVBlock", "ROOT\\WinVBlock")
    hive = said(converted.volume, tmp_path / "hive")
    values = values_of(hive, "\\ControlSet001\\services\\WinVBlock")
    assert (values["Start"], values["Type"], values["Group"]) == (0, 1, "SCSI miniport")
    assert values_of(hive, "\\ControlSet001\\Enum\\ROOT\\WINVBLOCK\\0000")["Service"] == "WinVBlock"
    with unchanged(converted.volume):
        assert not done("driver", converted.volume, given, "--inf", inf, "--json").json["changed"]
    done("update", converted.volume)
    found = done("explain", converted.volume, f"\\{FILE}/wvblk64.sys".replace("/", "\\"), "--json").json
    assert (found["form"], found["rule"]["detail"]) == ("real", "service WinVBlock, at boot time (ControlSet001)")
    assert every_pointer_leads_home(converted.volume, converted.wim, {}) > 100


def test_what_will_not_do_is_refused(small_volume: Path, tmp_path: Path) -> None:
    """No INF for it, another INF, a file that is not there, a Windows that has the driver."""
    given, inf = signed_driver(tmp_path, "wvblk64.sys"), tmp_path / "other.inf"
    inf.write_text(INF.replace("wvblk64.sys", "wvblk32.sys"))
    watching = (small_volume,)
    refused("driver-unknown", 4, "driver", small_volume, given, watching=watching)
    refused("inf-refused", 4, "driver", small_volume, given, "--inf", inf, watching=watching)
    refused("host-missing", 2, "driver", small_volume, given, "--inf", tmp_path / "none.inf", watching=watching)
    told = refused("host-missing", 2, "driver", small_volume, tmp_path / "none.sys", watching=watching)
    assert "folder" not in told.err.splitlines()[-1]


def test_a_second_overlay_driver_is_refused(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Windows 8.1 Update and later have one."""
    volume = tmp_path / "ten.img"
    copy_sparse(built_system(size=24 << 20, files=12, features=(), version="10.0").path, volume)
    refused("driver-not-needed", 4, "driver", volume, wofadk(tmp_path), watching=(volume,))


def test_a_system_without_a_registry_gets_no_driver(small_volume: Path, tmp_path: Path) -> None:
    """Its kernel tells what it is; there is nothing to write a service into."""
    with mounted(small_volume, write=True) as root:
        (root / "Windows/System32/config/SYSTEM").unlink()
    refused("registry-missing", 4, "driver", small_volume, wofadk(tmp_path), watching=(small_volume,))


@pytest.mark.parametrize("sets", [1, 2])
def test_people_are_told_what_was_done(sets: int, small_volume: Path, tmp_path: Path) -> None:
    """In words, and which control sets have it."""
    from prepared import edit_system
    from registry_hives import dword

    if sets == 2:
        edit_system(small_volume, {"ControlSet002\\services\\Disk": {"Start": dword(0)}})
    out = done("driver", small_volume, wofadk(tmp_path)).out
    assert "boot driver WofAdk" in out
    assert ("(ControlSet001, ControlSet002)" if sets == 2 else "(ControlSet001)") in out
