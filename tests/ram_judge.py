"""RAM images taken apart by programs of others: lz4, gzip and qemu-img unpack them, sfdisk reads the table, regipy the
hives. None of our code takes part.
"""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import subprocess
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from regipy.registry import RegistryHive

from mounting import UTF_8, mounted

__all__ = ["RamDisk", "boot_store", "copied_out", "hive_values", "unpack"]

Values = dict[str, dict[str, object]]

_STEP = 1 << 20
_DIRT = b"\xa5what memory held before\r\n" * 40_000
"""What comes behind an image that does not hold its whole disk, and at that disk's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RamDisk:
    """The disk as a boot loader would have it in memory; `footer` is what follows what of it was `packed`."""

    path: Path
    size: int
    packed: int
    signature: int
    start: int
    volume_size: int
    active: bool
    type: str
    footer: bytes


def unpack(image: Path, into: Path) -> RamDisk:
    """Unpack an image into the raw file `into`, which gets holes for zeros.

    Where the footer behind it tells of a larger disk, that is made as the menu's entry makes it, with dirt in the
    memory that the image leaves alone, and the volume's first sector copied to its last.
    """
    with image.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"\x04\x22\x4d\x18"):
        _run("lz4", "-d", "-q", "-f", "--sparse", image, into)
    elif head.startswith(b"\x1f\x8b"):
        _run("gzip", "-t", "-S", image.suffix, image)
        with gzip.open(image) as packed:
            _copy(packed, into)
    elif head.startswith(b"conectix"):
        assert struct.unpack_from(">I", head, 60)[0] == 3, "grub4dos knows a dynamic VHD by type 3 in its first sector"
        _run("qemu-img", "convert", "-f", "vpc", "-O", "raw", image, into)
    else:
        with image.open("rb") as plain:
            _copy(plain, into)
    return _look(into)


def _copy(source: gzip.GzipFile | BufferedReader, into: Path) -> None:
    with into.open("wb") as out:
        while part := source.read(_STEP):
            if part.count(0) == len(part):
                out.seek(len(part), 1)
            else:
                out.write(part)
        out.truncate()


def _run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], env=UTF_8, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]} objects: {done.stderr or done.stdout}"
    return done.stdout


def _look(raw: Path) -> RamDisk:
    table = json.loads(_run("sfdisk", "-J", raw))["partitiontable"]
    assert table["label"] == "dos"
    assert len(table["partitions"]) == 1, "one partition"
    partition, = table["partitions"]
    with raw.open("rb") as file:
        file.seek(-512, 2)
        footer = file.read()
    footer = footer if footer.startswith(b"conectix") else b""
    packed = raw.stat().st_size - len(footer)
    size = struct.unpack_from(">Q", footer, 48)[0] if footer else packed
    if size > packed:
        with raw.open("r+b") as file:
            file.seek(packed + len(footer))
            file.write(_DIRT[:size - file.tell()])
            file.truncate(size)
            file.seek(max(packed + len(footer), size - 2 * len(_DIRT)))
            file.write((2 * _DIRT)[:size - file.tell()])
            file.seek(partition["start"] * 512)
            sector = file.read(512)
            file.seek((partition["start"] + partition["size"] - 1) * 512)
            file.write(sector)
    return RamDisk(path=raw, size=size, packed=packed, signature=int(table["id"], 16),
                   start=partition["start"] * 512, volume_size=partition["size"] * 512,
                   active=partition.get("bootable", False), type=partition["type"], footer=footer)


def hive_values(hive: Path) -> Values:
    """Every key of a hive that has values, by its path, as regipy reads it."""
    found: Values = {}
    judge: Any = RegistryHive
    for entry in judge(str(hive)).recurse_subkeys(fetch_values=True, as_json=False):
        if entry.values:
            found[str(entry.path)] = {str(value.name): value.value for value in entry.values}
    return found


def copied_out(disk: RamDisk, path: str, into: Path) -> Path:
    """A file of the volume, as the driver reads it."""
    with mounted(disk.path, offset=disk.start) as root:
        shutil.copyfile(root / path, into)
    return into


def boot_store(disk: RamDisk, scratch: Path, path: str = "Boot/BCD") -> Values:
    """The elements of each object of the image's store."""
    return hive_values(copied_out(disk, path, scratch / "BCD"))
