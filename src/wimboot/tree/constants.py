"""The numbers in a Tree's rows, for Python; `_tree.pxd` has the same for C. A test compares the two."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = ["ROOT", "FileAttribute", "StreamFlag", "StreamKind"]

ROOT = 0
"""Node 0 is the root folder."""


class StreamKind(IntEnum):
    """What a stream is."""

    DATA = 0
    REPARSE = 1
    EFS = 2


class StreamFlag(IntFlag):
    """What is known of a stream; see `_tree.pxd`."""

    HASHED = 1
    RESIDENT = 2
    BY_LIBRARY = 4
    SPARSE = 8
    COMPRESSED = 16
    ENCRYPTED = 32
    POINTER = 64
    COMPACT = 128


class FileAttribute(IntFlag):
    """FILE_ATTRIBUTE_*, as Windows' headers name them."""

    READONLY = 0x1
    HIDDEN = 0x2
    SYSTEM = 0x4
    DIRECTORY = 0x10
    ARCHIVE = 0x20
    NORMAL = 0x80
    TEMPORARY = 0x100
    SPARSE_FILE = 0x200
    REPARSE_POINT = 0x400
    COMPRESSED = 0x800
    OFFLINE = 0x1000
    NOT_CONTENT_INDEXED = 0x2000
    ENCRYPTED = 0x4000
