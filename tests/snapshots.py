"""All that a volume holds, read through the ntfs-3g driver, in a form that two volumes can be compared by."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import stat
import struct
import subprocess
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from index_judge import DOS, RECORD_MASK, WIN32, WIN32_AND_DOS, open_volume, read_record
from mounting import mounted

__all__ = ["SYSTEM_HIVE", "Facts", "Snapshot", "differences", "pointer", "seen_through", "snapshot"]

ENCRYPTED, REPARSE, SPARSE, NORMAL = 0x4000, 0x400, 0x200, 0x80
WOF_TAG, WOF_HEADER = 0x80000017, struct.pack("<II", 1, 1)
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.lgetxattr.restype = ctypes.c_ssize_t
LIBC.lgetxattr.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
UNTOLD = b"?"
SYSTEM_HIVE = "Windows/System32/config/SYSTEM"
VOLATILE = ("change_time", "record")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One name of one file or folder. Times in 100 ns since 1601; absent things are empty."""

    folder: bool
    attributes: int
    creation: int
    last_write: int
    last_access: int
    change_time: int
    security: bytes
    short_name: str
    streams: dict[str, tuple[int, str]]
    """Name ("" the unnamed one) -> size, SHA-1 in hex; no SHA-1 for what only Windows reads, a pointer's data."""
    reparse: bytes
    object_id: bytes
    eas: bytes
    efs: bytes
    links: tuple[str, ...]
    """Every path of this file, sorted."""
    record: int


Snapshot = dict[str, Facts]
"""Path with `/`, no leading one; "" is the root. Unpaired surrogates are kept as such."""


def snapshot(image: Path, offset: int = 0, *, contents: bool = True, hives: bool = True) -> Snapshot:
    """Read a whole volume. Without `contents` no stream is hashed: their SHA-1 is empty. With `hives` SYSTEM is told by
    what it says.
    """
    with mounted(image, offset=offset) as root:
        top = os.fsencode(root)
        found: Snapshot = {}
        links: defaultdict[int, list[str]] = defaultdict(list)
        waiting = [b""]
        while waiting:
            inner = waiting.pop()
            full = top + b"/" + inner if inner else top
            name = inner.decode("utf-8", "surrogatepass")
            status = os.lstat(full)
            found[name] = _facts(full, status, contents=contents)
            links[status.st_ino].append(name)
            if stat.S_ISDIR(status.st_mode):
                with os.scandir(full) as children:
                    waiting += [inner + b"/" + child.name if inner else child.name for child in children]
        if contents and hives:
            _read_hive(found, root)
    _fill_in(found, image, offset, contents=contents)
    return {name: replace(facts, links=tuple(sorted(links[facts.record]))) for name, facts in found.items()}


def _read_hive(found: Snapshot, root: Path) -> None:
    """SYSTEM as what it says, told by hivexml, but for Setup\\WimBoot: that comes with pointers and goes with them."""
    facts = found.get(SYSTEM_HIVE)
    if facts is None or facts.reparse:
        return
    told = subprocess.run(["hivexml", str(root / SYSTEM_HIVE)], check=False, capture_output=True)
    if told.returncode == 0 and told.stdout:
        said = re.sub(rb"<byte_runs>.*?</byte_runs>", b"", told.stdout)     # where it lies in the file
        said = said.replace(b'<value type="int32" key="WimBoot" value="1"></value>', b"")
        digest = hashlib.sha1(said, usedforsecurity=False).hexdigest()
        found[SYSTEM_HIVE] = replace(facts, streams=facts.streams | {"": (0, digest)})


def _fill_in(found: Snapshot, image: Path, offset: int, *, contents: bool) -> None:
    """Let dissect read what the driver does not give: streams of pointers, DOS names of files with several names."""
    with open_volume(image, offset) as volume:
        for name, facts in found.items():
            if facts.short_name == UNTOLD.decode():
                facts = replace(facts, short_name=_short_name(found, volume, name))
                found[name] = facts
            if facts.reparse[:4] == WOF_TAG.to_bytes(4, "little"):
                source = volume.mft.get(facts.record)
                streams = dict(facts.streams)
                for attribute in source.attributes.DATA:
                    stream = attribute.header.name
                    digest = hashlib.sha1(source.open(stream).read(), usedforsecurity=False).hexdigest()
                    streams[stream] = source.size(stream), digest if stream and contents else ""
                found[name] = replace(facts, streams=streams)


