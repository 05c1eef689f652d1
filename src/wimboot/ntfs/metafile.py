"""Reading an NTFS volume's own files ($MFT, $Volume, $Bitmap, $Secure) from its bytes. Nothing is written.

One file at a time and with all checks; what lies in extension records is found by the attribute list.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.formats.ntfsboot import BootSector
from wimboot.formats.ntfsrecord import Attribute, AttributeListEntry, FileRecord, Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wimboot.storage.protocol import File

__all__ = [
    "BAD_CLUSTERS_RECORD", "BITMAP", "BITMAP_RECORD", "DATA", "MFT_RECORD", "SECURE_RECORD", "VOLUME_RECORD",
    "Extents", "Metafiles",
]

MFT_RECORD, VOLUME_RECORD, BITMAP_RECORD, BAD_CLUSTERS_RECORD, SECURE_RECORD = 0, 3, 6, 8, 9
ATTRIBUTE_LIST, DATA, BITMAP = 0x20, 0x80, 0xB0
_RECORD = (1 << 48) - 1
_LARGEST_LIST = 256 << 10   # as Windows has it: an attribute list is never larger
_IN_USE = 1


class Extents:
    """Where the bytes of one attribute lie on the device."""

    def __init__(self, device: File, boot: BootSector) -> None:
        self._device = device
        self._cluster_size = boot.cluster_size
        self._limit = boot.total_clusters
        self.runs: list[Run] = []
        self._starts: list[int] = []
        self.clusters = 0

    def add(self, runs: Iterable[Run]) -> None:
        """The next runs. Raises FormatError where they are not on the volume."""
        for lcn, clusters in runs:
            if lcn is not None and lcn + clusters > self._limit:
                raise FormatError("run list", 0, f"clusters past the end of the volume ({lcn} + {clusters})")
            self._starts.append(self.clusters)
            self.runs.append((lcn, clusters))
            self.clusters += clusters

    def place(self, offset: int) -> tuple[int | None, int]:
        """(where byte `offset` lies on the device, None in a hole; bytes in a row from there). Raises FormatError."""
        if not 0 <= offset < self.clusters * self._cluster_size:
            raise FormatError("run list", 0, f"it ends before byte {offset:,}")
        at = bisect_right(self._starts, offset // self._cluster_size) - 1
        lcn, clusters = self.runs[at]
        inside = offset - self._starts[at] * self._cluster_size
        return None if lcn is None else lcn * self._cluster_size + inside, clusters * self._cluster_size - inside

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from byte `offset`; zeros in holes. Raises FormatError past the end."""
        parts: list[bytes] = []
        while size:
            place, room = self.place(offset)
            part = min(room, size)
            parts.append(bytes(part) if place is None else self._device.pread(place, part))
            if len(parts[-1]) != part:
                raise FormatError("run list", 0, "it leads past the end of the device")
            offset += part
            size -= part
        return b"".join(parts)


