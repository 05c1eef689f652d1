"""Systems that bring boot files, as Windows has them in \\Windows\\Boot, for tests of what is made of those."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

import pytest

import build
from mounting import copy_sparse, mounted
from sample_contents import program
from wimboot.formats.bcd import ElementType, ObjectType
from wimboot.formats.bcdnames import Ids
from wimboot.windows.bcd import Store, empty_store

__all__ = [
    "BIOS_FILES",
    "UEFI_FILES",
    "add_boot_files",
    "boot_contents",
    "bootable",
    "bootable_volume",
    "esp",
    "files_of",
    "newer_volume",
    "sample_template",
]

BIOS_FILES = {"bootmgr": "PCAT/bootmgr", "Boot/memtest.exe": "PCAT/memtest.exe",
              "Boot/zh-CN/bootmgr.exe.mui": "PCAT/zh-CN/bootmgr.exe.mui",
              "Boot/Fonts/chs_boot.ttf": "Fonts/chs_boot.ttf", "Boot/Resources/bootres.dll": "Resources/bootres.dll"}
UEFI_FILES = {"EFI/Microsoft/Boot/bootmgfw.efi": "EFI/bootmgfw.efi", "EFI/BOOT/BOOTX64.EFI": "EFI/bootmgfw.efi",
              "EFI/Microsoft/Boot/memtest.efi": "EFI/memtest.efi",
              "EFI/Microsoft/Boot/en-US/bootmgfw.efi.mui": "EFI/en-US/bootmgfw.efi.mui",
              "EFI/Microsoft/Boot/Fonts/chs_boot.ttf": "Fonts/chs_boot.ttf",
              "EFI/Microsoft/Boot/Resources/bootres.dll": "Resources/bootres.dll"}
"""Path on the system partition, and path in \\Windows\\Boot."""

LOADERS = ("Windows/System32/winload.exe", "Windows/System32/winload.efi")


def add_boot_files(volume: Path, *, build_number: int = 7601, machine: str = "amd64", uefi: bool = True,
                   template: bytes | None = None, other: bytes = b"") -> dict[str, bytes]:
    """Put them onto a volume with a Windows; what lies at each path of \\Windows\\Boot. `other` makes them differ."""
    chance, made = Random(build_number), {}
    wanted = {*BIOS_FILES.values(), *(UEFI_FILES.values() if uefi else ())}
    with mounted(volume, write=True) as root:
        for name in sorted(wanted):
            made[name] = program(size=12_000 + chance.randrange(9000), machine=machine,
                                 version=(6, 1, build_number, 17514), chance=chance) + other
            path = root / "Windows/Boot" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(made[name])
        for loader in LOADERS:
            (root / loader).write_bytes(program(machine=machine))
        if template is not None:
            (root / "Windows/System32/config/BCD-Template").write_bytes(template)
    return made


def sample_template() -> bytes:
    """A BCD-Template with a loader's object for BIOS and one setting that is not the usual one."""
    with Store(empty_store(), where="the template") as store:
        store.add(Ids.LOADER_TEMPLATE_BIOS, ObjectType.OS_LOADER)
        store.set(Ids.LOADER_TEMPLATE_BIOS, ElementType.NX, 1)
        store.set(Ids.LOADER_TEMPLATE_BIOS, 0x46000004, True)
        store.add(Ids.EMS, ObjectType.SETTINGS)
        store.set(Ids.EMS, ElementType.BOOT_EMS, True)
        return store.commit()


@pytest.fixture(scope="session")
def bootable_volume(built_system: Callable[..., build.System], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare volume with a Windows 7 and its boot files, for reading only."""
    path = tmp_path_factory.mktemp("bootable") / "seven.img"
    copy_sparse(built_system(size=24 << 20, files=6, features=()).path, path)
    add_boot_files(path, template=sample_template())
    return path


@pytest.fixture(scope="session")
def newer_volume(built_system: Callable[..., build.System], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose boot files are newer, for reading only."""
    path = tmp_path_factory.mktemp("newer") / "newer.img"
    copy_sparse(built_system(size=24 << 20, files=6, features=()).path, path)
    add_boot_files(path, build_number=9600, template=b"no hive at all")
    return path


@pytest.fixture
def bootable(bootable_volume: Path, tmp_path: Path) -> Path:
    """The test's own copy of the Windows 7 with boot files."""
    own = tmp_path / "seven.img"
    copy_sparse(bootable_volume, own)
    return own


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder of the host."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file()}


def boot_contents(volume: Path, paths: Iterable[str]) -> dict[str, bytes]:
    r"""What lies at these paths of a volume's \Windows\Boot, as the driver reads it."""
    with mounted(volume) as root:
        return {path: (root / "Windows/Boot" / path).read_bytes() for path in paths}


@pytest.fixture
def esp(tmp_path: Path) -> Path:
    """An empty system partition, as a folder where it is mounted."""
    folder = tmp_path / "esp"
    folder.mkdir()
    return folder
