"""Small volumes to try the library on, and the values that its methods take."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from index_judge import index_problems, open_volume, read_records
from wimboot.ntfs.format import format_volume
from wimboot.ntfs.volume import ROOT, Volume
from wimboot.storage import FileDevice, HostFile

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ROOT", "TIMES", "agrees", "descriptor", "facts_of", "fresh_volume", "opened", "pointer", "utf16"]

TIMES = (130_000_000_000_000_001, 130_000_000_010_000_002, 130_000_000_020_000_003)
_TEMPLATES: dict[tuple[int, int], bytes] = {}


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def pointer(size: int, number: int = 1) -> bytes:
    """A version 2 pointer of the WIM provider, to be told from others by `number`."""
    return struct.pack("<IHHIIIIQ20s20sQQQ", 0x80000017, 88, 0, 1, 1, 2, 0, 0, number.to_bytes(20, "big"), bytes(20),
                       size, size, 208)


def descriptor(last: int = 544) -> bytes:
    """A self-relative security descriptor: owner, group and one entry; `last` ends the owner's SID."""
    owner = bytes.fromhex("01020000000000052000000020020000")[:-4] + last.to_bytes(4, "little")
    acl = bytes.fromhex("02001c000100000000001400ff011f00010100000000000100000000")
    return struct.pack("<BBHIIII", 1, 0, 0x8004, 20, 36, 0, 52) + owner + owner + acl


def fresh_volume(path: Path, size: int = 8 << 20, cluster_size: int = 4096) -> Path:
    """A new empty volume."""
    if (size, cluster_size) not in _TEMPLATES:
        try:
            with format_volume(size, cluster_size=cluster_size, label="Test", folder=path.parent) as made:
                _TEMPLATES[size, cluster_size] = made.file.pread(0, size)
        except OSError as error:
            pytest.skip(f"no volume can be made here: {error}")
    path.write_bytes(_TEMPLATES[size, cluster_size])
    return path


@contextmanager
def opened(path: Path, *, write: bool = True) -> Iterator[Volume]:
    """The volume in a file, opened, and closed at the end."""
    file = HostFile.open(path, write=write)
    try:
        with Volume(FileDevice(file), write=write, where=path.name) as volume:
            yield volume
    finally:
        file.close()


def agrees(path: Path) -> None:
    """The quick judge: records, folder indexes and system indexes tell the same story."""
    problems = index_problems(path)
    assert not problems, "\n".join(problems)


def facts_of(path: Path, file_id: int) -> tuple[tuple[int, ...], int, int]:
    """Creation, write, change and access time, attributes and security id, as dissect.ntfs reads them."""
    with open_volume(path) as view:
        record = read_records(view)[file_id & (1 << 48) - 1]
        value = record.source.attributes.STANDARD_INFORMATION[0].header.data()
    return struct.unpack_from("<QQQQ", value), record.attributes, record.security_id or 0
