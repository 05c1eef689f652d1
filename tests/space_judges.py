"""What other programs say of sizes: wimlib of a WIM's blobs and images, ntfs-3g's driver and tools of a volume."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import build
from judges import run
from mounting import carve
from snapshots import Snapshot, pointer, snapshot

__all__ = ["WimSizes", "pointed", "seen_size", "used_size", "volume_of", "wim_sizes"]

NOTHING = "0" * 40


@dataclass(frozen=True, slots=True, kw_only=True)
class WimSizes:
    """Of one WIM: SHA-1 -> (bytes, bytes in the WIM); for each image the SHA-1s that its files have."""

    blobs: dict[str, tuple[int, int]]
    images: tuple[frozenset[str], ...]

    def stored(self, hashes: Iterable[str]) -> int:
        """Bytes in the WIM of these blobs."""
        return sum(self.blobs[sha1][1] for sha1 in hashes)

    def size(self, hashes: Iterable[str]) -> int:
        """Their bytes uncompressed."""
        return sum(self.blobs[sha1][0] for sha1 in hashes)


def wim_sizes(wim: Path) -> WimSizes:
    """What wimlib-imagex says of it; lists of files are no blobs of images."""
    said = run("wimlib-imagex", "info", "--blobs", wim)
    blobs: dict[str, tuple[int, int]] = {}
    for block in said.split("\n\n"):
        fields = dict(re.findall(r"^\s*([\w ]+?)\s*=\s*(.+?)\s*$", block, re.MULTILINE))
        if "Hash" in fields and "WIM_RESHDR_FLAG_METADATA" not in fields.get("Flags", ""):
            blobs[fields["Hash"].removeprefix("0x")] = (
                int(fields["Uncompressed size"].split()[0]), int(fields["Compressed size"].split()[0]))
    count = int(re.findall(r"^Image Count:\s*(\d+)", run("wimlib-imagex", "info", wim), re.MULTILINE)[0])
    images = []
    for number in range(1, count + 1):
        listed = run("wimlib-imagex", "dir", wim, str(number), "--detailed")
        images.append(frozenset(re.findall(r"Hash\s*=\s*0x([0-9a-f]{40})", listed)) - {NOTHING})
    return WimSizes(blobs=blobs, images=tuple(images))


def volume_of(vhd: Path, scratch: Path) -> Path:
    """The volume in a VHD with one partition at 1 MiB, unpacked by qemu-img."""
    raw, volume = scratch / f"{vhd.parent.name}-judged.img", scratch / f"{vhd.parent.name}-volume.img"
    subprocess.run(["qemu-img", "convert", "-f", "vpc", "-O", "raw", vhd, raw], check=True, capture_output=True)
    carve(raw, build.PARTITION_OFFSET, volume)
    raw.unlink()
    return volume


def pointed(volume: Path) -> dict[str, str]:
    """Path -> SHA-1 of each file that is a pointer, each file under one name."""
    facts = snapshot(volume, contents=False)
    once = {one.record: (name, promise[1]) for name, one in facts.items() if (promise := pointer(one)) is not None}
    return dict(once.values())


def seen_size(facts: Snapshot) -> int:
    """Bytes of all streams, each file counted once, and of what junctions and links say."""
    once = {one.record: one for one in facts.values()}
    said = sum(len(one.reparse) - 8 for one in once.values() if one.reparse and pointer(one) is None)
    return said + sum(size for one in once.values() for size, _ in one.streams.values())


def used_size(volume: Path) -> int:
    """Bytes of clusters in use, as ntfsinfo counts them."""
    said = run("ntfsinfo", "-m", "-f", volume)

    def number(what: str) -> int:
        return int(re.findall(rf"{what}:\s*(\d+)", said)[0])

    return (number("Volume Size in Clusters") - number("Free Clusters")) * number("Cluster Size")
