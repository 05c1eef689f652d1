"""The disk of the 2015 tool's author: two systems in VHDs, one WIM for both, a spare copy of it.

    wimboot.wim                  the spare
    wimboot/wimboot.wim          the one that both systems use
    wimboot/x64/win7.vhd
    wimboot/x86/win7.vhd

What happens in a system while it runs is done by the ntfs-3g driver; VHDs are packed and unpacked by qemu-img.
"""

from __future__ import annotations

import hashlib
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import build
from converted import LOST_BITS, SMALL
from judges import apply_with_wimlib, every_pointer_leads_home, sound_volume, sound_wim
from mounting import carve, copy_sparse, mounted
from running import done
from snapshots import Snapshot, differences, seen_through, snapshot
from vhd_judge import judge_vhd

__all__ = ["PLACE", "Guest", "Shelf", "set_up"]

PLACE = "mbr:0c0ffee5:1048576:\\wimboot\\wimboot.wim"
"""Where Windows finds the WIM: on the disk that the shelf is, in its only partition."""

VOLUME_SIZE = 24 << 20
NOT_IN_IMAGE = ("pagefile.sys", "System Volume Information", "Windows/Temp/left over.tmp", "")
_SIGNATURE_OFFSET = 0x1B8


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A system in a VHD."""

    name: str
    vhd: Path

    def opened(self, scratch: Path) -> Path:
        """Its volume as a bare file, for judges; the VHD's own structures are judged on the way."""
        raw, volume = scratch / f"{self.name}-disk.img", scratch / f"{self.name}-volume.img"
        raw.unlink(missing_ok=True)
        volume.unlink(missing_ok=True)
        judge_vhd(self.vhd.read_bytes(), aligned=False, tight=False)
        subprocess.run(["qemu-img", "convert", "-f", "vpc", "-O", "raw", self.vhd, raw], check=True)
        return carve(raw, build.PARTITION_OFFSET, volume)

    @contextmanager
    def running(self, scratch: Path) -> Iterator[Path]:
        """Its volume as a folder: what is done there Windows could have done."""
        volume, raw = self.opened(scratch), scratch / f"{self.name}-disk.img"
        with mounted(volume, write=True) as root:
            yield root
        copy_sparse(volume, raw, target_offset=build.PARTITION_OFFSET)
        pack(raw, self.vhd)


@dataclass(slots=True, kw_only=True)
class Shelf:
    """The folder with all of it; `points` is what each image's volume was when the image was made, in their order,
    `judged` the SHA-1 of the WIM that was judged last.
    """

    folder: Path
    scratch: Path
    x64: Guest
    x86: Guest
    points: list[Snapshot] = field(default_factory=list)
    judged: str = ""

    @property
    def wim(self) -> Path:
        return self.folder / "wimboot" / "wimboot.wim"

    @property
    def spare(self) -> Path:
        return self.folder / "wimboot.wim"

    @property
    def guests(self) -> tuple[Guest, Guest]:
        return self.x64, self.x86

    def seen(self, guest: Guest) -> Snapshot:
        """What Windows sees on a system's volume."""
        return seen_through(snapshot(guest.opened(self.scratch)))

    def judge_wim(self) -> None:
        """The WIM is sound, and wimlib lays each of its images out as the volume was; once for the same bytes."""
        now = hashlib.sha1(self.wim.read_bytes(), usedforsecurity=False).hexdigest()
        if now == self.judged:
            return
        self.judged = now
        sound_wim(self.wim)
        for number, point in enumerate(self.points, start=1):
            out = self.scratch / "laid out.img"
            out.unlink(missing_ok=True)
            apply_with_wimlib(self.wim, number, out, size=VOLUME_SIZE)
            assert not differences(point, snapshot(out), without=NOT_IN_IMAGE, attribute_mask=LOST_BITS,
                                   ignore=("change_time", "record", "eas"))

    def judge(self, guest: Guest) -> None:
        """A system's volume is sound and every pointer of it leads into the WIM."""
        volume = guest.opened(self.scratch)
        sound_volume(volume)
        assert every_pointer_leads_home(volume, self.wim, {}) > 40

    def info(self, guest: Guest) -> dict[str, Any]:
        """What `info` says of a system's volume, with the one data source it has."""
        told = done("info", guest.vhd, "--json").json
        sources = told["volume"]["sources"]
        return {**told["volume"], **(sources[0] if sources else {}), "vhd_bytes": told["disk"]["vhd"]["file_bytes"]}

    def images(self) -> list[dict[str, Any]]:
        """What `images` says of each image of the WIM."""
        told = done("images", self.wim, "--json").json
        assert told["bytes"] == self.wim.stat().st_size
        return list(told["images"])


def set_up(folder: Path) -> Shelf:
    """Windows 7 x64 and x86 on the shelf, as ordinary files; no WIM yet."""
    shelf, scratch = folder / "ssd", folder / "scratch"
    scratch.mkdir()
    guests = []
    for number, (name, architecture) in enumerate((("x64", "amd64"), ("x86", "x86")), start=1):
        vhd, raw = shelf / "wimboot" / name / "win7.vhd", scratch / f"{name}.img"
        vhd.parent.mkdir(parents=True)
        build.build_system(raw, size=VOLUME_SIZE, files=40, features=SMALL, seed=number, table="mbr",
                           architecture="x86" if architecture == "x86" else "amd64")
        with raw.open("r+b") as file:
            file.seek(_SIGNATURE_OFFSET)
            file.write(struct.pack("<I", 0x5EED0000 + number))
        pack(raw, vhd)
        guests.append(Guest(name=name, vhd=vhd))
    return Shelf(folder=shelf, scratch=scratch, x64=guests[0], x86=guests[1])


def pack(raw: Path, vhd: Path) -> None:
    """Make a dynamic VHD of a raw disk."""
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", "subformat=dynamic,force_size=on", raw, vhd],
                   check=True, capture_output=True)
