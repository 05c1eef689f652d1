r"""The sample system of `wimboot demo`: a disk image with a Windows as far as that can be told from outside.

A partition at 1 MiB holds boot files, hives, a kernel set, drivers, fonts, users, programs, WinSxS links, and in
\Features a piece of everything that NTFS knows. The programs are real PE files. No root is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.events import Emit, Phase, silent
from wimboot.formats.mbr import ACTIVE, NTFS_TYPE, Mbr, MbrEntry
from wimboot.frozen import Frozen
from wimboot.ntfs import Volume, copy_formatted, format_volume
from wimboot.ops.sample.contents import Stock, boot_store, plain_hive, software_hive, system_hive
from wimboot.ops.sample.features import plant_features
from wimboot.ops.sample.planting import Planter
from wimboot.storage import FileDevice, HostFolder, SliceDevice
from wimboot.tree import FileAttribute

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DemoSystem", "build_demo_system"]

SECTOR = 512
PARTITION_OFFSET = 1 << 20
DISK_SIGNATURE = 0x5CBEA03E
HIDDEN_SYSTEM = FileAttribute.HIDDEN | FileAttribute.SYSTEM
KERNEL = {
    "ntoskrnl.exe": 9_000_000,
    "hal.dll": 400_000,
    "winload.exe": 1_500_000,
    "kdcom.dll": 60_000,
    "ci.dll": 700_000,
    "bootvid.dll": 30_000,
    "KernelBase.dll": 2_500_000,
    "kernel32.dll": 800_000,
    "user32.dll": 1_700_000,
    "ntdll.dll": 2_000_000,
    "shell32.dll": 7_000_000,
}
DRIVERS = ("ntfs", "fltmgr", "wof", "disk", "partmgr", "volmgr", "storahci", "null", "tcpip", "ndis")
CODE_PAGES = ("c_1252.nls", "c_437.nls", "c_936.nls", "l_intl.nls", "locale.nls")


class DemoSystem(Frozen):
    """What to build. `files` counts those in Program Files and WinSxS; a few hundred come on top."""

    path: Path
    size: int = 1 << 30
    files: int = 1800
    seed: int = 2015


def build_demo_system(options: DemoSystem, emit: Emit = silent) -> int:
    """Build the disk image, which must not be there yet; the number of files on it. Raises HostError."""
    phase = Phase(name="build", total=options.files)
    emit(phase)
    file = HostFolder(options.path.parent).create(options.path.name)
    try:
        file.truncate(options.size)
        volume_size = (options.size - 2 * PARTITION_OFFSET) // PARTITION_OFFSET * PARTITION_OFFSET
        file.pwrite(0, _partition_table(volume_size))
        device = SliceDevice(FileDevice(file), PARTITION_OFFSET, volume_size)
        with format_volume(
            volume_size, cluster_size=4096, label="Windows", hidden_sectors=PARTITION_OFFSET // SECTOR
        ) as fresh:
            copy_formatted(fresh, device)
        with Volume(device, write=True, where=str(options.path)) as volume:
            stock = Stock(options.seed)
            plant = Planter(volume, stock.chance)
            _plant_system(plant, stock)
            plant_features(plant, stock)
            _plant_programs(plant, stock, options.files, phase)
            count = plant.count
        file.sync()
    finally:
        file.close()
    return count


def _partition_table(volume_size: int) -> bytes:
    partition = MbrEntry(
        status=ACTIVE,
        first_chs=b"\x20\x21\x00",
        type=NTFS_TYPE,
        last_chs=b"\xfe\xff\xff",
        first_sector=PARTITION_OFFSET // SECTOR,
        sectors=volume_size // SECTOR,
    )
    return Mbr(disk_signature=DISK_SIGNATURE, entries=(partition, MbrEntry(), MbrEntry(), MbrEntry())).pack()


def _plant_system(plant: Planter, stock: Stock) -> None:
    plant.folder("Boot", HIDDEN_SYSTEM)
    plant.file("bootmgr", stock.program(400_000), attributes=HIDDEN_SYSTEM | FileAttribute.READONLY)
    plant.file("Boot/BCD", boot_store())
    plant.file("Boot/Fonts/chs_boot.ttf", stock.noise(300_000))
    plant.file("Boot/zh-CN/bootmgr.exe.mui", stock.program(20_000))
    _plant_boot_files(plant, stock)
    plant.file("pagefile.sys", bytes(16 << 20), attributes=HIDDEN_SYSTEM)
    plant.folder("System Volume Information", HIDDEN_SYSTEM)
    plant.file("System Volume Information/tracking.log", bytes(20_480))
    for name, size in KERNEL.items():
        plant.file(f"Windows/System32/{name}", stock.program(size))
    plant.file("Windows/System32/Boot/winload.exe", stock.program(1_500_000))
    for name in DRIVERS:
        plant.file(f"Windows/System32/drivers/{name}.sys", stock.program(stock.chance.randint(50_000, 900_000)))
    for name in CODE_PAGES:
        plant.file(f"Windows/System32/{name}", stock.text(66_000))
    for name in ("vgaoem.fon", "vgasys.fon", "segoeui.ttf", "simsun.ttc"):
        plant.file(f"Windows/Fonts/{name}", stock.noise(200_000))
    plant.file("Windows/explorer.exe", stock.program(4_000_000))
    plant.file("Windows/AppPatch/drvmain.sdb", stock.text(400_000))
    plant.file("Windows/INF/errata.inf", stock.text(40_000))
    plant.file("Windows/bootstat.dat", bytes(67_584))
    plant.file("Windows/Logs/CBS/CBS.log", stock.text(2_000_000))
    plant.file("Windows/Temp/left over.tmp", stock.text(70_000))
    _plant_hives(plant, stock)


def _plant_boot_files(plant: Planter, stock: Stock) -> None:
    """What Windows keeps for making a system partition, so that `wimboot boot` can be tried."""
    boot = "Windows/Boot"
    for name, size in (("PCAT/bootmgr", 400_000), ("PCAT/bootnxt", 1_000), ("PCAT/memtest.exe", 500_000),
                       ("EFI/bootmgfw.efi", 1_400_000), ("EFI/memtest.efi", 900_000)):
        plant.file(f"{boot}/{name}", stock.program(size))
    for language in ("en-US", "zh-CN"):
        plant.file(f"{boot}/PCAT/{language}/bootmgr.exe.mui", stock.program(70_000))
        plant.file(f"{boot}/EFI/{language}/bootmgfw.efi.mui", stock.program(70_000))
    for name in ("chs_boot.ttf", "segmono_boot.ttf", "wgl4_boot.ttf"):
        plant.file(f"{boot}/Fonts/{name}", stock.noise(60_000))
    plant.file("Windows/System32/winload.efi", stock.program(1_400_000))


def _plant_hives(plant: Planter, stock: Stock) -> None:
    config = "Windows/System32/config"
    plant.file(f"{config}/SYSTEM", system_hive(DISK_SIGNATURE, PARTITION_OFFSET))
    plant.file(f"{config}/SOFTWARE", software_hive())
    for name in ("SAM", "SECURITY", "DEFAULT"):
        plant.file(f"{config}/{name}", plain_hive(name))
    for person in ("Public", "Default", "\u5f20\u4e09"):
        plant.file(f"Users/{person}/NTUSER.DAT", plain_hive("NTUSER.DAT"), attributes=FileAttribute.HIDDEN)
        for number in range(6):
            documents = f"Users/{person}/Documents"
            plant.file(f"{documents}/letter {number}.docx", stock.noise(stock.chance.randint(5_000, 90_000)))
            plant.file(f"{documents}/notes {number}.txt", stock.text(stock.chance.randint(500, 20_000)))


def _plant_programs(plant: Planter, stock: Stock, files: int, phase: Phase) -> None:
    """Programs, libraries with their WinSxS names, texts, pictures, and the same file in several places."""
    for number in range(files):
        folder = f"Program Files/Product {number % 37}/part {number % 5}"
        kind = number % 6
        if kind == 0:
            plant.file(f"{folder}/tool{number}.exe", stock.program())
        elif kind == 1:
            plant.file(f"{folder}/setup{number}.exe", stock.programs[number % len(stock.programs)])
        elif kind == 2:
            library = plant.file(
                f"Windows/WinSxS/amd64_part{number % 53}_10.0.{number}/library{number}.dll",
                stock.program(stock.chance.randint(20_000, 400_000)),
            )
            plant.link(library, f"Windows/System32/library{number}.dll")
        elif kind == 3:
            plant.file(f"{folder}/picture {number}.jpg", stock.noise(stock.chance.randint(1_000, 90_000)))
        else:
            plant.file(f"{folder}/read me {number}.txt", stock.text(stock.chance.randint(1, 40_000)))
        phase.counter.add(1)
