"""Where a VHDX says that its parent is: pairs of texts, "parent_linkage" with the parent's data write GUID among them.

Little-endian. Source: [MS-VHDX] 2.6.2.6::

    offset  size  field
    0       16    b04aefb7-d19e-4a81-b789-25b8e9445913
    16      2     reserved
    18      2     number of pairs
    20      12 x  offset of the key (4) and of the value (4), their sizes in bytes (2 and 2); UTF-16LE
"""

from __future__ import annotations

import struct
from typing import Final

from wimboot.errors import FormatError
from wimboot.formats.guid import BadGuid, parse_guid

__all__ = ["linkage_of", "parse_locator"]

_HEAD: Final = 20
_COUNT: Final = struct.Struct("<H")
_PAIR: Final = struct.Struct("<IIHH")
_MOST_PAIRS: Final = 64
_LINKAGES: Final = ("parent_linkage", "parent_linkage2")


def parse_locator(data: bytes) -> dict[str, str]:
    """The pairs. Raises FormatError."""
    if len(data) < _HEAD:
        raise FormatError("VHDX parent", len(data), "it is cut off")
    count, = _COUNT.unpack_from(data, 18)
    if count > _MOST_PAIRS or _HEAD + count * _PAIR.size > len(data):
        raise FormatError("VHDX parent", 18, f"{count:,} pairs")
    pairs = {}
    for number in range(count):
        at = _HEAD + number * _PAIR.size
        key, value, key_size, value_size = _PAIR.unpack_from(data, at)
        if max(key + key_size, value + value_size) > len(data):
            raise FormatError("VHDX parent", at, "a text outside of it")
        pairs[_text(data[key:key + key_size])] = _text(data[value:value + value_size])
    return pairs


def _text(data: bytes) -> str:
    return data.decode("utf-16-le", "replace").rstrip("\0")


def linkage_of(pairs: dict[str, str]) -> tuple[bytes, ...]:
    """The data write GUIDs that the parent may have. Raises FormatError."""
    try:
        return tuple(parse_guid(pairs[key]) for key in _LINKAGES if pairs.get(key))
    except BadGuid as error:
        raise FormatError("VHDX parent", 0, str(error)) from error