class Metafiles:
    """The volume on `device`. Raises FormatError where a structure is not sound."""

    def __init__(self, device: File) -> None:
        self.device = device
        self.boot = BootSector.parse(device.pread(0, BootSector.SIZE))
        if self.boot.volume_size > device.size():
            raise FormatError(BootSector.STRUCTURE, 0x28, f"a volume of {self.boot.volume_size:,} bytes on a device of "
                              f"{device.size():,}")
        self.mft = Extents(device, self.boot)
        self.mft.add([(self.boot.mft_lcn, -(-self.boot.record_size // self.boot.cluster_size))])
        self.mft_size = self.boot.record_size
        self._open_mft()

    @property
    def record_count(self) -> int:
        """Records in $MFT, in use or not."""
        return self.mft_size // self.boot.record_size

    def record(self, number: int) -> FileRecord:
        """The file record of that number. Raises FormatError."""
        if not 0 <= number < self.record_count:
            raise FormatError("$MFT", number, "there is no such record")
        record = FileRecord.parse(self.mft.read(number * self.boot.record_size, self.boot.record_size))
        if not record.flags & _IN_USE:
            raise FormatError("$MFT", number, "the record is not in use")
        return record

    def attribute(self, number: int, kind: int, name: bytes = b"") -> Attribute | None:
        """An attribute of a file, its extents put together; None where it has none of that type and name."""
        base = self.record(number)
        if base.base:
            raise FormatError("$MFT", number, "the record does not describe a file")
        entries = self._list(base)
        if not entries:
            return self._joined([a for a in base.attributes if a.type == kind and a.name == name][:1])
        wanted = sorted((e for e in entries if e.type == kind and e.name == name), key=lambda e: e.lowest_vcn)
        return self._joined([self._extent(number, base, e) for e in wanted])

    def content(self, attribute: Attribute, limit: int) -> bytes:
        """The whole value of an attribute. Raises FormatError where it is not plain, or over `limit` bytes."""
        if attribute.value is not None:
            return attribute.value
        if attribute.flags & 0x40FF:
            raise FormatError("attribute", attribute.offset, "compressed or encrypted where it cannot be")
        if attribute.initialized > attribute.size:
            raise FormatError("attribute", attribute.offset,
                              f"{attribute.initialized:,} of {attribute.size:,} bytes written")
        if attribute.size > limit:
            raise FormatError("attribute", attribute.offset, f"{attribute.size:,} bytes, over the limit of {limit:,}")
        extents = Extents(self.device, self.boot)
        extents.add(attribute.runs)
        return extents.read(0, attribute.initialized) + bytes(attribute.size - attribute.initialized)

    def _open_mft(self) -> None:
        """$MFT's run list: each extent's record lies in what the extents before it map."""
        base = self.record(MFT_RECORD)
        found = [a for a in base.attributes if a.type == DATA and not a.name]
        if base.base or len(found) != 1 or found[0].lowest_vcn or found[0].value is not None:
            raise FormatError("$MFT", 0, "its first record does not describe it")
        size = min(found[0].size, found[0].initialized)
        self.mft = Extents(self.device, self.boot)
        self._extend(found[0])
        entries = [e for e in self._list(base) if e.type == DATA and not e.name and e.lowest_vcn]
        for entry in sorted(entries, key=lambda e: e.lowest_vcn):
            self.mft_size = min(size, self.mft.clusters * self.boot.cluster_size)
            self._extend(self._extent(MFT_RECORD, base, entry))
        if size > self.mft.clusters * self.boot.cluster_size:
            raise FormatError("$MFT", 0, f"{size:,} bytes in {self.mft.clusters:,} clusters")
        self.mft_size = size

    def _extend(self, extent: Attribute) -> None:
        if extent.value is not None or extent.lowest_vcn != self.mft.clusters or not extent.runs:
            raise FormatError("$MFT", 0, "its extents do not follow each other")
        if any(lcn is None for lcn, _ in extent.runs):
            raise FormatError("$MFT", 0, "it has holes")
        self.mft.add(extent.runs)
        if self.mft.clusters > self.boot.total_clusters:
            raise FormatError("$MFT", 0, f"{self.mft.clusters:,} clusters on a volume of {self.boot.total_clusters:,}")

    def _joined(self, extents: list[Attribute]) -> Attribute | None:
        if not extents:
            return None
        runs: list[Run] = []
        vcn = 0
        for extent in extents:
            if extent.lowest_vcn != vcn or (extent.value is not None and len(extents) > 1):
                raise FormatError("attribute", extent.offset, "its extents do not follow each other")
            vcn = extent.highest_vcn + 1
            runs += extent.runs
        return replace(extents[0], highest_vcn=vcn - 1, runs=tuple(runs))

    def _list(self, base: FileRecord) -> list[AttributeListEntry]:
        found = [a for a in base.attributes if a.type == ATTRIBUTE_LIST]
        if len(found) > 1:
            raise FormatError("file record", found[1].offset, "two attribute lists")
        return AttributeListEntry.parse_all(self.content(found[0], _LARGEST_LIST)) if found else []

    def _extent(self, number: int, base: FileRecord, entry: AttributeListEntry) -> Attribute:
        record = base
        if entry.reference & _RECORD != number:
            record = self.record(entry.reference & _RECORD)
            if record.base & _RECORD != number or record.sequence != entry.reference >> 48:
                raise FormatError("attribute list", 0, f"record {entry.reference & _RECORD} belongs to another file")
        for a in record.attributes:
            if a.type == entry.type and a.name == entry.name and a.lowest_vcn == entry.lowest_vcn:
                return a
        raise FormatError("attribute list", 0, f"an entry of type {entry.type:#x} leads to nothing")
