"""Uncompressed WIMs by hand: enough to show our metadata to wimlib-imagex, and to read what it wrote."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

from wimboot.formats.blobtable import BlobRow, BlobTable, pack_row
from wimboot.formats.wimheader import HEADER_SIZE
from wimboot.tree import Tree
from wimboot.wim._streams import fill_sizes

_HEADER = struct.Struct("<8sIIIIQQHHI24s24s24sI24s60x")
_ENTRY = struct.Struct("<24sHI20s")


@dataclass(frozen=True, slots=True)
class PlainWim:
    """The parts of an uncompressed WIM: each image's metadata, and the blobs by SHA-1."""

    images: list[bytes]
    blobs: dict[bytes, bytes]


def _reshdr(data: tuple[int, int], flags: int) -> bytes:
    offset, size = data
    return (size | flags << 56).to_bytes(8, "little") + struct.pack("<QQ", offset, size)


XML = "\ufeff<WIM><IMAGE INDEX=\"1\"><NAME>one</NAME></IMAGE></WIM>".encode("utf-16-le")


def write(path: Path, metadata: bytes, blobs: list[bytes], references: dict[bytes, int], *,
          xml: bytes = XML) -> None:
    """One image with this metadata."""
    body = bytearray(_HEADER.size)
    table = b""
    for blob in blobs:
        key = hashlib.sha1(blob).digest()  # noqa: S324
        table += _ENTRY.pack(_reshdr((len(body), len(blob)), 0), 1, references[key], key)
        body += blob
    head = _ENTRY.pack(_reshdr((len(body), len(metadata)), 2), 1, 1, hashlib.sha1(metadata).digest())  # noqa: S324
    body += metadata
    table = head + table
    table_at, xml_at = len(body), len(body) + len(table)
    body += table + xml
    body[:_HEADER.size] = _HEADER.pack(
        b"MSWIM\0\0\0", _HEADER.size, 0x10D00, 0, 0, 1, 2, 1, 1, 1, _reshdr((table_at, len(table)), 2),
        _reshdr((xml_at, len(xml)), 2), bytes(24), 0, bytes(24))
    path.write_bytes(body)


def read(path: Path) -> PlainWim:
    """A WIM that another program wrote without compression."""
    data = path.read_bytes()

    def resource(header: bytes) -> bytes:
        size = int.from_bytes(header[:7], "little")
        offset = int.from_bytes(header[8:16], "little")
        assert not header[7] & 4, "compressed"
        return data[offset:offset + size]

    table = resource(data[0x30:0x48])
    images, blobs = [], {}
    for at in range(0, len(table), _ENTRY.size):
        header, _, _, key = _ENTRY.unpack_from(table, at)
        if header[7] & 2:
            images.append(resource(header))
        else:
            blobs[key] = resource(header)
    return PlainWim(images, blobs)


def sizes_of(tree: Tree, sizes: dict[bytes, int]) -> list[int]:
    """Set the sizes of a tree from {SHA-1: size}, through a blob table; the streams that it lacks."""
    rows = (pack_row(BlobRow(size, 0, HEADER_SIZE, size, 1, 1, sha1)) for sha1, size in sizes.items())
    return fill_sizes(tree, [BlobTable.parse(b"".join(rows)).index], False)
