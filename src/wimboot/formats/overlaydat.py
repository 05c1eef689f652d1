r"""`\System Volume Information\WimOverlay.dat`: the WIM files that the pointers of a volume lead to.

Facts: [D] public disassembly of wof.sys, [W] wimlib 1.14.5. All numbers little-endian; there is no checksum.

    offset size  field
    0      4     magic             0x66436F57, bytes "WoCf"                                    [D][W]
    4      4     version           1
    8      4     entry size        at least 0x28, the stride of the table                      [D]; 0x28 [W]
    12     4     count             at most 0x100                                               [D]
    16     8     next id           the next data source id to hand out
    24     -     entries, then their locations in the same order, packed

An entry:

    0      8     data_source_id    below next id, unique, never handed out again
    8      4     location offset   from the start of the file, even
    12     4     location length   at least 0xC; the location's own size field is at least this
    16     4     WimType           0 not the system's, 1 the system's
    20     4     WimIndex          image number, from 1
    24     16    WIM GUID          bytes 0x18..0x27 of the WIM's header

A location is a BOOT_ENVIRONMENT_DEVICE of a file (`bootdevice`). The whole file has at most 2 MiB [D].
"""

from __future__ import annotations

from dataclasses import replace
from struct import Struct
from typing import Final

from wimboot.errors import FormatError, Refused
from wimboot.formats.bootdevice import Device, same_location
from wimboot.formats.bootdeviceread import device_size, parse_device
from wimboot.frozen import Frozen

__all__ = ["MAX_FILE_SIZE", "MAX_SOURCES", "DataSource", "Overlay", "OverlayFull"]

MAX_SOURCES: Final = 0x100
MAX_FILE_SIZE: Final = 0x20_0000
MAGIC: Final = 0x6643_6F57
_HEADER = Struct("<IIIIQ")
_ENTRY = Struct("<QIIII16s")
_MIN_LOCATION: Final = 0xC
_MAX_ID: Final = 0xFFFF_FFFF_FFFF_FFFE
_WHAT: Final = "WimOverlay.dat"


class OverlayFull(Refused):
    """The driver would refuse the file with one more data source."""

    id = "overlay-full"
    sentence = "WimOverlay.dat cannot take another WIM: {why}"
    advice = (
        "Give up data sources that no pointer uses any more: wimboot relocate TARGET --wim WIM --drop-unused. Else "
        "bring the images into one WIM."
    )


class DataSource(Frozen):
    """One WIM file: the id that pointers name, its GUID, and where it lies."""

    data_source_id: int
    wim_guid: bytes
    location: Device
    wim_index: int = 1
    wim_type: int = 0
    extra: bytes = b""      # what a longer entry holds beyond the known fields


