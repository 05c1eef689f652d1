"""One Windows on every kind of disk that a target may be, and the disk inside it as a raw file for the judges.

The disks are made and unpacked by qemu-img, a differencing one by our own `create_vhd` and libvhdi, for qemu-img
follows no parents. Those of FOREIGN have a place for every byte, so that they can be written.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import build
from converted import SMALL
from mounting import carve, copy_sparse, mounted
from vhd_judge import judge_vhd, libvhdi_reads
from vhd_making import begin, writing
from wimboot.disk.vhdcreate import ParentPlace, create_vhd
from wimboot.formats.vhdfooter import DiskType
from wimboot.storage import HostFolder

__all__ = ["FOREIGN", "KINDS", "KindOfDisk", "as_kind", "disk_of_kind", "empty_disk"]

KINDS = ("raw", "mbr", "gpt", "fixed", "dynamic", "differencing")
FOREIGN = ("vhdx", "qcow2", "vmdk", "vdi")
_WHOLE = {"vhdx": "subformat=fixed", "qcow2": "preallocation=full", "vmdk": "subformat=monolithicSparse",
          "vdi": "static=on"}
VOLUME_SIZE = 24 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class KindOfDisk:
    """A disk of one kind; `offset` is where the volume begins in the disk that is in it."""

    kind: str
    path: Path
    offset: int

    @property
    def base(self) -> Path:
        """The parent of a differencing disk."""
        return self.path.with_name(f"base-of-{self.path.name}")

    def raw(self) -> Path:
        """The disk as others see it, in a file of its own; the VHD's structures are judged on the way."""
        if self.kind in ("raw", "mbr", "gpt"):
            return self.path
        out = self.path.with_name("seen") / f"{self.path.name}.img"
        if self.kind in FOREIGN:
            _qemu("convert", "-f", self.kind, "-O", "raw", self.path, out)
            return out
        if self.kind == "differencing":
            parent = judge_vhd(self.base.read_bytes(), aligned=False, tight=False)
            content = libvhdi_reads(self.path, self.base)
            assert judge_vhd(self.path.read_bytes(), parent).disk == content
            out.write_bytes(content)
            return out
        judged = judge_vhd(self.path.read_bytes(), aligned=False, tight=False).disk
        out.unlink(missing_ok=True)
        _qemu("convert", "-f", "vpc", "-O", "raw", self.path, out)
        with out.open("rb") as file:
            assert file.read() == judged
        return out

    @contextmanager
    def edited(self) -> Iterator[Path]:
        """Its volume by the ntfs-3g driver, for changes: they are put into the disk page by page."""
        volume = carve(self.raw(), self.offset, self.path.with_name("seen") / "edited.img")
        old = volume.read_bytes()
        with mounted(volume, write=True) as root:
            yield root
        new = volume.read_bytes()
        with writing(self.path) as target, begin(target) as transaction:
            for at in range(0, len(new), 4096):
                if old[at:at + 4096] != new[at:at + 4096]:
                    transaction.device.pwrite(self.offset + at, new[at:at + 4096])
            transaction.commit()
        volume.unlink()

    @property
    def volume(self) -> str:
        """How its volume is named."""
        return f"{self.path}#1" if self.offset else str(self.path)

    def beyond(self) -> list[Path]:
        """Files that no verb may change: the parent."""
        return [self.base] if self.kind == "differencing" else []


def _qemu(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def disk_of_kind(kind: str, folder: Path, built_system: Callable[..., build.System], *, name: str = "system",
                 ) -> KindOfDisk:
    """A Windows 8.1 with few files."""
    table = kind if kind in ("mbr", "gpt") else None if kind == "raw" else "mbr"
    system = built_system(size=VOLUME_SIZE, files=12, features=SMALL, version="6.3", table=table)
    return as_kind(kind, system.path, folder / name, system.offset)


def empty_disk(kind: str, folder: Path, *, name: str = "empty", size: int = VOLUME_SIZE) -> KindOfDisk:
    """A disk with an empty, formatted volume."""
    volume, disk = folder / f"{name}-volume", folder / f"{name}-disk"
    if kind == "raw":
        build.make_volume(disk, size=size)
    else:
        build.make_volume(volume, size=size, start_sector=build.PARTITION_OFFSET // 512)
        build._partition(disk, size, "gpt" if kind == "gpt" else "mbr")
        copy_sparse(volume, disk, target_offset=build.PARTITION_OFFSET)
        volume.unlink()
    made = as_kind(kind, disk, folder / name, 0 if kind == "raw" else build.PARTITION_OFFSET)
    disk.unlink()
    return made


def as_kind(kind: str, raw: Path, path: Path, offset: int) -> KindOfDisk:
    """A raw disk, whose volume begins at `offset`, as one of that kind."""
    path.with_name("seen").mkdir(exist_ok=True)
    suffix = ".img" if kind in ("raw", "mbr", "gpt") else f".{kind}" if kind in FOREIGN else ".vhd"
    made = KindOfDisk(kind=kind, path=path.with_suffix(suffix), offset=offset)
    if kind in FOREIGN:
        _qemu("convert", "-f", "raw", "-O", kind, "-S", "0", "-o", _WHOLE[kind], raw, made.path)
        return made
    if kind in ("raw", "mbr", "gpt"):
        copy_sparse(raw, made.path)
        return made
    subformat = "fixed" if kind == "fixed" else "dynamic"
    target = made.base if kind == "differencing" else made.path
    _qemu("convert", "-f", "raw", "-O", "vpc", "-o", f"subformat={subformat},force_size=on", raw, target)
    if kind == "differencing":
        folder = HostFolder(path.parent)
        file = folder.open(made.base.name)
        create_vhd(folder, made.path.name, kind=DiskType.DIFFERENCING,
                   parent=ParentPlace(file=file, relative=f".\\{made.base.name}"))
        file.close()
        os.utime(made.base, (1, 1))
    return made
