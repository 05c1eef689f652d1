"""The security descriptors that this program makes itself: of System Volume Information, and of WIMs on a volume.

Layout: a self-relative SECURITY_DESCRIPTOR of [MS-DTYP] 2.4.6: u8 revision 1, u8 0, u16 control, u32 offsets of owner,
group, SACL, DACL; then owner, group, and an ACL (2.4.5) of ACCESS_ALLOWED_ACEs (2.4.4.2).
"""

from __future__ import annotations

from struct import pack
from typing import Final

__all__ = ["ADMINISTRATORS_ONLY", "SYSTEM_ONLY"]

_SYSTEM: Final = pack("<BB6sI", 1, 1, bytes((0, 0, 0, 0, 0, 5)), 18)               # S-1-5-18
_ADMINISTRATORS: Final = pack("<BB6sII", 1, 2, bytes((0, 0, 0, 0, 0, 5)), 32, 544)  # S-1-5-32-544

_SELF_RELATIVE_PROTECTED_DACL: Final = 0x9004
_FULL_ACCESS: Final = 0x1F01FF
_INHERITED_BY_ALL: Final = 3


def _descriptor(*allowed: bytes) -> bytes:
    """Owner Administrators, group SYSTEM; who is allowed may do everything, nobody else anything."""
    aces = b"".join(pack("<BBHI", 0, _INHERITED_BY_ALL, 8 + len(sid), _FULL_ACCESS) + sid for sid in allowed)
    acl = pack("<BBHHH", 2, 0, 8 + len(aces), len(allowed), 0) + aces
    owner, group = 20, 20 + len(_ADMINISTRATORS)
    return pack("<BBHIIII", 1, 0, _SELF_RELATIVE_PROTECTED_DACL, owner, group, 0, group + len(_SYSTEM)) + (
        _ADMINISTRATORS + _SYSTEM + acl)


SYSTEM_ONLY: Final = _descriptor(_SYSTEM)
"""O:BAG:SYD:P(A;OICI;FA;;;SY), what Windows gives that folder."""

ADMINISTRATORS_ONLY: Final = _descriptor(_SYSTEM, _ADMINISTRATORS)
"""O:BAG:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)."""
