"""Reading blobs back from disk and hashing them: what stands between a capture and giving the originals up."""

from __future__ import annotations

import hashlib
import os
import threading
from array import array
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Unsupported
from wimboot.events import Problem
from wimboot.formats.wimheader import ResourceFlag
from wimboot.wim._codec import SOUND, Codec
from wimboot.wim.errors import Cancelled
from wimboot.wim.resource import WINDOW, ResourceReader
from wimboot.wim.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from wimboot.events import Counter
    from wimboot.formats.blobtable import BlobRow
    from wimboot.wim.part import Part

__all__ = ["BlobProblem", "check_blobs"]

_GAP = 64 << 10         # bytes read in vain rather than beginning another read
_SPAN = 1 << 20         # uncompressed bytes of a batch


class BlobProblem(Problem):
    """A blob, or an image's metadata, whose bytes are not those of its hash."""

    sha1: bytes


@dataclass(slots=True)
class _Span:
    """Blobs that lie close behind each other and are read at once; or one large one, or one in a solid resource."""

    rows: list[BlobRow] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    start: int = 0
    end: int = 0
    size: int = 0
    alone: bool = False


def check_blobs(parts: tuple[Part, ...], hashes: Collection[bytes] | None, counter: Counter, threads: int, *,
                where: str) -> list[BlobProblem]:
    """Read the blobs (None: all, and the images' metadata) in the order in which they lie, and hash them.

    A Problem for each that is not sound.
    """
    problems: list[BlobProblem] = []
    wanted = None if hashes is None else set(hashes)
    for part in parts:
        index = part.table.index
        rows = part.table.in_file_order([*index.rows(), *part.table.metadata] if wanted is None else
                                        [index[sha1] for sha1 in wanted if sha1 in index])
        problems += _check_part(part, rows, counter, threads)
    for sha1 in wanted or ():
        if not any(sha1 in part.table.index for part in parts):
            problems.append(BlobProblem(id="blob-not-in-wim", where=where, sha1=sha1,
                                        text=f"the data with the hash {sha1.hex()} is not in the WIM"))
    return problems


def _check_part(part: Part, rows: list[int], counter: Counter, threads: int) -> list[BlobProblem]:
    _forget_cached(part)
    codec = Codec(part.header.compression, part.header.chunk_size)
    checker = _Checker(part, codec)
    problems: list[BlobProblem] = []
    workers: Workers[tuple[int, list[BlobProblem]]] = Workers(threads, checker.cancel)
    with workers:
        tasks: Iterator[Callable[[], tuple[int, list[BlobProblem]]]] = (
            partial(checker.check, span) for span in _spans(part, rows))
        for size, found in workers.in_order(tasks, threads * 3):
            counter.add(size)
            problems += found
    return problems


def _forget_cached(part: Part) -> None:
    """Make the reads that follow come from the disk, as far as the host lets us."""
    forget = getattr(part.file, "forget_cached", None)
    if forget is not None:
        forget()
    fileno = getattr(part.file, "fileno", None)
    if fileno is not None:
        os.posix_fadvise(fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)


def _spans(part: Part, rows: list[int]) -> Iterator[_Span]:
    span = _Span()
    for number in rows:
        row = part.table.row(number)
        if number in part.table.run_of or max(row.size, row.size_in_wim) > WINDOW:
            yield _Span(rows=[row], numbers=[number], alone=True)
            continue
        if span.rows and (span.size + row.size > _SPAN or not span.start <= row.offset <= span.end + _GAP):
            yield span
            span = _Span()
        if not span.rows:
            span.start = span.end = row.offset
        span.rows.append(row)
        span.end = max(span.end, row.offset + row.size_in_wim)
        span.size += row.size
    if span.rows:
        yield span


class _Checker:
    """What the threads share: a codec of its own, so that stopping leaves the store's usable."""

    def __init__(self, part: Part, codec: Codec) -> None:
        self._part = part
        self._codec = codec
        self._stopped = False
        self._buffers = threading.local()
        self._solid = threading.Lock()
        self._reading = threading.Lock()    # not every file can be read by two threads at once
        self._parallel = hasattr(part.file, "fileno") or getattr(part.file, "reads_together", False)

    def cancel(self) -> None:
        self._stopped = True
        self._codec.cancel()

    def check(self, span: _Span) -> tuple[int, list[BlobProblem]]:
        """(uncompressed bytes, problems) of a span."""
        if span.alone:
            return self._check_alone(span.rows[0], span.numbers[0])
        data = self._read(span.start, span.end - span.start)
        if len(data) != span.end - span.start:
            return span.size, [_problem(self._part, row, "is cut short") for row in span.rows]
        jobs = array("Q")
        for row in span.rows:
            jobs.extend((row.offset - span.start, row.size_in_wim, row.size,
                         1 if row.flags & ResourceFlag.COMPRESSED else 0))
        out = self._buffer(span.size)
        states = self._codec.decompress_batch(data, jobs, out)
        problems = []
        at = 0
        for row, state in zip(span.rows, states, strict=True):
            if state != SOUND:
                problems.append(_problem(self._part, row, "does not decompress"))
            elif hashlib.sha1(out[at:at + row.size], usedforsecurity=False).digest() != row.sha1:
                problems.append(_problem(self._part, row, "has other contents"))
            at += row.size
        return span.size, problems

    def _read(self, offset: int, size: int) -> bytes:
        if self._parallel:
            return self._part.file.pread(offset, size)
        with self._reading:
            return self._part.file.pread(offset, size)

    def _buffer(self, size: int) -> memoryview:
        kept: bytearray | None = getattr(self._buffers, "kept", None)
        if kept is None or len(kept) < size:
            kept = self._buffers.kept = bytearray(max(size, _SPAN))
        return memoryview(kept)[:size]

    def _check_alone(self, row: BlobRow, number: int) -> tuple[int, list[BlobProblem]]:
        run = self._part.run_of(number)
        size = self._part.blob_of(row).size
        reader = self._part.resources if run else ResourceReader(
            self._read, self._part.header, self._part.where)
        digest = hashlib.sha1(usedforsecurity=False)
        try:
            with self._solid if run else threading.Lock():
                for window in reader.windows(row, run):
                    if self._stopped:
                        raise Cancelled
                    digest.update(window)
        except (Damaged, Unsupported) as error:
            return size, [BlobProblem(id=error.id, where=self._part.where, text=str(error), sha1=row.sha1)]
        if digest.digest() != row.sha1:
            return size, [_problem(self._part, row, "has other contents")]
        return size, []


def _problem(part: Part, row: BlobRow, what: str) -> BlobProblem:
    return BlobProblem(id="blob-damaged", where=part.where, sha1=row.sha1,
                       text=f"the data at {row.offset:,} with the hash {row.sha1.hex()} {what}")
