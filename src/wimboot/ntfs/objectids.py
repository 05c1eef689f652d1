"""The birth ids of files that have an object id: they stand in no file record, only in the index $ObjId:$O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.formats.ntfsindex import block_entries, root_entries

if TYPE_CHECKING:
    from wimboot.ntfs.metafile import Metafiles

__all__ = ["birth_ids"]

_INDEX_ROOT, _INDEX_ALLOCATION, _BITMAP = 0x90, 0xA0, 0xB0
_NAME = "$O".encode("utf-16-le")
_LARGEST_INDEX = 256 << 20


def birth_ids(files: Metafiles, record: int) -> dict[bytes, bytes]:
    """Object id -> birth volume, birth object and domain id (48 bytes), of $ObjId's `record`. Raises FormatError.

    Key: the object id (16 bytes). Data: 0x00 8 reference to the file, 0x08 48 the birth ids.
    """
    root = files.attribute(record, _INDEX_ROOT, _NAME)
    if root is None or root.value is None:
        raise FormatError("$ObjId", 0, "its index has no root")
    size, entries = root_entries(root.value)
    allocation = files.attribute(record, _INDEX_ALLOCATION, _NAME)
    bitmap = files.attribute(record, _BITMAP, _NAME)
    if allocation is not None and bitmap is not None:
        blocks = files.content(allocation, _LARGEST_INDEX)
        used = files.content(bitmap, _LARGEST_INDEX)
        for number in range(min(len(blocks) // size, 8 * len(used))):
            if used[number // 8] >> number % 8 & 1:
                entries += block_entries(blocks[number * size:(number + 1) * size])
    return {key: data[8:56] for key, data in entries if len(key) == 16 and len(data) == 56}
