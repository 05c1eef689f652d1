"""A disk in extents of a file, changed and stopped anywhere: old or new, and nothing else but its header."""

from __future__ import annotations

import random
from functools import cache

import pytest

from wimboot.disk import Recovered, Transaction, recover
from wimboot.disk._mapped import MappedDisk
from wimboot.errors import Error
from wimboot.storage import Folder
from wimboot.storage.faults import CrashState, Image, MemoryFolder, Model, Recorder, states

NAME, LOG = "disk.vhdx", "disk.vhdx.log"
SIZE = 40 * 4096
PLACES = (70_144, 8192, 200_704, 49_152, 110_592)
"""Of five extents of 8 pages; one does not lie on a page."""
EXTENTS = [(number * 32_768, 32_768, place) for number, place in enumerate(PLACES)]
HEAD, HEAD_OFFSET = b"the disk was changed", 600
DIRTY = b"dirty!"
OLD = random.Random(1).randbytes(240_000)


def run(folder: Folder) -> None:
    """Writes in used and in free clusters, across the ends of extents. Free are those of the second extent's middle."""
    bits = bytearray(b"\xff" * 5)
    bits[1] = 0b11000011
    file = folder.open(NAME, write=True)
    try:
        with Transaction(file, folder, LOG, where=NAME, batch_pages=2,
                         disk=lambda base: MappedDisk(base, SIZE, EXTENTS, HEAD, HEAD_OFFSET)) as transaction:
            transaction.set_free(0, 4096, bytes(bits), 40)
            transaction.guard(32_768 - 3, DIRTY)
            chance = random.Random(2)
            for offset, size in ((100, 700), (32_760, 9000), (11 * 4096, 8192), (98_300, 3000), (SIZE - 5000, 5000)):
                transaction.device.pwrite(offset, chance.randbytes(size))
            transaction.commit()
    finally:
        file.close()


@cache
def scene() -> tuple[Recorder, bytes]:
    """The run, recorded, and the file that it left."""
    recorder, folder = Recorder(), MemoryFolder({NAME: Image(OLD)})
    run(recorder.folder(folder, "here"))
    return recorder, folder.images[NAME].read(0, folder.images[NAME].size)


def outside(data: bytes) -> bytes:
    """What belongs to no extent and is not the header."""
    kept = bytearray(data)
    for place in PLACES:
        kept[place:place + 32_768] = bytes(32_768)
    kept[HEAD_OFFSET:HEAD_OFFSET + len(HEAD)] = bytes(len(HEAD))
    return bytes(kept)


def without_free(data: bytes) -> bytes:
    """The file without the clusters that were free."""
    start = PLACES[1] + 2 * 4096
    return data[:start] + data[start + 4 * 4096:]


def judge(state: CrashState) -> str | None:
    """Recover; what is wrong, None where nothing is."""
    recorder, new = scene()
    folder = state.folder("here")
    file = folder.open(NAME, write=True)
    try:
        recover(file, folder, LOG, where=NAME)
        if recover(file, folder, LOG, where=NAME) is not Recovered.NOTHING:
            return "a second recovery found something"
    except Error as error:
        return repr(error)
    finally:
        file.close()
    now = folder.images[NAME].read(0, folder.images[NAME].size)
    if sorted(folder.images) != [NAME]:
        return "something is left behind"
    if now == new:
        return None
    return "neither old nor new" if without_free(now) != without_free(OLD) or state.point == recorder.point else None


def test_only_the_disk_and_its_header_change() -> None:
    """What others keep in the file stays."""
    _, new = scene()
    assert outside(new) == outside(OLD)
    assert new[HEAD_OFFSET:HEAD_OFFSET + len(HEAD)] == HEAD
    assert without_free(new) != without_free(OLD)


@pytest.mark.parametrize("model", [Model.KILL, Model.POWER, Model.SECTOR, Model.TORN])
def test_a_crash_leaves_old_or_new(model: Model) -> None:
    """At every step."""
    recorder, _ = scene()
    wrong = [f"{state.key}: {problem}" for state in states(recorder, model, seeds=range(3))
             if (problem := judge(state))]
    assert not wrong
    assert recorder.point > 20


def test_half_copied_disk_says_so() -> None:
    """Before recovery the guarded bytes are there whenever old and new are mixed."""
    recorder, new = scene()
    mixed = 0
    for state in states(recorder, Model.KILL):
        image = state.folders["here"][NAME]
        now = image.read(0, image.size)
        if without_free(now) not in (without_free(OLD), without_free(new)):
            guarded = now[PLACES[0] + 32_765:PLACES[0] + 32_768] + now[PLACES[1]:PLACES[1] + 3]
            pieces = {guarded[:3] == DIRTY[:3], guarded[3:] == DIRTY[3:]}
            assert True in pieces, state.key
            mixed += 1
    assert mixed > 3
