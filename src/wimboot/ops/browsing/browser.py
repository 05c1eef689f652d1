"""A volume as POSIX sees files: paths, types, modes, links, extended attributes. What belongs to NTFS is not shown.

Names differ by case, as on any Linux file system; a lookup may be told to fall back to Windows' way. A folder has the
mode 0755, a file 0644 (0444 where it is read-only), owned by whoever looks: Windows' own access rules do not hold here.

Extended attributes are named as the ntfs-3g driver names them: a named stream is `user.NAME`; `system.ntfs_attrib` is
the 4 bytes of the attributes, `system.ntfs_times` the three times (8 bytes each, 100 ns since 1601),
`system.ntfs_acl` the security descriptor, `system.ntfs_reparse_data` the reparse point. They are little-endian, and
only the streams are listed.
"""

from __future__ import annotations

import stat
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from wimboot.formats.filetime import to_unix_ns
from wimboot.formats.reparse import Reparse
from wimboot.ops.browsing.hostnames import host_text, is_escaped, volume_name
from wimboot.ops.browsing.linking import is_link, link_text, windows_text
from wimboot.tree import ROOT, FileAttribute, StreamKind

if TYPE_CHECKING:
    from wimboot.tree import Tree

__all__ = ["Browser", "Found", "Status"]

_RECORD = (1 << 48) - 1
_PATHS_KEPT = 1 << 16
_SECTOR = 512
_STREAM = "user."


class Found(NamedTuple):
    """A file that was looked up, and the names, as the volume has them, that lead to it from the root."""

    node: int
    names: tuple[bytes, ...]


class Status(NamedTuple):
    """What `stat` tells; times are nanoseconds since 1970."""

    mode: int
    inode: int
    links: int
    size: int
    blocks: int
    accessed_ns: int
    modified_ns: int


class Browser:
    """The files of one tree. Any number of threads may ask."""

    def __init__(self, tree: Tree, *, ignore_case: bool = False) -> None:
        self.tree = tree
        self._ignore_case = ignore_case
        tree.index()
        self.find = lru_cache(_PATHS_KEPT)(self._find)

    def _find(self, path: str) -> Found | None:
        """The file at an absolute path of the host's spelling; None where there is none."""
        above, _, name = path.rpartition("/")
        if not name:
            return None if above else Found(ROOT, ())
        found = self.find(above) if above else Found(ROOT, ())
        if found is None or is_link(self.tree, found.node):
            return None
        link = self._child(found.node, name)
        if link < 0:
            return None
        row = self.tree.link(link)
        return Found(row.node, (*found.names, row.name))

    def _child(self, folder: int, name: str) -> int:
        units = volume_name(name)
        if not units:
            return -1
        link = self.tree.lookup(folder, units)
        if link >= 0 and not is_escaped(units) and (self._ignore_case or self.tree.link(link).name == units):
            return link
        if "%" in name:
            for link in self.tree.children(folder):
                row = self.tree.link(link)
                if is_escaped(row.name) and host_text(row.name) == name:
                    return link
        return -1

    def children(self, folder: int) -> list[tuple[str, int]]:
        """(name on the host, node) of what is in a folder; of two names that became one, the first."""
        rows = (self.tree.link(link) for link in self.tree.children(folder))
        found: dict[str, int] = {}
        for row in rows:
            found.setdefault(host_text(row.name), row.node)
        return list(found.items())

    def kind(self, node: int) -> int:
        """S_IFDIR, S_IFLNK or S_IFREG."""
        if is_link(self.tree, node):
            return stat.S_IFLNK
        return stat.S_IFDIR if self.tree.attributes(node) & FileAttribute.DIRECTORY else stat.S_IFREG

    def inode(self, node: int) -> int:
        """The number of its file record."""
        return self.tree.file_id(node) & _RECORD

    def status(self, found: Found) -> Status:
        """What `stat` tells of it.

        The blocks are those that its size takes, not those it occupies: programs take a file with none for a hole.
        """
        row = self.tree.node(found.node)
        kind = self.kind(found.node)
        stream = self.tree.data_stream(found.node) if kind == stat.S_IFREG else -1
        size = self.tree.stream(stream).size if stream >= 0 else 0
        if kind == stat.S_IFLNK:
            size = len(self.target(found))
        permissions = {stat.S_IFLNK: 0o777, stat.S_IFDIR: 0o755}.get(
            kind, 0o444 if row.attributes & FileAttribute.READONLY else 0o644)
        return Status(mode=kind | permissions, inode=self.inode(found.node),
                      links=1 if kind == stat.S_IFDIR else max(row.link_count, 1), size=size,
                      blocks=-(-size // _SECTOR), accessed_ns=to_unix_ns(row.last_access),
                      modified_ns=to_unix_ns(row.last_write))

    def target(self, found: Found) -> bytes:
        """Where a link leads."""
        text = link_text(self.tree, found.node, found.names[:-1])
        return windows_text(self.tree, found.node) if text is None else text

    # ---- extended attributes

    def attribute_names(self, node: int) -> list[str]:
        """The named streams."""
        return [_STREAM + host_text(row.name) for row in self.tree.streams_of(node)
                if row.kind == StreamKind.DATA and row.name]

    def stream_of(self, node: int, attribute: str) -> int:
        """The named stream that an extended attribute stands for, -1 if none."""
        for row in self.tree.streams_of(node):
            if row.kind == StreamKind.DATA and row.name and _STREAM + host_text(row.name) == attribute:
                return row.index
        return -1

    def attribute(self, node: int, name: str) -> bytes | None:
        """What the volume notes of a file; None where it is no such thing, or a stream."""
        row = self.tree.node(node)
        if name == "system.ntfs_attrib":
            return struct.pack("<I", row.attributes)
        if name == "system.ntfs_times":
            return struct.pack("<3Q", row.creation, row.last_write, row.last_access)
        if name == "system.ntfs_acl" and row.security >= 0:
            return self.tree.securities[row.security]
        if name == "system.ntfs_reparse_data" and row.reparse_tag:
            for stream in self.tree.streams_of(node):
                if stream.kind == StreamKind.REPARSE:
                    return Reparse.of_image(row.reparse_tag, self.tree.stream_bytes(stream.index)).pack()
        return None
