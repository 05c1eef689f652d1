"""A small chkdsk over dissect.ntfs: do the records, the folder indexes and the system indexes tell the same story?

dissect parses; what is compared here is the rules that no Linux checker knows: index entries that agree with
their file, namespaces, link counts, collation, $Reparse, $ObjId and $Secure.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dissect.ntfs import NTFS
from dissect.ntfs.attr import ATTRIBUTE_CLASS_MAP
from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE as CODE
from dissect.util.stream import RangeStream

__all__ = ["Name", "Record", "index_problems", "open_volume", "read_record", "read_records"]

ATTRIBUTE_CLASS_MAP.pop(CODE.FILE_NAME, None)  # its decoder refuses names with unpaired surrogates

ROOT, SECURE, UPCASE, EXTEND, FIRST_USER_RECORD = 5, 9, 10, 11, 24
POSIX, WIN32, DOS, WIN32_AND_DOS = range(4)
SHOWN = 0x7FA7  # the FILE_ATTRIBUTE_* bits that $STANDARD_INFORMATION and an index entry share
RECORD_MASK = (1 << 48) - 1


@dataclass(frozen=True, slots=True)
class Name:
    """A $FILE_NAME value: the key of an index entry."""

    parent: int
    name: bytes
    namespace: int
    size: int
    allocated: int
    attributes: int
    tag: int

    @classmethod
    def parse(cls, value: bytes) -> Name:
        """Layout as in the Linux-NTFS documentation: the parent at 0, sizes at 40, attributes at 56, tag at 60."""
        parent, allocated, size, attributes, tag, length, namespace = struct.unpack_from("<Q32xQQIIBB", value)
        return cls(parent, value[66:66 + 2 * length], namespace, size, allocated, attributes, tag)

    @property
    def shown(self) -> str:
        """For messages."""
        return self.name.decode("utf-16-le", "replace")


@dataclass(slots=True)
class Record:
    """One file or folder as its MFT records tell it."""

    reference: int
    folder: bool
    links: int
    names: list[Name] = field(default_factory=list)
    attributes: int = 0
    security_id: int | None = None
    size: int = 0
    reparse: bytes = b""
    object_id: bytes = b""
    source: Any = None


@contextmanager
def open_volume(image: Path, offset: int = 0) -> Iterator[Any]:
    """dissect's view of the volume at byte `offset` of `image`."""
    with image.open("rb") as file:
        yield NTFS(RangeStream(file, offset, image.stat().st_size - offset) if offset else file)


