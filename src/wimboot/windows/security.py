"""The one security descriptor that this program makes itself: that of System Volume Information.

Layout: a self-relative SECURITY_DESCRIPTOR of [MS-DTYP] 2.4.6: u8 revision 1, u8 0, u16 control, u32 offsets of owner,
group, SACL, DACL; then owner, group, and an ACL (2.4.5) of one ACCESS_ALLOWED_ACE (2.4.4.2).
"""

from __future__ import annotations

from struct import pack
from typing import Final

__all__ = ["SYSTEM_ONLY"]

_SYSTEM: Final = pack("<BB6sI", 1, 1, bytes((0, 0, 0, 0, 0, 5)), 18)               # S-1-5-18
_ADMINISTRATORS: Final = pack("<BB6sII", 1, 2, bytes((0, 0, 0, 0, 0, 5)), 32, 544)  # S-1-5-32-544

_SELF_RELATIVE_PROTECTED_DACL: Final = 0x9004
_FULL_ACCESS: Final = 0x1F01FF
_INHERITED_BY_ALL: Final = 3


def _descriptor() -> bytes:
    """Owner Administrators, group SYSTEM; SYSTEM may do everything, nobody else anything."""
    ace = pack("<BBHI", 0, _INHERITED_BY_ALL, 8 + len(_SYSTEM), _FULL_ACCESS) + _SYSTEM
    acl = pack("<BBHHH", 2, 0, 8 + len(ace), 1, 0) + ace
    owner, group = 20, 20 + len(_ADMINISTRATORS)
    return pack("<BBHIIII", 1, 0, _SELF_RELATIVE_PROTECTED_DACL, owner, group, 0, group + len(_SYSTEM)) + (
        _ADMINISTRATORS + _SYSTEM + acl)


SYSTEM_ONLY: Final = _descriptor()
"""O:BAG:SYD:P(A;OICI;FA;;;SY), what Windows gives that folder."""
