"""The third system of a folder, told through the command line: a Windows 7 gets its drivers, becomes pointers, a menu
on a system partition and an image for memory; each step looked at by programs of others.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import build
from boot_judge import put_boot_code, start_disk
from boot_systems import BIOS_FILES, add_boot_files, boot_contents
from driver_files import signed_driver, wofadk
from fat_judge import mtools_files, sound_fat
from judges import every_pointer_leads_home, sound_volume, sound_wim
from mounting import copy_sparse, mounted
from ram_judge import RamDisk, copied_out, hive_values, unpack
from running import done
from snapshots import pointer, snapshot

WIM_PLACE = "mbr:5cbea03e:1048576:\\wimboot\\wimboot.wim"
INF = """[Version]
Signature="$Windows NT$"
Class=SCSIAdapter
ClassGuid={4D36E97B-E325-11CE-BFC1-08002BE10318}
Provider=%Maker%
[Manufacturer]
%Maker%=Devices,NTamd64
[Devices.NTamd64]
%Device%=Install,ROOT\\svbusx64
[Install.NTamd64]
CopyFiles=Files
[Install.NTamd64.Services]
AddService=svbusx64,2,Service
[Service]
DisplayName=%Device%
ServiceType=1
StartType=0
ErrorControl=1
ServiceBinary=%12%\\svbusx64.sys
LoadOrderGroup=SCSI Miniport
[Files]
svbusx64.sys
[DestinationDirs]
Files=12
[Strings]
Maker="Someone"
Device="SVBus Virtual SCSI Host Adapter"
"""


def test_a_windows_7_comes_into_memory(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """driver, convert, boot, ram: the disk that grub4dos will hold starts, and holds the system that was there."""
    volume, wim = tmp_path / "win7.img", tmp_path / "wimboot.wim"
    copy_sparse(built_system(size=32 << 20, files=30, features=()).path, volume)
    add_boot_files(volume)
    boot_files = boot_contents(volume, set(BIOS_FILES.values()))
    before = snapshot(volume)
    overlay, svbus = wofadk(tmp_path), signed_driver(tmp_path, "svbusx64.sys")
    (tmp_path / "svbus.inf").write_text(INF)

    done("driver", volume, svbus, "--inf", tmp_path / "svbus.inf")
    done("convert", volume, "--wim", wim, "--driver", overlay, "--wim-place", WIM_PLACE)
    sound_wim(wim)

    esp = tmp_path / "esp.img"
    subprocess.run(["mkfs.fat", "-F", "32", "-n", "SYSTEM", "-C", esp, "40960"], check=True, capture_output=True)
    done("boot", volume, "--to", esp, "--volume-place", "mbr:5cbea03e:1048576", "--title", "Windows 7",
         "--firmware", "bios")
    there = mtools_files(esp)
    sound_fat(esp, there)
    assert {path.lower().lstrip("/"): data for path, data in there.items() if not path.endswith("BCD")} == {
        path.lower(): boot_files[source] for path, source in BIOS_FILES.items()}

    told = done("ram", volume, tmp_path / "win7.ram", "--menu", tmp_path / "menu.lst",
                "--menu-path", "/wimboot/x64/win7.ram", "--json").json
    assert told["drivers"] == ["SVBus"]
    assert told["disk"]["bytes"] == 5 << 30
    disk = unpack(tmp_path / "win7.ram", tmp_path / "win7.raw")
    check_system(disk, wim, told, {"wofadk.sys": overlay, "svbusx64.sys": svbus}, there, tmp_path)
    after = snapshot(disk.path, disk.start, contents=False)
    gone = {path for path in before if path not in after}
    assert all(path.startswith(("pagefile.sys", "System Volume Information/tracking", "Windows/Temp/"))
               for path in gone), gone
    put_boot_code(disk.path, disk.start)
    start = start_disk(disk.path)
    assert start.active
    assert start.found_by_hidden_sectors
    assert start.found_by_chs


def check_system(disk: RamDisk, wim: Path, told: dict[str, Any], drivers: dict[str, Path], there: dict[str, bytes],
                 scratch: Path) -> None:
    """Pointers, drivers, boot files, registry and menu of the image."""
    sound_volume(disk.path, disk.start)
    assert every_pointer_leads_home(disk.path, wim, {}, disk.start) == told["pointed"] > 30
    files = snapshot(disk.path, disk.start)
    with mounted(disk.path, offset=disk.start) as root:
        for name, given in drivers.items():
            path = f"Windows/System32/drivers/{name}"
            assert pointer(files[path]) is None
            assert (root / path).read_bytes() == given.read_bytes()
        assert (root / "bootmgr").read_bytes() == there["bootmgr"]
        assert (root / "Boot/BCD").stat().st_size > 4096
    hive = hive_values(copied_out(disk, "Windows/System32/config/SYSTEM", scratch / "SYSTEM"))
    for service in ("WofAdk", "svbusx64"):
        assert hive[f"\\ControlSet001\\services\\{service}"]["Start"] == 0
    assert hive["\\Setup"]["WimBoot"] == 1
    assert struct.pack("<IQ", disk.signature, disk.start) in (
        hive["\\MountedDevices"]["\\DosDevices\\C:"], bytes.fromhex(str(hive["\\MountedDevices"]["\\DosDevices\\C:"])))
    menu = (scratch / "menu.lst").read_text()
    assert "find --set-root --ignore-floppies --ignore-cd /wimboot/x64/win7.ram" in menu
    assert "map --top --mem=-10485760 /wimboot/x64/win7.ram (hd0)" in menu
