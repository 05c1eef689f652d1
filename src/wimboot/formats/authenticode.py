"""The signature in a program file: whether there is one, and whether the file is what was signed.

At the end of a file lies the table of certificates, its place in the fifth directory of the optional header, as an
offset in the file (Microsoft's "PE Format"):

    0   4   length of the entry, which begins at a multiple of 8
    4   2   revision, 0x0200
    6   2   type: 2 is PKCS #7 SignedData
    8       SignedData in DER (RFC 2315), of Microsoft's SpcIndirectDataContent ("Windows Authenticode Portable
            Executable Signature Format"): the hash of the file without its checksum, without that directory
            entry, and without the table itself

Who signed, and whether Windows trusts him, is not looked at: that takes Windows' own list of roots.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

__all__ = ["Signature", "read_signature"]

_ENTRY: Final = struct.Struct("<IHH")
_PKCS_SIGNED_DATA: Final = 2
_SECURITY_DIRECTORY: Final = 4
_SIGNED_DATA: Final = bytes.fromhex("2a864886f70d010702")
_INDIRECT_DATA: Final = bytes.fromhex("2b060104018237020104")
_HASHES: Final = {
    bytes.fromhex("2b0e03021a"): "sha1", bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384", bytes.fromhex("608648016503040203"): "sha512",
}
_SEQUENCE, _INTEGER, _OBJECT, _OCTETS, _SET, _FIRST = 0x30, 0x02, 0x06, 0x04, 0x31, 0xA0
_MAX_TABLE: Final = 1 << 20


class Signature(Frozen):
    """What a signature says of its file; `fits` whether the file still has that hash."""

    algorithm: str
    digest: bytes
    fits: bool


def read_signature(data: bytes) -> Signature | None:
    """The signature of a program file, None where it has none. Raises FormatError where it cannot be read."""
    optional, table = _places(data)
    if table is None:
        return None
    entry, offset, size = table
    if size > _MAX_TABLE or offset % 8 or size < _ENTRY.size or offset + size > len(data) or offset < entry + 8:
        raise FormatError("certificate table", offset, f"{size:,} bytes do not fit there")
    length, _, kind = _ENTRY.unpack_from(data, offset)
    if kind != _PKCS_SIGNED_DATA or not _ENTRY.size < length <= size:
        raise FormatError("certificate table", offset, f"an entry of type {kind} with {length:,} bytes is unknown")
    algorithm, digest = _signed_digest(data[offset + _ENTRY.size:offset + length])
    checksum = optional + 64
    hashed = hashlib.new(algorithm, usedforsecurity=False)
    for part in (data[:checksum], data[checksum + 4:entry], data[entry + 8:offset], data[offset + size:]):
        hashed.update(part)
    return Signature(algorithm=algorithm, digest=digest, fits=hashed.digest() == digest)


def _places(data: bytes) -> tuple[int, tuple[int, int, int] | None]:
    """Where the optional header lies; the place of the table's directory entry, its offset and size."""
    def number(offset: int, size: int) -> int:
        if offset + size > len(data):
            raise FormatError("program file", offset, "it ends inside its headers")
        return int.from_bytes(data[offset:offset + size], "little")

    start = number(60, 4)
    optional = start + 24
    wide = number(optional, 2) == 0x20B
    directories = optional + (108 if wide else 92)
    entry = directories + 4 + 8 * _SECURITY_DIRECTORY
    if number(directories, 4) <= _SECURITY_DIRECTORY or entry + 8 > optional + number(start + 20, 2):
        return optional, None
    offset, size = number(entry, 4), number(entry + 4, 4)
    return optional, (entry, offset, size) if offset and size else None


def _signed_digest(der: bytes) -> tuple[str, bytes]:
    """The name of the hash and the hash in a SignedData."""
    content = _Der(der).enter(_SEQUENCE)
    if content.take(_OBJECT) != _SIGNED_DATA:
        raise FormatError("signature", 0, "it is no SignedData")
    signed = content.enter(_FIRST).enter(_SEQUENCE)
    signed.take(_INTEGER)
    signed.take(_SET)
    inner = signed.enter(_SEQUENCE)
    if inner.take(_OBJECT) != _INDIRECT_DATA:
        raise FormatError("signature", 0, "what it signs is not a program file")
    indirect = inner.enter(_FIRST).enter(_SEQUENCE)
    indirect.take(_SEQUENCE)
    info = indirect.enter(_SEQUENCE)
    algorithm = _HASHES.get(info.enter(_SEQUENCE).take(_OBJECT))
    if algorithm is None:
        raise FormatError("signature", 0, "its hash is an unknown one")
    return algorithm, info.take(_OCTETS)


class _Der:
    """Reads one element after the other; lengths in DER's definite form."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def enter(self, tag: int) -> _Der:
        return _Der(self.take(tag))

    def take(self, tag: int) -> bytes:
        """The content of the next element. Raises FormatError."""
        head = self._data[self._at:self._at + 2]
        if len(head) < 2 or head[0] != tag:
            raise FormatError("signature", self._at, f"there is no element {tag:#x}")
        start, size = self._at + 2, head[1]
        if size & 0x80:
            count = size & 0x7F
            raw = self._data[start:start + count]
            if not 1 <= count <= 4 or len(raw) < count:
                raise FormatError("signature", self._at, "the length of an element is not possible")
            start, size = start + count, int.from_bytes(raw, "big")
        if size > len(self._data) - start:
            raise FormatError("signature", self._at, f"an element of {size:,} bytes does not fit")
        self._at = start + size
        return self._data[start:start + size]
