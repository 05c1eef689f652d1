"""Sample systems for tests: an installed Windows as far as it can be told from outside, made by ntfs-3g and hivexsh.

None of our own code takes part, so what the tests find in a volume was put there by somebody else. The same arguments
give the same tree; record numbers and places on the volume may differ.
"""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

import sample_hives
from mounting import UTF_8, copy_sparse, mounted
from partition_table import partition
from sample_contents import noise, program, real_programs, text, varied
from sample_features import EVERYTHING, Feature, put, set_attributes, set_times
from sample_security import DESCRIPTORS

__all__ = ["EVERYTHING", "PARTITION_OFFSET", "Feature", "System", "build_system", "make_volume"]

PARTITION_OFFSET = 1 << 20
DISK_SIGNATURE = 0x5CBEA03E
DISK_GUID = uuid.UUID("0b2394a9-095e-487d-8d48-719ecd4d78ca")
PARTITION_GUID = uuid.UUID("8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b")
INSTALLED = 0x01CB_89F0_0000_0000  # November 2010, 100 ns since 1601
HIDDEN_SYSTEM = 0x26

Version = Literal["6.1", "6.3", "10.0"]
Architecture = Literal["x86", "amd64", "arm64"]
Table = Literal["mbr", "gpt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What was built, and where its volume begins."""

    path: Path
    offset: int
    size: int
    version: Version
    architecture: Architecture
    table: Table | None


def make_volume(path: Path, *, size: int, start_sector: int = 0, label: str = "System", cluster: int = 4096) -> None:
    """An empty NTFS volume of `size` bytes, by mkntfs."""
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkntfs", "-q", "-Q", "-F", "-s", "512", "-c", str(cluster), "-p", str(start_sector), "-H", "255",
                    "-S", "63", "-L", label, str(path)], check=True, capture_output=True, env=UTF_8)


