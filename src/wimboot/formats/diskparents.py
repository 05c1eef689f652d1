"""What a QCOW2, VMDK, VDI or VHDX stands on, as its own bytes tell.

QCOW2 names a backing file: bytes 8 to 15 of its header are the name's offset, 16 to 19 its length, at most 1023
(docs/interop/qcow2.txt of QEMU). A VMDK names it in its descriptor, `parentFileNameHint` (VMware, Virtual Disk Format
5.0). A VDI has its own unique id at byte 392 and that of its parent at byte 424 (VirtualBox, VDICore.h). A VHDX has
pairs of texts: formats/vhdxparent.py.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from wimboot.errors import FormatError
from wimboot.formats.vhdx import read_parent_locator, read_vhdx
from wimboot.formats.vhdxparent import linkage_of, parse_locator
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ParentLink", "own_id", "parent_link"]

_NIL: Final = bytes(16)
_VHDX_MAGIC: Final = b"vhdxfile"
_SECTOR: Final = 512
_MOST_NAME: Final = 1023
_MOST_DESCRIPTOR: Final = 1 << 20
_DESCRIPTOR: Final = b"# Disk DescriptorFile"
_VDI_MAGIC: Final = (0xBEDA_107F).to_bytes(4, "little")
_VDI_ID: Final = slice(392, 408)
_VDI_PARENT: Final = slice(424, 440)
_HINT: Final = re.compile(r'(?im)^\s*parentFileNameHint\s*=\s*"([^"\n]+)"')
_OF_VHDX: Final = ("relative_path", "absolute_win32_path", "volume_path")


class ParentLink(Frozen):
    """The parent's paths as they are written, seen from the child's folder, and ids that `own_id` tells of it."""

    names: tuple[str, ...] = ()
    ids: tuple[bytes, ...] = ()


def own_id(head: bytes, read: Callable[[int, int], bytes]) -> bytes:
    """By what a VDI or VHDX is known to its children; empty for others. `head` are the first 512 bytes, `read` gives
    more. Raises FormatError.
    """
    if head[:8] == _VHDX_MAGIC:
        return read_vhdx(read).header.data_write_id
    found = head[_VDI_ID] if head[64:68] == _VDI_MAGIC else b""
    return b"" if found == _NIL else found


def parent_link(head: bytes, read: Callable[[int, int], bytes]) -> ParentLink | None:
    """What the file stands on; None where that is nothing, or the file is in none of these forms. Raises FormatError,
    and whatever `read` raises.
    """
    if head[:4] == b"QFI\xfb":
        return _qcow2(head, read)
    if head[:4] == b"KDMV":
        offset, size = (int.from_bytes(head[at:at + 8], "little") * _SECTOR for at in (28, 36))
        return _vmdk(read(offset, size)) if size <= _MOST_DESCRIPTOR and offset >> 62 == 0 else None
    if head.startswith(_DESCRIPTOR):
        return _vmdk(read(0, _MOST_DESCRIPTOR))
    if head[64:68] == _VDI_MAGIC:
        parent = head[_VDI_PARENT]
        return ParentLink(ids=(parent,)) if len(parent) == len(_NIL) and parent != _NIL else None
    if head[:8] == _VHDX_MAGIC and read_vhdx(read).has_parent:
        pairs = parse_locator(read_parent_locator(read))
        return ParentLink(names=tuple(pairs[key] for key in _OF_VHDX if pairs.get(key)), ids=linkage_of(pairs))
    return None


def _qcow2(head: bytes, read: Callable[[int, int], bytes]) -> ParentLink | None:
    offset, size = int.from_bytes(head[8:16], "big"), int.from_bytes(head[16:20], "big")
    if not offset or not size:
        return None
    if size > _MOST_NAME or offset >> 62:
        raise FormatError("QCOW2 header", 8, f"a backing file's name of {size:,} bytes at byte {offset:,}")
    name = read(offset, size).decode("utf-8", "surrogateescape")
    return ParentLink(names=tuple(_named(name)))


def _named(name: str) -> list[str]:
    """The files in a name as qemu writes it: a path, "file:" and a path, "json:" and a description."""
    if not name.startswith("json:"):
        return [name.removeprefix("file:")]
    found, waiting = [], []
    try:
        waiting.append(json.loads(name[5:]))
    except (ValueError, RecursionError) as error:
        raise FormatError("QCOW2 header", 8, "the description of its backing file is no JSON") from error
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            found += [text for key, text in value.items()
                      if isinstance(text, str) and (key == "filename" or key.endswith(".filename"))]
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found


def _vmdk(data: bytes) -> ParentLink | None:
    found = _HINT.search(data.partition(b"\0")[0].decode("utf-8", "surrogateescape"))
    return None if found is None else ParentLink(names=(found.group(1),))
