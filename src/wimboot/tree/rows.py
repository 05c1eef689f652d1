"""Single rows of a Tree, as Python sees them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Extra", "LinkRow", "NodeRow", "StreamRow"]


class Extra(NamedTuple):
    """What few files have, each empty where absent: `object_id` of 16 to 64 bytes, `eas` the value of $EA."""

    object_id: bytes
    eas: bytes


class NodeRow(NamedTuple):
    """One file or folder; the fields of `Node` in `_tree.pxd`."""

    file_id: int
    creation: int
    last_write: int
    last_access: int
    attributes: int
    security: int
    reparse_tag: int
    reparse_extra: int
    extra: int
    link_count: int


class StreamRow(NamedTuple):
    """One stream of a file; `name` is UTF-16LE, empty for the unnamed data."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs on a row
    kind: int
    flags: int
    name: bytes
    size: int
    allocated: int
    hash: bytes


class LinkRow(NamedTuple):
    """One name of a file; names are UTF-16LE."""

    parent: int
    node: int
    name: bytes
    short_name: bytes
