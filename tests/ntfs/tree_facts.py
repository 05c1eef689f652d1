"""A scanned Tree in the form in which `snapshots` shows a volume through the ntfs-3g driver."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from snapshots import Facts, Snapshot
from wimboot.ntfs._reader import Reader
from wimboot.ntfs._scan import scan
from wimboot.storage._device import FileDevice, SliceDevice
from wimboot.storage.host import HostFile
from wimboot.tree._tree import Tree
from wimboot.tree.constants import StreamFlag, StreamKind

__all__ = ["scanned", "tree_snapshot"]


def scanned(image: Path, offset: int = 0) -> tuple[Tree, Reader]:
    """The volume at byte `offset` of `image`."""
    device: FileDevice | SliceDevice = FileDevice(HostFile.open(image))
    if offset:
        device = SliceDevice(device, offset, device.size() - offset)
    tree = scan(device)
    return tree, Reader(device, tree, None)


def _short(name: bytes) -> str:
    return name.decode("utf-16-le", "surrogatepass")


def _streams(tree: Tree, reader: Reader, node: int) -> dict[str, tuple[int, str]]:
    """Of streams that the reader alone cannot read the SHA-1 is "?"; of pointers it is the one they promise."""
    found = {}
    for row in tree.streams_of(node):
        if row.kind != StreamKind.DATA:
            continue
        digest = "?"
        if row.flags & StreamFlag.POINTER:
            digest = row.hash.hex()
        elif not row.flags & (StreamFlag.COMPACT | StreamFlag.BY_LIBRARY):
            digest = hashlib.sha1(reader.read(row.index, 0, row.size), usedforsecurity=False).hexdigest()
        found[_short(row.name)] = row.size, digest
    return found


def _reparse(tree: Tree, node: int) -> bytes:
    row = tree.node(node)
    for stream in tree.streams_of(node):
        if stream.kind == StreamKind.REPARSE:
            data = tree.stream_bytes(stream.index)
            size = len(data) if row.reparse_tag & 0x80000000 else len(data) - 16
            return (row.reparse_tag.to_bytes(4, "little") + size.to_bytes(2, "little")
                    + row.reparse_extra.to_bytes(2, "little") + data)
    return b""


def tree_snapshot(tree: Tree, reader: Reader) -> Snapshot:
    """Every name of the tree. change_time and efs are not in a Tree."""
    found: Snapshot = {}
    for node in range(tree.node_count):
        row = tree.node(node)
        extra = tree.extras[row.extra] if row.extra >= 0 else None
        facts = Facts(
            folder=bool(row.attributes & 0x10), attributes=row.attributes, creation=row.creation,
            last_write=row.last_write, last_access=row.last_access, change_time=0,
            security=tree.securities[row.security] if row.security >= 0 else b"", short_name="",
            streams=_streams(tree, reader, node), reparse=_reparse(tree, node),
            object_id=extra.object_id if extra else b"", eas=extra.eas if extra else b"", efs=b"", links=(),
            record=row.file_id & (1 << 48) - 1)
        links = tree.links_of(node)
        paths = tuple(sorted(tree.path(link).replace("\\", "/")[1:] for link in links))
        for link in links:
            path = tree.path(link).replace("\\", "/")[1:]
            found[path] = replace(facts, links=paths, short_name=_short(tree.link(link).short_name))
    return found
