"""One small transaction with everything in it, and the judge of what a crash leaves of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wimboot.disk import Recovered, StoreMark, Transaction, recover
from wimboot.storage import durable
from wimboot.storage.faults import Image, MemoryFolder, Recorder

if TYPE_CHECKING:
    from wimboot.storage import File, Folder
    from wimboot.storage.faults import CrashState

PAGE = 4096
SIZE = 44 * PAGE + 700
LOG = "disk.img.log"
GUARD = 9 * PAGE + 80
DIRTY = b"dirty!"
MARK = StoreMark(guid=b"g" * 16, table_hash=b"t" * 20, place="wim")
LATER = (3 * PAGE, b"written by another program afterwards")

# clusters of 1 KiB from byte 512 on; free: pages 20 to 29 and a bit around them, which is not whole pages
UNIT, UNITS, START = 1024, (SIZE - 512) // 1024, 512
FREE = range(20 * 4 - 1, 30 * 4)


def bitmap() -> bytes:
    """A $Bitmap in which FREE is free."""
    bits = bytearray(b"\xff" * ((UNITS + 7) // 8))
    for unit in FREE:
        bits[unit >> 3] &= ~(1 << (unit & 7))
    return bytes(bits)


@dataclass(kw_only=True)
class Scene:
    """What was, what shall be, and where in the recording the commit returned."""

    old: bytes
    new: bytearray
    wim: bool
    recorder: Recorder = field(default_factory=Recorder)
    committed_at: int = 1 << 60
    later_at: int = 1 << 60


def changes(scene: Scene, seed: int) -> list[tuple[int, bytes]]:
    """Writes of all sizes in used and free pages; those into used ones also across sectors and pages."""
    rng = random.Random(seed)
    out = [(GUARD - 30, rng.randbytes(100)), (SIZE - 10, b"the end..."), (0, rng.randbytes(700))]
    for page in (2, 3, 4, 5, 11, 12, 13, 30, 35, 36, 43):
        out.append((page * PAGE + rng.randrange(3000), rng.randbytes(rng.choice((1, 500, 1024, 5000)))))
    out.append((20 * PAGE, rng.randbytes(4 * PAGE)))
    out.append((25 * PAGE + 100, rng.randbytes(300)))
    for offset, data in out:
        scene.new[offset:offset + len(data)] = data
    return out


def make(*, wim: bool = False) -> Scene:
    """A scene whose recorder has seen nothing yet."""
    old = random.Random(7).randbytes(SIZE)
    return Scene(old=old, new=bytearray(old), wim=wim)


def run(scene: Scene, folder: Folder | None = None, *, seed: int = 1) -> None:
    """Carry the transaction out, then write as another program would."""
    if folder is None:
        folder = scene.recorder.folder(start_folder(scene), "here")
    work = changes(scene, seed)
    file = folder.open("disk.img", write=True)
    with Transaction(file, folder, LOG, where="disk.img", batch_pages=4) as transaction:
        transaction.set_free(START, UNIT, bitmap(), UNITS)
        transaction.guard(GUARD, DIRTY)
        for offset, data in work:
            transaction.device.pwrite(offset, data)
        transaction.prepare(MARK if scene.wim else None)
        if scene.wim:
            durable.replace(folder, "wim", b"new")
        transaction.commit()
    scene.committed_at = scene.recorder.point
    file.pwrite(*LATER)
    file.sync()
    scene.later_at = scene.recorder.point
    file.close()


def start_folder(scene: Scene) -> MemoryFolder:
    """The folder before anything happened."""
    return MemoryFolder({"disk.img": Image(scene.old), "wim": Image(b"old")})


def store_in(folder: Folder) -> bool:
    """Whether the WIM is the new one."""
    file = folder.open("wim")
    try:
        return file.pread(0, 10) == b"new"
    finally:
        file.close()


def recover_in(folder: Folder, name: str = "disk.img") -> Recovered:
    """Recovery of the target `name`, as every command does it first."""
    file: File = folder.open(name, write=True)
    try:
        return recover(file, folder, f"{name}.log", where=name,
                       store_is=lambda mark: mark == MARK and store_in(folder))
    finally:
        file.close()


def used(data: bytes) -> bytes:
    """The content without the pages that were free: those may hold anything."""
    return data[:20 * PAGE] + data[30 * PAGE:]


def content(folder: MemoryFolder) -> bytes:
    """The target's bytes."""
    return folder.images["disk.img"].read(0, SIZE + 1)


def verdict(scene: Scene, state: CrashState, folder: MemoryFolder) -> str | None:
    """What is wrong with a recovered folder; None where nothing is."""
    now, new = content(folder), bytes(scene.new)
    later = bytearray(new)
    later[LATER[0]:LATER[0] + len(LATER[1])] = LATER[1]
    if folder.exists(LOG):
        return "the log is still there"
    if state.point >= scene.later_at:
        return None if now == bytes(later) else "what was written later is lost"
    allowed = [] if state.point >= scene.committed_at else [used(scene.old)]
    is_new = now == new or (state.point >= scene.committed_at and _mixed(now, new, bytes(later)))
    if not is_new and used(now) not in allowed:
        return "neither old nor new"
    if scene.wim and is_new != store_in(folder):
        return f"the volume is {'new' if is_new else 'old'}, the WIM is not"
    return None


def _mixed(now: bytes, new: bytes, later: bytes) -> bool:
    """The new state with the later write under way."""
    first, last = LATER[0] // 512 * 512, -(-(LATER[0] + len(LATER[1])) // 512) * 512
    return now[:first] == new[:first] and now[last:] == new[last:] and len(now) == len(later)
