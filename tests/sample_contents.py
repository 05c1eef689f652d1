"""Contents for sample systems: real programs, programs made to measure, text and noise; the same for the same seed."""

from __future__ import annotations

import random
import struct
import sysconfig
from functools import cache
from pathlib import Path

__all__ = ["noise", "program", "real_programs", "text", "varied"]

MACHINES = {"x86": 0x14C, "amd64": 0x8664, "arm64": 0xAA64}
SECTION_OFFSET, SECTION_RVA = 0x400, 0x1000
MADE_SIZES = (91_648, 97_792, 101_888, 108_032, 168_448, 182_784)


@cache
def real_programs() -> tuple[bytes, ...]:
    """Programs to fill a system with, smallest first: setuptools' launchers, real PE files, and larger ones made here.

    What else lies in site-packages differs from machine to machine, and so would the size of every sample.
    """
    packages = Path(sysconfig.get_path("purelib"), "setuptools")
    found = {path.read_bytes() for path in packages.glob("*.exe")}
    return tuple(sorted(found | {_like_code(size) for size in MADE_SIZES}, key=len))


def _like_code(size: int) -> bytes:
    """A program that a codec makes about half as large, as it does real ones."""
    chance = random.Random(size)
    body = b"".join(noise(chance, 512) + text(chance, 512) for _ in range(size // 1024))
    return program(size=0) + body


def text(chance: random.Random, size: int) -> bytes:
    """`size` bytes of words, as compressible as configuration files."""
    words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(64)]
    parts: list[bytes] = []
    done = 0
    while done < size:
        parts.append(b" = ".join(chance.choices(words, k=6)) + b"\r\n")
        done += len(parts[-1])
    return b"".join(parts)[:size]


def noise(chance: random.Random, size: int) -> bytes:
    """`size` bytes that no codec makes smaller."""
    return chance.randbytes(size)


def varied(chance: random.Random, original: bytes) -> bytes:
    """`original` with a stretch replaced: another file of the same kind."""
    if len(original) < 4096:
        return original + text(chance, 256)
    place = chance.randrange(1024, len(original) - 2048)
    return original[:place] + text(chance, 1024) + original[place + 1024:]


def program(*, size: int = 8192, machine: str = "amd64", version: tuple[int, int, int, int] = (6, 1, 7601, 17514),
            chance: random.Random | None = None) -> bytes:
    """A PE file with a version resource, its VS_FIXEDFILEINFO saying `version`, filled up to `size` bytes."""
    wide = machine != "x86"
    resource = _version_resource(version)
    raw_size = -(-len(resource) // 512) * 512
    optional = struct.pack("<HBBIIIII", 0x20B if wide else 0x10B, 14, 0, 0, raw_size, 0, SECTION_RVA, SECTION_RVA)
    optional += struct.pack("<Q", 0x140000000) if wide else struct.pack("<II", SECTION_RVA, 0x400000)
    optional += struct.pack("<II6HIIIIHH", 0x1000, 512, 6, 1, 0, 0, 6, 1, 0, 0x3000, SECTION_OFFSET, 0, 1, 0)
    optional += struct.pack("<4Q" if wide else "<4I", 0x40000, 0x1000, 0x100000, 0x1000) + struct.pack("<II", 0, 16)
    directories = [(0, 0)] * 16
    directories[2] = (SECTION_RVA, len(resource))
    optional += b"".join(struct.pack("<II", *entry) for entry in directories)
    coff = struct.pack("<HHIIIHH", MACHINES[machine], 1, 0x4CE7A0B1, 0, 0, len(optional), 0x22 if wide else 0x102)
    section = struct.pack("<8sIIIIIIHHI", b".rsrc", len(resource), SECTION_RVA, raw_size, SECTION_OFFSET, 0, 0, 0, 0,
                          0x40000040)
    dos = b"MZ" + bytes(58) + struct.pack("<I", 0x80) + b"This program cannot be run in DOS mode.\r\n$".ljust(64, b"\0")
    head = (dos + b"PE\0\0" + coff + optional + section).ljust(SECTION_OFFSET, b"\0")
    whole = head + resource.ljust(raw_size, b"\0")
    return whole + text(chance or random.Random(size), max(0, size - len(whole)))


def _version_resource(version: tuple[int, int, int, int]) -> bytes:
    """A resource section: type 16 (version), id 1, language 0x409, then VS_VERSIONINFO with its fixed part."""
    major, minor, build, revision = version
    numbers = (major << 16 | minor, build << 16 | revision)
    fixed = struct.pack("<13I", 0xFEEF04BD, 0x10000, *numbers, *numbers, 0x3F, 0, 0x40004, 1, 0, 0, 0)
    key = "VS_VERSION_INFO\0".encode("utf-16-le")
    info = struct.pack("<HHH", 0, len(fixed), 0) + key
    info += bytes(-len(info) % 4) + fixed
    info = struct.pack("<H", len(info)) + info[2:]
    levels = b"".join(struct.pack("<IIHHHHII", 0, 0, 0, 0, 0, 1, name, target) for name, target in
                      ((16, 24 | 1 << 31), (1, 48 | 1 << 31), (0x409, 72)))
    return levels + struct.pack("<IIII", SECTION_RVA + 88, len(info), 1200, 0) + info
