"""Reads damaged copies of WIMs; run by test_store.py in a process of its own: hostile_wims.py SEED WIM..."""

from __future__ import annotations

import contextlib
import random
import resource
import sys
import time
from pathlib import Path

resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

from wimboot.errors import Error  # noqa: E402
from wimboot.events import Counter  # noqa: E402
from wimboot.storage.faults import Image, MemoryFile  # noqa: E402
from wimboot.wim import Store  # noqa: E402

INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x10)
ROUNDS = 80


def damage(data: bytes, rng: random.Random) -> bytes:
    """One of several kinds of malice, mostly in header and tables."""
    out = bytearray(data)
    table = int.from_bytes(data[0x38:0x40], "little")
    for _ in range(rng.randint(1, 16)):
        place = rng.random()
        if place < 0.3:
            at = rng.randrange(208)
        elif place < 0.7:
            at = rng.randrange(table, len(data))
        else:
            at = rng.randrange(len(data))
        out[at] = rng.choice(INTERESTING) if rng.random() < 0.6 else rng.randrange(256)
    if rng.random() < 0.2:
        at = rng.choice((0x2C, 0x14, 0x30, 0x48, 0x78, table, table + 8, table + 16, table + 66))
        out[at:at + 4] = rng.randbytes(4)
    return bytes(out[:rng.randrange(len(out))] if rng.random() < 0.05 else out)


def read(data: bytes) -> None:
    """Everything that can be read of it."""
    store = Store.open(MemoryFile(Image(data)), where="hostile.wim")
    for image in range(1, len(store.images) + 1):
        with contextlib.suppress(Error):
            store.load_tree(image)
    for sha1 in store.hashes():
        with contextlib.suppress(Error):
            for _ in store.read_parts(sha1):
                pass
    store.check_blobs(None, Counter(), 2)


def main() -> None:
    """Fails by a traceback where anything but our errors comes out, or where one copy takes 5 seconds of work."""
    rng = random.Random(sys.argv[1])
    for path in sys.argv[2:]:
        sound = Path(path).read_bytes()
        for number in range(ROUNDS):
            data = damage(sound, rng)
            begin = time.process_time()
            with contextlib.suppress(Error):
                read(data)
            assert time.process_time() - begin < 5, f"copy {number} of {path} took too long"


main()