def build_system(image_path: Path, *, size: int = 96 << 20, features: Collection[Feature] = EVERYTHING,
                 files: int = 300, seed: int = 1, version: Version = "6.1", architecture: Architecture = "amd64",
                 table: Table | None = None, config: str | None = None) -> System:
    """Build a Windows in `image_path`: a bare volume of `size` bytes, or a disk with it at 1 MiB.

    `files` counts what lies in Program Files and WinSxS, about; the system's own files and \\Features come on top.
    `config` becomes \\Windows\\System32\\WimBootCompress.ini.
    """
    with tempfile.TemporaryDirectory(dir=image_path.parent, prefix="building-") as scratch:
        volume = Path(scratch) / "volume.img" if table else image_path
        make_volume(volume, size=size, start_sector=PARTITION_OFFSET // 512 if table else 0)
        with mounted(volume, write=True) as root:
            _Maker(root, Path(scratch), seed, version, architecture, table).make(files, features, config)
        if table:
            _partition(image_path, size, table)
            copy_sparse(volume, image_path, target_offset=PARTITION_OFFSET)
    return System(path=image_path, offset=PARTITION_OFFSET if table else 0, size=size, version=version,
                  architecture=architecture, table=table)


def _partition(disk: Path, volume_size: int, table: Table) -> None:
    place = f"start={PARTITION_OFFSET // 512}, size={volume_size // 512}"
    script = (f"label: dos\nlabel-id: {DISK_SIGNATURE:#x}\n{place}, type=7, bootable\n" if table == "mbr" else
              f"label: gpt\nlabel-id: {DISK_GUID}\n{place}, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, "
              f"uuid={PARTITION_GUID}, name=\"Basic data partition\"\n")
    partition(disk, script, size=PARTITION_OFFSET + volume_size + (1 << 20))


class _Maker:
    """Fills one mounted volume."""

    def __init__(self, root: Path, scratch: Path, seed: int, version: Version, architecture: Architecture,
                 table: Table | None) -> None:
        self.root, self.scratch, self.chance = root, scratch, Random(seed)
        self.version, self.architecture, self.table = version, architecture, table
        major, minor = map(int, version.split("."))
        self.numbers = (major, minor, *sample_hives.PRODUCTS[version][2:])

    def make(self, files: int, features: Collection[Feature], config: str | None) -> None:
        self.boot_files()
        self.kernel()
        self.hives()
        self.people()
        self.programs(files)
        if config is not None:
            self.write("Windows/System32/WimBootCompress.ini", config.encode())
        self.dress()
        for feature in sorted(features):
            put(self.root, feature, self.chance)
        self.date()

    def write(self, name: str, data: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def program(self, size: int) -> bytes:
        return program(size=size, machine=self.architecture, version=self.numbers, chance=self.chance)

    def boot_files(self) -> None:
        set_attributes(self.write("bootmgr", self.program(60_000)), HIDDEN_SYSTEM | 1)
        sample_hives.write_hive(self.scratch / "BCD", {"Description": {"KeyName": "string:BCD00000000"}, "Objects": {}})
        self.write("Boot/BCD", (self.scratch / "BCD").read_bytes())
        self.write("Boot/Fonts/chs_boot.ttf", noise(self.chance, 30_000))
        self.write("Boot/zh-CN/bootmgr.exe.mui", self.program(6000))
        set_attributes(self.root / "Boot", 0x6)
        set_attributes(self.write("pagefile.sys", bytes(1 << 20)), HIDDEN_SYSTEM)
        self.write("System Volume Information/tracking.log", bytes(20_480))
        set_attributes(self.root / "System Volume Information", 0x6)

    def kernel(self) -> None:
        system = "Windows/System32/"
        for name, size in (("ntoskrnl.exe", 400_000), ("hal.dll", 90_000), ("winload.exe", 120_000),
                           ("kdcom.dll", 9000), ("ci.dll", 40_000), ("bootvid.dll", 8000), ("KernelBase.dll", 150_000),
                           ("kernel32.dll", 200_000), ("user32.dll", 160_000), ("Boot/winload.exe", 120_000)):
            self.write(system + name, self.program(size))
        for name in ("ntfs", "fltmgr", "disk", "volmgr", "null", *(("wof",) if self.version != "6.1" else ())):
            self.write(f"{system}drivers/{name}.sys", self.program(self.chance.randint(6000, 60_000)))
        for name in ("c_1252.nls", "c_437.nls", "l_intl.nls", "locale.nls"):
            self.write(system + name, noise(self.chance, 9000))
        for name in ("vgaoem.fon", "segoeui.ttf"):
            self.write(f"Windows/Fonts/{name}", noise(self.chance, 25_000))
        self.write("Windows/explorer.exe", self.program(250_000))
        self.write("Windows/AppPatch/drvmain.sdb", text(self.chance, 20_000))
        self.write("Windows/INF/errata.inf", text(self.chance, 4000))
        self.write("Windows/bootstat.dat", bytes(67_584))
        self.write("Windows/Logs/CBS/CBS.log", text(self.chance, 90_000))
        self.write("Windows/Temp/left over.tmp", text(self.chance, 7000))
        self.write(f"{system}en-US/kernel32.dll.mui", self.program(5000))

    def hives(self) -> None:
        device = (struct.pack("<IQ", DISK_SIGNATURE, PARTITION_OFFSET) if self.table == "mbr" else
                  b"DMIO:ID:" + PARTITION_GUID.bytes_le if self.table == "gpt" else b"")
        hives: dict[str, sample_hives.Values] = {
            "SYSTEM": sample_hives.system(self.version, self.architecture, device),
            "SOFTWARE": sample_hives.software(self.version, self.architecture),
            "SAM": {"SAM": {}}, "SECURITY": {"Policy": {}}, "DEFAULT": {"Environment": {}}}
        for name, values in hives.items():
            sample_hives.write_hive(self.scratch / name, values)
            self.write(f"Windows/System32/config/{name}", (self.scratch / name).read_bytes())
            self.write(f"Windows/System32/config/{name}.LOG1", b"")

    def people(self) -> None:
        for name in ("Public", "Default", "\u5f20\u4e09"):
            self.write(f"Users/{name}/NTUSER.DAT", sample_hives.empty_hive())
            for number in range(4):
                self.write(f"Users/{name}/Documents/letter {number}.txt",
                           text(self.chance, self.chance.randint(500, 20_000)))
        self.write("ProgramData/Microsoft/settings.xml", text(self.chance, 12_000))

    def programs(self, files: int) -> None:
        real = real_programs()
        for number in range(files):
            kind = number % 6
            folder = f"Program Files/Product {number % 7}" if number % 3 else f"Windows/winsxs/amd64_part_{number % 11}"
            if kind == 0:
                name, data = f"tool{number}.exe", varied(self.chance, self.chance.choice(real))
            elif kind == 1:
                name, data = f"same{number}.exe", real[number % len(real)]
            elif kind == 2:
                name, data = f"library number {number}.dll", self.program(self.chance.randint(3000, 80_000))
            elif kind == 3:
                name, data = f"picture{number}.jpg", noise(self.chance, self.chance.randint(1000, 40_000))
            else:
                name, data = f"read me {number}.txt", text(self.chance, self.chance.randint(1, 15_000))
            path = self.write(f"{folder}/{name}", data)
            if kind == 2 and number % 3 == 0:
                target = self.root / "Windows/System32" / name
                os.link(path, target)

    def dress(self) -> None:
        """Give what was made so far short names and security."""
        for folder, folders, names in os.walk(self.root, topdown=False):
            for name in sorted(names) + sorted(folders):
                path = Path(folder, name)
                if name.isascii() and path.stat().st_nlink <= (1 if path.is_file() else 9999):
                    self.short_name(path)
                kind = "person" if "Users" in path.parts else "installer" if "Windows" in path.parts else "inherited"
                os.setxattr(path, "system.ntfs_acl", DESCRIPTORS[kind])

    def date(self) -> None:
        """Set every time but those of \\Features\\times; folders after what they hold."""
        for folder, folders, names in os.walk(self.root, topdown=False):
            links = [name for name in folders if Path(folder, name).is_symlink()]
            for name in [*sorted(names), *sorted(links), ""]:
                if Path(folder).name != Feature.TIMES:
                    created = INSTALLED + self.chance.randrange(1 << 44)
                    written = created + self.chance.randrange(1 << 40)
                    set_times(Path(folder, name), created, written, written + self.chance.randrange(1 << 30))

    def short_name(self, path: Path) -> None:
        """What Windows makes: nothing else where the name is short already, else six letters, ~ and a number."""
        stem, dot, extension = path.name.rpartition(".") if "." in path.name else (path.name, "", "")
        clean = "".join(letter for letter in stem if letter.isalnum()).upper()
        fits = len(clean) <= 8 and len(extension) <= 3 and path.name.upper() == f"{clean}{dot}{extension.upper()}"
        if not fits:
            clean = f"{clean[:5]}~{self.chance.randint(1, 9)}"
        short = f"{clean}{dot}{extension[:3].upper()}"
        try:
            os.setxattr(path, "system.ntfs_dos_name", short.encode())
        except FileExistsError:
            return
