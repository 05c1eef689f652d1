"""Work beside the caller's: its result, its error, and what Ctrl-C does to it."""

from __future__ import annotations

import os
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from converted import Converted
from wimboot.ops.capturing.readingback import OlderDataDamaged, ReadBackFailed, ReadingBack
from wimboot.ops.opening.meanwhile import Meanwhile
from wimboot.ops.options import CaptureOptions, TargetOptions
from wimboot.storage import HostFolder
from wimboot.wim import Append


def test_work_runs_beside_its_caller() -> None:
    """It has begun before its result is asked for, in another thread."""
    begun = threading.Event()

    def work() -> int:
        begun.set()
        return threading.get_ident()

    with Meanwhile(work) as meanwhile:
        assert begun.wait(10)
        assert meanwhile.result() != threading.get_ident()


def test_work_that_may_not_leave_the_thread_waits() -> None:
    """It is done when asked for, once, by who asks."""
    calls: list[int] = []

    def work() -> int:
        calls.append(threading.get_ident())
        return len(calls)

    with Meanwhile(work, apart=False) as meanwhile:
        assert calls == []
        assert (meanwhile.result(), meanwhile.result()) == (1, 1)
    assert calls == [threading.get_ident()]


def test_an_error_is_raised_to_who_asks() -> None:
    """And to nobody else."""
    def work() -> int:
        raise LookupError("gone")

    with Meanwhile(work):
        pass
    with Meanwhile(work) as meanwhile, pytest.raises(LookupError):
        meanwhile.result()


def test_an_interrupted_caller_stops_the_work() -> None:
    """Leaving by an exception tells the work to stop, and waits until it has."""
    told, over = threading.Event(), threading.Event()

    def work() -> None:
        assert told.wait(10)
        over.set()

    with pytest.raises(KeyboardInterrupt), Meanwhile(work, stop=told.set):
        raise KeyboardInterrupt
    assert over.is_set()


def test_reading_back_finds_damage_before_anything_can_be_committed(converted: Converted, tmp_path: Path) -> None:
    """Of what was there before the run and of what it wrote; the damage is raised when the result is asked for."""
    wim = tmp_path / "damaged.wim"
    shutil.copyfile(converted.wim, wim)
    options = CaptureOptions(target=TargetOptions(place=""), wim=wim)
    with Append(HostFolder(tmp_path), wim.name, create=None, where=str(wim)) as append:
        assert append.store is not None
        old = max(append.store.in_file_order(set(append.store.hashes())), key=lambda blob: blob.size_in_wim)
        new = append.add_blob(random.Random(0).randbytes(1 << 20))
        with ReadingBack(append, [old.sha1, new, bytes(20)], options) as reading:
            reading.result()
        assert reading.places == {old.sha1: (old.offset, old.size_in_wim), new: (append.store.size, 1 << 20)}
        assert reading.phase.counter.done == reading.phase.total == old.size + (1 << 20)
        for sha1, failure in ((old.sha1, OlderDataDamaged), (new, ReadBackFailed)):
            offset, size = reading.places[sha1]
            flip(wim, offset + size // 2)
            with ReadingBack(append, [sha1], options) as again, pytest.raises(failure):
                again.result()
            flip(wim, offset + size // 2)
        with pytest.raises(KeyboardInterrupt), ReadingBack(append, set(append.store.hashes()), options):
            raise KeyboardInterrupt


def flip(path: Path, at: int) -> None:
    """Turn the bits of one byte."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0xFF]))


def test_work_that_gives_way_does_so_with_all_its_threads() -> None:
    """And nobody else does."""
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, 0)

    def work() -> tuple[int, int]:
        with ThreadPoolExecutor(1) as pool:
            return niceness(), pool.submit(niceness).result()

    before = niceness()
    with Meanwhile(work, giving_way=True) as giving_way, Meanwhile(work) as equal:
        assert giving_way.result() == (min(before + 10, 19),) * 2
        assert equal.result() == (before,) * 2
    assert niceness() == before
    assert Meanwhile(work, apart=False, giving_way=True).result() == (before,) * 2