def read_records(volume: Any) -> dict[int, Record]:
    """Every base record in use, by number."""
    found: dict[int, Record] = {}
    for number in range(volume.mft.get(0).size() // volume._record_size):
        if FIRST_USER_RECORD > number > 15:  # reserved ones are in use and have no names
            continue
        try:
            source = volume.mft.get(number)
        except Exception:  # noqa: BLE001, S112  # never used records may be anything
            continue
        base = source.header.BaseFileRecordSegment
        if source.header.Flags & 1 and not (base.SegmentNumberLowPart or base.SequenceNumber):
            found[number] = read_record(volume, number)
    return found


def read_record(volume: Any, number: int) -> Record:
    """The file or folder at base record `number`."""
    source = volume.mft.get(number)
    record = Record(reference=source.header.SequenceNumber << 48 | number, folder=source.is_dir(),
                    links=source.header.ReferenceCount, source=source)
    for attribute in source.attributes.get(CODE.FILE_NAME.value, ()):
        record.names.append(Name.parse(attribute.header.data()))
    for attribute in source.attributes.get(CODE.STANDARD_INFORMATION.value, ()):
        value = attribute.header.data()
        record.attributes = struct.unpack_from("<I", value, 32)[0]
        record.security_id = struct.unpack_from("<I", value, 52)[0] if len(value) >= 72 else None
    for attribute in source.attributes.get(CODE.DATA.value, ()):
        if not attribute.header.header.NameLength and not attribute.header.lowest_vcn:
            record.size = attribute.header.size
    for attribute in source.attributes.get(CODE.REPARSE_POINT.value, ()):
        record.reparse = attribute.header.data()
    for attribute in source.attributes.get(CODE.OBJECT_ID.value, ()):
        record.object_id = attribute.header.data()
    return record


def index_problems(image: Path, offset: int = 0) -> list[str]:
    """Everything that does not agree, in words; empty for a sound volume."""
    with open_volume(image, offset) as volume:
        records = read_records(volume)
        upcase = struct.unpack("<65536H", volume.mft.get(UPCASE).open().read(131072))
        problems = [problem for record in records.values() for problem in _name_problems(record)]
        listed: Counter[tuple[int, int, bytes, int]] = Counter()
        for number, record in records.items():
            if record.folder and (number in (ROOT, EXTEND) or number >= FIRST_USER_RECORD):
                problems += _folder_problems(number, record, records, upcase, listed)
        for number, record in records.items():
            for name in record.names:
                if listed[name.parent & RECORD_MASK, record.reference, name.name, name.namespace] != 1:
                    problems.append(f"record {number}: its name {name.shown!r} stands not once in its folder")
        return problems + list(_system_index_problems(volume, records))


def _name_problems(record: Record) -> Iterator[str]:
    number = record.reference & RECORD_MASK
    if record.links != len(record.names):
        yield f"record {number}: {record.links} links but {len(record.names)} names"
    if number >= FIRST_USER_RECORD and not record.names:
        yield f"record {number}: in use without a name"
    kinds = Counter((name.parent, name.namespace) for name in record.names)
    for (parent, kind), count in kinds.items():
        if kind == WIN32 and kinds[parent, DOS] != count:
            yield f"record {number}: a Win32 name without its DOS name"
        if kind == DOS and kinds[parent, WIN32] != count:
            yield f"record {number}: a DOS name without its Win32 name"
    if sum(name.namespace in (DOS, WIN32_AND_DOS) for name in record.names) > 1:
        yield f"record {number}: more than one DOS name"


def _folder_problems(number: int, folder: Record, records: dict[int, Record], upcase: tuple[int, ...],
                     listed: Counter[tuple[int, int, bytes, int]]) -> Iterator[str]:
    last: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    for key, reference in _walk(folder.source, "$I30", number):
        entry = Name.parse(key)
        where = f"folder {number}, entry {entry.shown!r}"
        units = struct.unpack(f"<{len(entry.name) // 2}H", entry.name)
        order = (tuple(upcase[unit] for unit in units), units)
        if last is not None and order <= last:
            yield f"{where}: not in order"
        last = order
        listed[number, reference, entry.name, entry.namespace] += 1
        target = records.get(reference & RECORD_MASK)
        if target is None or target.reference != reference:
            yield f"{where}: leads to no record in use"
        elif not any((name.parent, name.name, name.namespace) == (entry.parent, entry.name, entry.namespace)
                     for name in target.names):
            yield f"{where}: the record does not know this name"
        elif reference & RECORD_MASK >= FIRST_USER_RECORD:
            yield from _entry_problems(where, entry, target)


def _entry_problems(where: str, entry: Name, target: Record) -> Iterator[str]:
    if entry.size != target.size:
        yield f"{where}: size {entry.size}, the file has {target.size}"
    if (entry.attributes ^ target.attributes) & SHOWN:
        yield f"{where}: attributes {entry.attributes:#x}, the file has {target.attributes:#x}"
    if bool(entry.attributes & 0x10000000) != target.folder:
        yield f"{where}: does not tell rightly whether it is a folder"
    tag = struct.unpack_from("<I", target.reparse)[0] if target.reparse else 0
    if bool(target.attributes & 0x400) != bool(target.reparse):
        yield f"{where}: the reparse attribute bit and the reparse data do not agree"
    if tag and entry.tag != tag:
        yield f"{where}: reparse tag {entry.tag:#x}, the file has {tag:#x}"


def _walk(source: Any, name: str, number: int) -> Iterator[tuple[bytes, int]]:
    """The entries of a B-tree index in order: (key, the 8 bytes before the entry's length, as an integer)."""
    index = source.index(name)
    stack: list[Iterator[Any]] = [iter(list(index.root.entries()))]
    seen: set[int] = set()
    waiting: list[Any] = []
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            if waiting and (above := waiting.pop()) is not None:
                yield from _emit(above)
            continue
        if entry.is_node:
            if entry.node_vcn in seen:
                raise AssertionError(f"index {name} of record {number} comes back to block {entry.node_vcn}")
            seen.add(entry.node_vcn)
            stack.append(iter(list(index.index_buffer(entry.node_vcn).entries())))
            waiting.append(entry)
        else:
            yield from _emit(entry)


def _emit(entry: Any) -> Iterator[tuple[bytes, int]]:
    if not entry.is_end:
        yield bytes(entry.key), struct.unpack("<Q", entry.header.FileReference.dumps())[0]


def _system_index_problems(volume: Any, records: dict[int, Record]) -> Iterator[str]:
    points = {(struct.unpack_from("<I", record.reparse)[0], record.reference)
              for record in records.values() if record.reparse}
    indexed = {struct.unpack_from("<IQ", key) for key, _ in _walk(volume.mft.get("$Extend\\$Reparse"), "$R", 0)}
    for tag, reference in points ^ indexed:
        side = "$Reparse lacks" if (tag, reference) in points else "$Reparse alone has"
        yield f"{side} tag {tag:#x} of record {reference & RECORD_MASK}"
    ids = {record.object_id[:16] for record in records.values() if record.object_id}
    known = {key for key, _ in _walk(volume.mft.get("$Extend\\$ObjId"), "$O", 0)}
    for lost in ids - known:
        yield f"$ObjId lacks {lost.hex()}"
    securities = {struct.unpack_from("<I", key)[0] for key, _ in _walk(volume.mft.get(SECURE), "$SII", SECURE)}
    for number, record in records.items():
        if record.security_id and record.security_id not in securities:
            yield f"record {number}: security {record.security_id} is not in $Secure"