def _short_name(found: Snapshot, volume: Any, path: str) -> str:
    """The DOS name that goes with this one of several names."""
    folder, _, own = path.rpartition("/")
    raw = own.encode("utf-16-le", "surrogatepass")
    names = [name for name in read_record(volume, found[path].record).names
             if name.parent & RECORD_MASK == found[folder].record]
    if any(name.name == raw and name.namespace == WIN32_AND_DOS for name in names):
        return own.upper()
    if any(name.name == raw and name.namespace == WIN32 for name in names):
        return next(name.shown for name in names if name.namespace == DOS)
    return ""


def _facts(full: bytes, status: os.stat_result, *, contents: bool) -> Facts:
    attributes = struct.unpack(">I", _value(full, "system.ntfs_attrib_be"))[0]
    creation, last_write, last_access, change = struct.unpack(">4Q", _value(full, "system.ntfs_times_be"))
    streams: dict[str, tuple[int, str]] = {}
    if stat.S_ISREG(status.st_mode):
        streams[""] = _digest(full, contents=contents)
    for stream in filter(None, _value(full, "ntfs.streams.list").split(b"\0")):
        streams[stream.decode("utf-8", "surrogatepass")] = _digest(full + b":" + stream, contents=contents)
    return Facts(
        folder=bool(attributes & 0x10) or stat.S_ISDIR(status.st_mode), attributes=attributes, creation=creation,
        last_write=last_write, last_access=last_access, change_time=change, streams=streams, links=(),
        security=_value(full, "system.ntfs_acl"), record=status.st_ino,
        short_name=_value(full, "system.ntfs_dos_name").decode(), reparse=_value(full, "system.ntfs_reparse_data"),
        object_id=_value(full, "system.ntfs_object_id"), eas=_value(full, "system.ntfs_ea"),
        efs=_value(full, "system.ntfs_efsinfo") if attributes & ENCRYPTED else b"")


def _value(full: bytes, name: str) -> bytes:
    """One extended attribute, asked for with all the room it may need: ntfs-3g answers EIO to less for some."""
    room = ctypes.create_string_buffer(1 << 16)
    size = LIBC.lgetxattr(full, name.encode(), room, len(room))
    if size >= 0:
        return room.raw[:size]
    if ctypes.get_errno() == errno.EMLINK:  # a DOS name is asked for, and the file has several names
        return UNTOLD
    if ctypes.get_errno() in (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM):
        return b""
    raise OSError(ctypes.get_errno(), name, os.fsdecode(full))


def _digest(full: bytes, *, contents: bool) -> tuple[int, str]:
    try:
        with Path(os.fsdecode(full)).open("rb") as file:
            if not contents:
                return os.fstat(file.fileno()).st_size, ""
            digest, size = hashlib.sha1(usedforsecurity=False), 0
            while part := file.read(1 << 20):
                digest.update(part)
                size += len(part)
            return size, digest.hexdigest()
    except OSError as error:
        if error.errno != errno.ELIBACC:  # ntfs-3g does not know the tag of the file's reparse point
            raise
        return -1, ""


def pointer(facts: Facts) -> tuple[int, str] | None:
    """Size and SHA-1 that a WIM-backed pointer promises; None for anything else."""
    data = facts.reparse
    if len(data) < 56 or struct.unpack_from("<I", data)[0] != WOF_TAG or data[8:16] != WOF_HEADER:
        return None
    size = struct.unpack_from("<Q", data, 0x48)[0] if len(data) >= 96 else -1
    return size, data[0x20:0x34].hex()


def seen_through(before: Snapshot) -> Snapshot:
    """The same volume as Windows shows it: pointers are the files that they promise, their attribute bits gone.

    A pointer that promises another size than the file has stays a pointer, so that a comparison shows it.
    """
    after = {}
    for name, facts in before.items():
        promise = pointer(facts)
        if promise is None or promise[0] not in (-1, facts.streams[""][0]):
            after[name] = facts
        else:
            after[name] = replace(facts, reparse=b"", streams={**facts.streams, "": promise},
                                  attributes=facts.attributes & ~(REPARSE | SPARSE) or NORMAL)
    return after


def differences(before: Snapshot, after: Snapshot, *, ignore: Collection[str] = VOLATILE,
                attribute_mask: int = 0, without: Collection[str] = ()) -> list[str]:
    """What differs, in words. Fields named in `ignore`, bits of `attribute_mask` and paths `without` do not count."""
    said = []
    for name in sorted(before.keys() | after.keys()):
        if any(name == part or name.startswith(part + "/") for part in without):
            continue
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            said.append(f"{name}: {'new' if old is None else 'gone'}")
            continue
        for column in fields(Facts):
            was, now = getattr(old, column.name), getattr(new, column.name)
            if column.name == "attributes":
                was, now = was & ~attribute_mask, now & ~attribute_mask
            if column.name not in ignore and was != now:
                said.append(f"{name}: {column.name} was {was!r}, is {now!r}")
    return said
