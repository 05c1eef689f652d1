"""The security descriptors that this program makes itself: of System Volume Information, of WIMs on a volume, of
drivers.

Layout: a self-relative SECURITY_DESCRIPTOR of [MS-DTYP] 2.4.6: u8 revision 1, u8 0, u16 control, u32 offsets of owner,
group, SACL, DACL; then owner, group, and an ACL (2.4.5) of ACCESS_ALLOWED_ACEs (2.4.4.2).
"""

from __future__ import annotations

from struct import pack
from typing import Final

__all__ = ["ADMINISTRATORS_ONLY", "PROGRAM_FILE", "SYSTEM_ONLY"]

_SYSTEM: Final = pack("<BB6sI", 1, 1, bytes((0, 0, 0, 0, 0, 5)), 18)               # S-1-5-18
_ADMINISTRATORS: Final = pack("<BB6sII", 1, 2, bytes((0, 0, 0, 0, 0, 5)), 32, 544)  # S-1-5-32-544
_USERS: Final = pack("<BB6sII", 1, 2, bytes((0, 0, 0, 0, 0, 5)), 32, 545)           # S-1-5-32-545

_SELF_RELATIVE_PROTECTED_DACL: Final = 0x9004
_FULL_ACCESS: Final = 0x1F01FF
_READ_AND_EXECUTE: Final = 0x1200A9
_INHERITED_BY_ALL: Final = 3


def _descriptor(*allowed: bytes, readers: tuple[bytes, ...] = (), inherited: int = _INHERITED_BY_ALL) -> bytes:
    """Owner Administrators, group SYSTEM; who is allowed may do everything, nobody else more than read."""
    rights = [(sid, _FULL_ACCESS) for sid in allowed] + [(sid, _READ_AND_EXECUTE) for sid in readers]
    aces = b"".join(pack("<BBHI", 0, inherited, 8 + len(sid), mask) + sid for sid, mask in rights)
    acl = pack("<BBHHH", 2, 0, 8 + len(aces), len(rights), 0) + aces
    owner, group = 20, 20 + len(_ADMINISTRATORS)
    return pack("<BBHIIII", 1, 0, _SELF_RELATIVE_PROTECTED_DACL, owner, group, 0, group + len(_SYSTEM)) + (
        _ADMINISTRATORS + _SYSTEM + acl)


SYSTEM_ONLY: Final = _descriptor(_SYSTEM)
"""O:BAG:SYD:P(A;OICI;FA;;;SY), what Windows gives that folder."""

ADMINISTRATORS_ONLY: Final = _descriptor(_SYSTEM, _ADMINISTRATORS)
"""O:BAG:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)."""

PROGRAM_FILE: Final = _descriptor(_SYSTEM, _ADMINISTRATORS, readers=(_USERS,), inherited=0)
"""O:BAG:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x1200a9;;;BU), for a file that Windows runs."""
