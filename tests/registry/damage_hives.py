"""Run as a program: damages a hive at random, then reads and edits it; only our own errors may come out.

It is a process of its own, so that a fault in the C library shows as an exit by signal and not as the tests' end:
`damage_hives.py HIVE FIRST_SEED COUNT`. Prints how many of the damaged hives could still be read to the end.
"""

from __future__ import annotations

import contextlib
import random
import resource
import struct
import sys
from pathlib import Path

from wimboot.errors import Error, Internal
from wimboot.formats.regf import BASE_BLOCK_SIZE, BaseBlock
from wimboot.registry import Hive, Node, RegistryValue

WILD = (0, 1, 4, 8, 0x20, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF8, 0x1000, 0xFFFF, 0x80000004)


def places(data: bytes) -> list[int]:
    """Places of all cells, allocated or not."""
    found, at = [], BASE_BLOCK_SIZE
    while at < len(data) and data[at:at + 4] == b"hbin":
        size = struct.unpack_from("<I", data, at + 8)[0]
        cell = at + 32
        while cell < at + size:
            found.append(cell)
            cell += abs(struct.unpack_from("<i", data, cell)[0])
        at += size
    return found


def damage(data: bytes, cells: list[int], chance: random.Random) -> bytes:
    """A few wild numbers, in cells' fields mostly, under a base block whose checksum fits."""
    bad = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 8, 40))):
        kind = chance.random()
        if kind < 0.15:
            at = chance.randrange(BASE_BLOCK_SIZE, len(bad) - 4)
        elif kind < 0.2:
            at = chance.choice((4, 8, 36, 40, 44))
        else:
            at = min(chance.choice(cells) + 4 * chance.randrange(0, 20), len(bad) - 4)
        how = chance.random()
        if how < 0.4:
            struct.pack_into("<I", bad, at, chance.choice(WILD))
        elif how < 0.8:      # another cell's place
            struct.pack_into("<I", bad, at, chance.choice(cells) - BASE_BLOCK_SIZE)
        else:
            bad[at] ^= 1 << chance.randrange(8)
    with contextlib.suppress(Error):
        bad[:512] = BaseBlock.parse(bytes(bad)).pack()
    return bytes(bad)


def walk(node: Node, chance: random.Random, budget: list[int]) -> None:
    """Read a key, and those below it while the budget lasts."""
    todo = [node]
    while todo and budget[0] > 0:
        at = todo.pop(chance.randrange(len(todo)))
        budget[0] -= 1
        try:
            for _, value in at.values():
                value.text(), value.texts(), value.number()
            at.value("Start"), at.child("services"), at.name
            todo += at.children()
        except Error as error:
            if isinstance(error, Internal):
                raise


def edits(hive: Hive, chance: random.Random) -> None:
    """Some edits of keys found at random."""
    keys = [hive.root]
    for _ in range(200):
        try:
            keys += chance.choice(keys).children()[:20]
        except Error:
            continue
    for _ in range(12):
        key = chance.choice(keys)
        try:
            match chance.randrange(5):
                case 0:
                    key.set(chance.choice(("Start", "New", "")), RegistryValue.sz("x" * chance.randrange(40)))
                case 1:
                    key.unset(next(iter(key.values()))[0])
                case 2:
                    key.add_child(chance.choice(("aaa", "zzz", "Mmm")))
                case 3:
                    key.delete()
                    keys = [hive.root]
                case _:
                    Hive(hive.commit()).close()
        except (Error, StopIteration) as error:
            if isinstance(error, Internal):
                raise


def main() -> None:
    """Go through the seeds."""
    data = Path(sys.argv[1]).read_bytes()
    first, count = int(sys.argv[2]), int(sys.argv[3])
    cells = places(data)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    whole = 0
    for seed in range(first, first + count):
        Path(sys.argv[1] + ".seed").write_text(str(seed))
        chance = random.Random(seed)
        bad = damage(data, cells, chance)
        try:
            with Hive(bad) as hive:
                walk(hive.root, chance, [60])
                edits(hive, chance)
                hive.commit()
                whole += 1
        except Error as error:
            if isinstance(error, Internal):
                raise
    sys.stdout.write(f"{whole} of {count}\n")


if __name__ == "__main__":
    main()
