"""The tagged items of a directory entry in an image: object id, extended attributes, and what others may add.

    offset  size  field                    (wimlib tagged_items.c)
    0       4     tag: 1 object id (16 to 64 bytes), 2 extended attributes, others of wimlib and unknown ones
    4       4     size of the data
    8             data, padding to 8
"""

from __future__ import annotations

import struct

from wimboot.errors import FormatError
from wimboot.formats.eas import from_ntfs, from_wim, to_ntfs, to_wim
from wimboot.tree import Extra

__all__ = ["ImageExtra", "pack_items", "parse_items"]

_HEADER = struct.Struct("<II")
_OBJECT_ID, _EAS = 1, 2


class ImageExtra(Extra):
    """The Extra of an image's entry; `items` are those that are not understood, as they stand there."""

    items: bytes = b""


def parse_items(raw: bytes) -> ImageExtra:
    """What follows an entry's names; never fails, for what is not understood is kept as it stands."""
    object_id = eas = rest = b""
    at = 0
    while len(raw) - at >= _HEADER.size:
        tag, size = _HEADER.unpack_from(raw, at)
        end = at + _HEADER.size + (size + 7 & ~7)
        if end > len(raw):
            break
        data = raw[at + _HEADER.size:at + _HEADER.size + size]
        if tag == _OBJECT_ID and 16 <= size <= 64 and not object_id:
            object_id = data
        elif tag == _EAS and not eas and (value := _as_ntfs(data)):
            eas = value
        else:
            rest += raw[at:end]
        at = end
    rest += raw[at:]
    extra = ImageExtra(object_id, eas)
    extra.items = rest if any(rest) else b""
    return extra


def pack_items(extra: Extra) -> bytes:
    """The tagged items for an entry, a multiple of 8 bytes. Raises FormatError if the EAs are not valid."""
    out = b""
    for tag, data in ((_OBJECT_ID, extra.object_id), (_EAS, to_wim(from_ntfs(extra.eas)))):
        if data:
            out += _HEADER.pack(tag, len(data)) + data + bytes(-len(data) & 7)
    return out + (extra.items if isinstance(extra, ImageExtra) else b"")


def _as_ntfs(data: bytes) -> bytes:
    try:
        return to_ntfs(from_wim(data))
    except FormatError:
        return b""
