"""Work beside the caller's: its result, its error, and what Ctrl-C does to it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from converted import Converted
from wimboot.events import Event, silent
from wimboot.ops.capturing.imaging import ReadBackFailed, reading_back
from wimboot.ops.opening.meanwhile import Meanwhile
from wimboot.ops.opening.storing import opened_store
from wimboot.ops.options import CaptureOptions, TargetOptions


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
    """The damage is raised when the result is asked for; a stopped reading ends early and quietly."""
    wim = tmp_path / "damaged.wim"
    raw = bytearray(converted.wim.read_bytes())
    with opened_store(converted.wim) as store:
        rows = [store.parts[0].table.row(row) for row in store.parts[0].table.index.rows()]
        largest = max(rows, key=lambda row: row.size_in_wim)
        raw[largest.offset + largest.size_in_wim // 2] ^= 0xFF
        wim.write_bytes(raw)
    options = CaptureOptions(target=TargetOptions(place=""), wim=wim)
    events: list[Event] = []
    with opened_store(wim) as store:
        blobs = {row.sha1: row.size for row in rows}
        with reading_back(store, blobs, options, events.append, old=None) as reading, pytest.raises(ReadBackFailed):
            reading.result()
        assert len(events) == 1
        with pytest.raises(KeyboardInterrupt), reading_back(store, blobs, options, silent, old=None):
            raise KeyboardInterrupt
