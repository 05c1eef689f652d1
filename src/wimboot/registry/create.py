"""An empty hive from nothing: base block, a root key and the security descriptor that new keys inherit.

The bin at 4096 holds (places from its start; sizes of cells are negative where in use):

    0x0000  "hbin", offset 0, size 4096, 8 zero bytes, FILETIME, 4 zero bytes
    0x0020  nk: the root key
    0x0080  sk: its security descriptor; the ring of security cells has only this one
            free cell to the end
"""

from __future__ import annotations

import struct

from wimboot.formats.regf import BASE_BLOCK_SIZE, PAGE_SIZE, BaseBlock

__all__ = ["new_hive"]

_NONE = 0xFFFFFFFF
_BIN = struct.Struct("<4sII8xQ4x")
_KEY = struct.Struct("<2sHQIIIIIIIIIIIIIIIHH")
_SECURITY = struct.Struct("<2s2xIIII")
_ROOT_PLACE = 0x20
_SECURITY_PLACE = 0x80
_ROOT_FLAGS = 0x2C      # root of a hive, cannot be deleted, name in 8-bit characters
_ROOT_NAME = b"ROOT"
_NT_AUTHORITY = (5).to_bytes(6, "big")
_INHERITED = 0x02       # by keys below
_ALL_ACCESS = 0xF003F


def new_hive(*, minor: int = 5, name: str = "", written: int = 0) -> bytes:
    """8192 bytes: a hive with only a root key.

    `minor` is 5 in a system's hives, 3 in BCD; `name` what the base block says of the file, of which it holds
    the end; `written` a FILETIME.
    """
    descriptor = _descriptor()
    key = _KEY.pack(b"nk", _ROOT_FLAGS, written, 0, 0, 0, 0, _NONE, _NONE, 0, _NONE, _SECURITY_PLACE, _NONE,
                    0, 0, 0, 0, 0, len(_ROOT_NAME), 0) + _ROOT_NAME
    security = _SECURITY.pack(b"sk", _SECURITY_PLACE, _SECURITY_PLACE, 1, len(descriptor)) + descriptor
    page = _BIN.pack(b"hbin", 0, PAGE_SIZE, written)
    page += _cell(key, _SECURITY_PLACE - _ROOT_PLACE)
    page += _cell(security, 4 + len(security) + -(4 + len(security)) % 8)
    page += struct.pack("<i", PAGE_SIZE - len(page))
    path = name.encode("utf-16-le", "surrogatepass")[-62:]
    block = BaseBlock(sequence1=1, sequence2=1, written=written, minor=minor, root_cell=_ROOT_PLACE,
                      bins_size=PAGE_SIZE, name=path + bytes(64 - len(path)))
    return block.pack().ljust(BASE_BLOCK_SIZE, b"\0") + page.ljust(PAGE_SIZE, b"\0")


def _cell(body: bytes, size: int) -> bytes:
    """A cell in use of `size` bytes."""
    return struct.pack("<i", -size) + body.ljust(size - 4, b"\0")


def _descriptor() -> bytes:
    """Owner and group Administrators; full control, inherited, for SYSTEM and Administrators."""
    system = b"\1\1" + _NT_AUTHORITY + struct.pack("<I", 18)
    administrators = b"\1\2" + _NT_AUTHORITY + struct.pack("<II", 32, 544)
    entries = b"".join(struct.pack("<BBHI", 0, _INHERITED, 8 + len(sid), _ALL_ACCESS) + sid
                       for sid in (system, administrators))
    access = struct.pack("<BBHHH", 2, 0, 8 + len(entries), 2, 0) + entries
    owner_offset = 20 + len(access)
    head = struct.pack("<BBHIIII", 1, 0, 0x8004, owner_offset, owner_offset + len(administrators), 0, 20)
    return head + access + administrators + administrators