class Overlay(Frozen):
    """The data sources of one volume. Every change gives a new value; the old one stays."""

    sources: tuple[DataSource, ...] = ()
    next_id: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Overlay:
        """Read a whole file. Raises FormatError."""
        if not _HEADER.size <= len(data) <= MAX_FILE_SIZE:
            raise FormatError(_WHAT, 0, f"it has {len(data):,} bytes")
        magic, version, stride, count, next_id = _HEADER.unpack_from(data)
        if magic != MAGIC:
            raise FormatError(_WHAT, 0, "the magic number is wrong")
        if version != 1:
            raise FormatError(_WHAT, 4, f"its version is {version}")
        if stride < _ENTRY.size:
            raise FormatError(_WHAT, 8, f"an entry would have {stride} bytes")
        if count > MAX_SOURCES or _HEADER.size + count * stride > len(data):
            raise FormatError(_WHAT, 12, f"it does not hold {count:,} entries")
        sources = tuple(_parse_source(data, _HEADER.size + i * stride, stride) for i in range(count))
        _check_ids(sources, next_id)
        return cls(sources=sources, next_id=next_id)

    def pack(self) -> bytes:
        """The whole file. Raises OverlayFull beyond the driver's limits."""
        if len(self.sources) > MAX_SOURCES:
            raise OverlayFull(why=f"it holds {MAX_SOURCES} already")
        stride = _ENTRY.size + max((len(source.extra) for source in self.sources), default=0)
        table, locations = [], []
        offset = _HEADER.size + stride * len(self.sources)
        for source in self.sources:
            location = source.location.pack()
            table.append(_pack_source(source, offset, len(location)).ljust(stride, b"\0"))
            location += bytes(len(location) % 2)
            locations.append(location)
            offset += len(location)
        if offset > MAX_FILE_SIZE:
            raise OverlayFull(why=f"the file would have {offset:,} bytes, over 2 MiB")
        header = _HEADER.pack(MAGIC, 1, stride, len(self.sources), self.next_id)
        return b"".join((header, *table, *locations))

    def find(self, wim_guid: bytes, location: Device) -> DataSource | None:
        """The data source of that WIM at that place, if it is registered."""
        return next((source for source in self.sources
                     if source.wim_guid == wim_guid and same_location(source.location, location)), None)

    def get(self, data_source_id: int) -> DataSource | None:
        """The data source with that id."""
        return next((source for source in self.sources if source.data_source_id == data_source_id), None)

    def add(self, *, wim_guid: bytes, location: Device, wim_index: int) -> tuple[Overlay, int]:
        """With one more WIM, and its new id; ids of removed ones are not used again. Raises OverlayFull."""
        if len(self.sources) >= MAX_SOURCES:
            raise OverlayFull(why=f"it holds {MAX_SOURCES} already")
        if self.next_id > _MAX_ID:
            raise OverlayFull(why="no data source id is left")
        source = DataSource(data_source_id=self.next_id, wim_guid=wim_guid, location=location, wim_index=wim_index)
        grown = Overlay(sources=(*self.sources, source), next_id=self.next_id + 1)
        grown.pack()
        return grown, source.data_source_id

    def replace(
        self, data_source_id: int, *, location: Device | None = None, wim_guid: bytes | None = None,
        wim_index: int | None = None,
    ) -> Overlay:
        """With another place, GUID or image number for an id that pointers go on using. Raises KeyError."""
        old = self.get(data_source_id)
        if old is None:
            raise KeyError(data_source_id)
        new = replace(old, location=old.location if location is None else location,
                      wim_guid=old.wim_guid if wim_guid is None else wim_guid,
                      wim_index=old.wim_index if wim_index is None else wim_index)
        sources = tuple(new if source is old else source for source in self.sources)
        return replace(self, sources=sources)

    def remove(self, data_source_id: int) -> Overlay:
        """Without that data source; its id is not handed out again. Raises KeyError."""
        if self.get(data_source_id) is None:
            raise KeyError(data_source_id)
        return replace(self, sources=tuple(s for s in self.sources if s.data_source_id != data_source_id))


def _parse_source(data: bytes, at: int, stride: int) -> DataSource:
    number, offset, size, wim_type, wim_index, guid = _ENTRY.unpack_from(data, at)
    if offset % 2 or not _HEADER.size <= offset < len(data):
        raise FormatError(_WHAT, at + 8, f"a location would lie at {offset:,}")
    if not _MIN_LOCATION <= size <= len(data) - offset:
        raise FormatError(_WHAT, at + 12, f"a location would have {size:,} bytes")
    if device_size(data, offset) < size:
        raise FormatError(_WHAT, at + 12, f"a location of {size:,} bytes says that it has fewer")
    return DataSource(data_source_id=number, wim_guid=guid, location=parse_device(data, offset),
                      wim_index=wim_index, wim_type=wim_type, extra=bytes(data[at + _ENTRY.size:at + stride]))


def _pack_source(source: DataSource, offset: int, size: int) -> bytes:
    if len(source.wim_guid) != 16:
        raise ValueError("a GUID has 16 bytes")
    return _ENTRY.pack(source.data_source_id, offset, size, source.wim_type, source.wim_index,
                       source.wim_guid) + source.extra


def _check_ids(sources: tuple[DataSource, ...], next_id: int) -> None:
    seen: set[int] = set()
    for i, source in enumerate(sources):
        number = source.data_source_id
        if number >= next_id or number in seen:
            problem = "is used twice" if number in seen else f"was never handed out, the next is {next_id}"
            raise FormatError(_WHAT, _HEADER.size + i * _ENTRY.size, f"data source id {number} {problem}")
        seen.add(number)
