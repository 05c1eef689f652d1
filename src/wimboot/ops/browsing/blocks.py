"""Streams read in blocks: what was unpacked is kept for a while, what comes next is unpacked ahead, by threads.

**What is checked.** A stream with a known SHA-1 of at most CHECKED bytes is read and compared with it before any of it
is given. A longer one is compared while it is read from its start to its end, before its last block is given; what is
read of it here and there has passed the decompressor only. A stream found to be wrong gives nothing more. What was
found right is not compared again.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from wimboot.errors import Damaged

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

    from wimboot.ops.opening.ranged import Ranged

__all__ = ["BLOCK", "KEPT", "BlockReader", "Blocks", "ContentDiffers"]

BLOCK = 1 << 19
AHEAD = 4
"""Blocks that are begun behind the one that is being read."""
CHECKED = 32 << 20
KEPT = 96 << 20
"""Bytes of blocks that all readers keep together."""
_NEAR = 512 << 10
_EAGER = 256 << 10


class ContentDiffers(Damaged):
    """A blob that decompresses, into something else."""

    id = "content-differs"
    sentence = "{where} does not contain what it should: its data does not have the hash {sha1}"
    advice = "Take the WIM from a backup or a spare copy."


class _Block:
    """One block: whoever claims it first loads it, the others wait for `done`."""

    __slots__ = ("claimed", "data", "done", "error", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.claimed = False
        self.done = threading.Event()
        self.data: bytes | memoryview = b""
        self.error: Exception | None = None


class Blocks:
    """What the readers of a volume share: the blocks kept, the threads, the hashes found right. Close it at the end."""

    def __init__(self, threads: int, kept: int = KEPT) -> None:
        self.threads = threads
        self._limit = kept
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[int, int], _Block] = OrderedDict()
        self._bytes = 0
        self._pool: ThreadPoolExecutor | None = None
        self.right: set[bytes] = set()
        self.serials = count()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def block(self, key: tuple[int, int], size: int) -> _Block:
        """The block of that key, made where there is none; the least used ones go to make room."""
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
                return found
            made = self._held[key] = _Block(size)
            self._bytes += size
            while self._bytes > self._limit and len(self._held) > 1:
                _, gone = self._held.popitem(last=False)
                self._bytes -= gone.size
            return made

    def has(self, key: tuple[int, int]) -> bool:
        """Whether a block is kept, or being loaded."""
        return key in self._held

    def claim(self, block: _Block) -> bool:
        """Whether the caller is the one to load it."""
        with self._lock:
            claimed, block.claimed = block.claimed, True
        return not claimed

    def drop(self, reader: int, key: tuple[int, int] | None = None) -> None:
        """Forget one block, or all of a reader."""
        with self._lock:
            for one in [key] if key is not None else [held for held in self._held if held[0] == reader]:
                gone = self._held.pop(one, None)
                self._bytes -= 0 if gone is None else gone.size

    def ahead(self, load: Callable[[], object]) -> None:
        """Have a thread load something."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="ahead")
        self._pool.submit(load)


class BlockReader:
    """One stream. Any number of threads may read."""

    def __init__(self, source: Ranged, blocks: Blocks, where: str) -> None:
        self.where = where
        self._serial = next(blocks.serials)
        self._source = source
        self._blocks = blocks
        self._count = -(-source.size // BLOCK)
        self._end = 0
        self._failed: Exception | None = None
        self._hashing = threading.Lock()
        self._hashed = 0
        self._waiting: dict[int, bytes | memoryview] = {}
        self._at_once = source.size <= CHECKED
        known = source.sha1 is not None and source.sha1 not in blocks.right
        self._digest = hashlib.sha1(usedforsecurity=False) if known else None

    def close(self) -> None:
        """Forget what was kept of it."""
        self._blocks.drop(self._serial)

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer at the stream's end. Raises ContentDiffers and what reading does."""
        size = min(size, self._source.size - offset)
        if size <= 0:
            return b""
        first, last = offset // BLOCK, (offset + size - 1) // BLOCK
        if self._failed is not None:
            raise self._failed
        if self._at_once and self._digest is not None:
            self._check_all()
        in_order = first == 0 or abs(offset - self._end) <= _NEAR or self._blocks.has((self._serial, first))
        self._end = offset + size
        if not in_order:
            return bytes(self._source.read(offset, size))
        if self._end - first * BLOCK > _EAGER:
            self._begin(last + 1)
        if first == last:
            return bytes(self.load(first)[offset - first * BLOCK:offset - first * BLOCK + size])
        whole = b"".join(self.load(index) for index in range(first, last + 1))
        return whole[offset - first * BLOCK:offset - first * BLOCK + size]

    def _begin(self, first: int) -> None:
        for index in range(first, min(first + AHEAD, self._count)):
            if not self._blocks.has((self._serial, index)):
                self._blocks.block((self._serial, index), self._size(index))
                self._blocks.ahead(partial(self.load, index))

    def _load_backwards(self) -> None:
        """Load from the end what nobody has begun."""
        for index in range(self._count - 1, 0, -1):
            if not self._blocks.block((self._serial, index), self._size(index)).claimed:
                self.load(index)

    def _size(self, index: int) -> int:
        return min(BLOCK, self._source.size - index * BLOCK)

    def load(self, index: int) -> bytes | memoryview:
        """A block: read now, or waited for while another thread does. Raises as `read`."""
        key = self._serial, index
        block = self._blocks.block(key, self._size(index))
        if self._blocks.claim(block):
            try:
                data = self._source.read(index * BLOCK, block.size)
                self._compare(index, data)
                block.data = data
            except Exception as error:
                block.error = error
                self._blocks.drop(self._serial, key)
                raise
            finally:
                block.done.set()
        else:
            block.done.wait()
            if block.error is not None:
                raise block.error
        return block.data

    # ---- the hash of the whole: at once, or as far as blocks come in order

    def _check_all(self) -> None:
        with self._hashing:
            if self._failed is not None:
                raise self._failed
            if self._digest is None:
                return
            for _ in range(min(self._blocks.threads, self._count) - 1):     # they and this one meet, and seldom wait
                self._blocks.ahead(self._load_backwards)
            digest = self._digest.copy()
            for index in range(self._count):
                digest.update(self.load(index))
            self._conclude(digest.digest())

    def _compare(self, index: int, data: bytes | memoryview) -> None:
        if self._digest is None or self._at_once:
            return
        if index == self._count - 1 and index - self._hashed <= AHEAD + 1:
            for before in range(self._hashed, index):
                if self._blocks.has((self._serial, before)):
                    self.load(before)
        with self._hashing:
            if self._digest is None or not 0 <= index - self._hashed <= AHEAD + 1:
                return
            self._waiting[index] = data
            while self._hashed in self._waiting:
                self._digest.update(self._waiting.pop(self._hashed))
                self._hashed += 1
            if self._hashed == self._count:
                self._conclude(self._digest.digest())

    def _conclude(self, found: bytes) -> None:
        sha1 = self._source.sha1 or b""
        if found != sha1:
            self._failed = ContentDiffers(where=self.where, sha1=sha1.hex())
            raise self._failed
        self._blocks.right.add(sha1)
        self._digest = None
