"""Security descriptors as Windows' installer leaves them, in self-relative form ([MS-DTYP] 2.4.6)."""

from __future__ import annotations

import struct

__all__ = ["DESCRIPTORS", "acl", "allow", "descriptor", "sid"]

INHERITED = 0x10
PRESENT, AUTO_INHERITED, PROTECTED, SELF_RELATIVE = 0x0004, 0x0400, 0x1000, 0x8000
FULL, READ_EXECUTE, MODIFY = 0x1F01FF, 0x1200A9, 0x1301BF


def sid(authority: int, *parts: int) -> bytes:
    """S-1-`authority`-`parts`."""
    return struct.pack(">BBHI", 1, len(parts), 0, authority) + struct.pack(f"<{len(parts)}I", *parts)


SYSTEM, ADMINISTRATORS, USERS = sid(5, 18), sid(5, 32, 544), sid(5, 32, 545)
EVERYONE, CREATOR = sid(1, 0), sid(3, 0)
TRUSTED_INSTALLER = sid(5, 80, 956008885, 3418522649, 1831038044, 1853292631, 2271478464)
SOMEBODY = sid(5, 21, 1004336348, 1177238915, 682003330, 1000)


def allow(who: bytes, mask: int, flags: int = 0) -> bytes:
    """An entry that grants `mask`."""
    return struct.pack("<BBHI", 0, flags, 8 + len(who), mask) + who


def acl(*entries: bytes) -> bytes:
    """An access control list."""
    return struct.pack("<BBHHH", 2, 0, 8 + sum(map(len, entries)), len(entries), 0) + b"".join(entries)


def descriptor(owner: bytes, group: bytes, dacl: bytes, control: int = 0) -> bytes:
    """A descriptor with an owner, a group and a DACL."""
    place = 20
    owner_offset, group_offset = place, place + len(owner)
    return struct.pack("<BBHIIII", 1, 0, SELF_RELATIVE | PRESENT | control, owner_offset, group_offset, 0,
                       group_offset + len(group)) + owner + group + dacl


DESCRIPTORS = {
    "installer": descriptor(TRUSTED_INSTALLER, TRUSTED_INSTALLER, acl(
        allow(TRUSTED_INSTALLER, FULL), allow(ADMINISTRATORS, READ_EXECUTE), allow(SYSTEM, READ_EXECUTE),
        allow(USERS, READ_EXECUTE)), PROTECTED),
    "inherited": descriptor(SYSTEM, SYSTEM, acl(
        allow(SYSTEM, FULL, INHERITED), allow(ADMINISTRATORS, FULL, INHERITED),
        allow(USERS, READ_EXECUTE, INHERITED)), AUTO_INHERITED),
    "person": descriptor(SOMEBODY, SOMEBODY, acl(
        allow(SYSTEM, FULL, INHERITED), allow(ADMINISTRATORS, FULL, INHERITED),
        allow(SOMEBODY, FULL, INHERITED)), AUTO_INHERITED),
    "shared": descriptor(ADMINISTRATORS, SYSTEM, acl(
        allow(CREATOR, FULL, 0x0B), allow(EVERYONE, MODIFY), allow(USERS, READ_EXECUTE, 0x03))),
    "many": descriptor(SYSTEM, USERS, acl(*(
        allow(sid(5, 21, 1, 2, 3, 1000 + number), READ_EXECUTE, INHERITED) for number in range(40))),
        AUTO_INHERITED),
}
"""`many` is larger than what fits into an MFT record beside other attributes."""
