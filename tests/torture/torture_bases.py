"""The volumes and the WIM that the torture's scenes begin with."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from random import Random

import build
import sample_hives
from mounting import mounted, need_mounts
from sample_contents import noise, program, text
from torture_scenes import DISK, PLACE, SIZE, TARGET, WIM, WIMS, Bases, Stage
from wimboot.events import silent
from wimboot.ops.convert import convert
from wimboot.ops.options import CaptureOptions, ConvertOptions
from wimboot.storage.faults import Image, MemoryFolder
from wimboot.wim import Append, Store

__all__ = ["make_bases"]


def make_bases(root: Path) -> Bases:
    """Build the volumes with ntfs-3g, and convert one with our own verb."""
    need_mounts()
    first, second, seven, empty = (root / f"{name}.img" for name in ("first", "second", "seven", "empty"))
    _fill(first, seed=1)
    _fill(second, seed=2)
    _fill(seven, seed=3, version="6.1")
    build.make_volume(empty, size=SIZE, label="Empty")
    stage = Stage(root)
    inner = {DISK: MemoryFolder({TARGET: Image(first.read_bytes())}), WIMS: MemoryFolder()}
    options = CaptureOptions(target=stage.options(inner), wim=stage.wim, name="the first", threads=2, fast=True)
    convert(ConvertOptions(capture=options, wim_place=PLACE, driver="none"), silent)
    edited, ailing = root / "edited.img", root / "ailing.img"
    for path in (edited, ailing):
        inner[DISK].images[TARGET].save(path)
    _edit(edited)
    return Bases(first=first.read_bytes(), second=second.read_bytes(), seven=seven.read_bytes(),
                 empty=empty.read_bytes(), edited=edited.read_bytes(), ailing=_ail(ailing),
                 wim=_bytes(inner[WIMS].images[WIM]), ailing_wim=_damaged(inner[WIMS]))


def _bytes(image: Image) -> bytes:
    return image.read(0, image.size)


def _fill(volume: Path, *, seed: int, version: str = "10.0") -> None:
    """A Windows of a dozen files. Those named shared are the same for every seed."""
    build.make_volume(volume, size=SIZE, label=f"Disk {seed}")
    hive = volume.with_suffix(".hive")
    sample_hives.write_hive(hive, sample_hives.system(version, "amd64"))
    own, shared = Random(seed), Random(99)
    with mounted(volume, write=True) as root:
        for name, data in {
            "Windows/System32/ntoskrnl.exe": program(size=20_000, version=(10, 0, 19045, 2965), chance=shared),
            "Windows/System32/drivers/ntfs.sys": program(size=9000, version=(10, 0, 19045, 2965), chance=shared),
            "Windows/shared.txt": text(shared, 15_000),
            "Windows/System32/config/SYSTEM": hive.read_bytes(),
            "Windows/System32/config/SYSTEM.LOG1": text(own, 3000),
            "Windows/System32/drivers/wof.sys": b"wof" if version == "10.0" else b"",
            "Windows/own.dll": program(size=12_000, chance=own),
            "Windows/noise.jpg": noise(own, 7000),
            "Windows/resident.txt": b"a few bytes",
            "Windows/empty.txt": b"",
            "Users/letter with a long name.txt": text(own, 5000),
            "Users/streams.txt": text(own, 9000),
            "Users/away.txt": text(own, 6000),
            "pagefile.sys": bytes(16_384),
        }.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        os.link(root / "Windows/own.dll", root / "Windows/System32/second name.dll")
        (root / "Users/streams.txt:more").write_bytes(text(own, 6000))


def _shared_text() -> bytes:
    """What `_fill` writes to \\Windows\\shared.txt."""
    shared = Random(99)
    for size in (20_000, 9000):
        program(size=size, version=(10, 0, 19045, 2965), chance=shared)
    return text(shared, 15_000)


def _ail(volume: Path) -> bytes:
    with mounted(volume, write=True) as root:
        (root / "Users/copy of shared.txt").write_bytes(_shared_text())
    return volume.read_bytes()


def _damaged(wims: MemoryFolder) -> bytes:
    """The WIM after it has grown by a blob, with a byte of shared.txt's data flipped."""
    folder = MemoryFolder({WIM: Image(_bytes(wims.images[WIM]))})
    with Append(folder, WIM, create=None, where=WIM) as append:
        append.keep({append.add_blob(b"another system's"): 1})
        append.finish()
    store = Store.open(folder.open(WIM), where=WIM)
    blob = store.blob(hashlib.sha1(_shared_text(), usedforsecurity=False).digest())
    assert blob is not None
    data = bytearray(_bytes(folder.images[WIM]))
    data[blob.offset + blob.size_in_wim // 2] ^= 0xFF
    return bytes(data)


def _edit(volume: Path) -> None:
    """What a user does to a volume: delete, change, add, rename."""
    chance = Random(5)
    with mounted(volume, write=True) as root:
        (root / "Users/away.txt").unlink()
        (root / "Users/added.txt").write_bytes(text(chance, 30_000))
        (root / "Users/folder").mkdir()
        (root / "Users/folder/inner.bin").write_bytes(noise(chance, 9000))
        (root / "Windows/resident.txt").write_bytes(text(chance, 8000))
        (root / "Windows/empty.txt").write_bytes(b"no more")
        (root / "Windows/System32/second name.dll").unlink()
        (root / "Users/streams.txt").unlink()
        (root / "Users/streams.txt").write_bytes(text(chance, 10_000))
