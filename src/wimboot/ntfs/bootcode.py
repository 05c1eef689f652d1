"""Boot code of an NTFS volume: what lies around the description of the volume in its first 16 sectors, $Boot.

It is Windows', not ours to give away, so it is only ever moved from a volume of the user's to another one.

Offsets (source: a boot sector of `format` in Windows 7; mkntfs' own stub has nothing behind the first sector)::

    0x000   3     jump
    0x00B   73    the volume: sizes, places, serial number; stays
    0x054   426   code
    0x1FE   2     55 AA
    0x200         code of the other 15 sectors; the first begins with a length and the name of what is started:
                  07 00 "BOOTMGR" in UTF-16, before Vista 05 00 "NTLDR"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from wimboot.storage import Device

__all__ = ["BOOT_AREA_SIZE", "has_code", "put_boot_code", "started_by"]

BOOT_AREA_SIZE: Final = 16 * 512
_SECTOR: Final = 512
_DESCRIPTION: Final = slice(0x0B, 0x54)
_NAMES = {b"\x07\0" + "BOOTMGR".encode("utf-16-le"): "bootmgr", b"\x05\0" + "NTLDR".encode("utf-16-le"): "ntldr"}
_STUB: Final = b"This is not a bootable disk"
"""What mkntfs puts there."""


def has_code(area: bytes) -> bool:
    """Whether a boot area of 16 sectors holds more than a formatter's stub."""
    return _STUB not in area[:_SECTOR] and any(area[0x54:0x1FE]) and area[0x1FE:0x200] == b"\x55\xaa"


def started_by(area: bytes) -> str:
    """What Windows' code in a boot area looks for, "bootmgr" or "ntldr"; empty for code of others."""
    return next((name for start, name in _NAMES.items() if area[_SECTOR:].startswith(start)), "")


def put_boot_code(device: Device, area: bytes, sector_size: int = _SECTOR) -> None:
    """Put the code of the boot area `area`, 16 sectors, around the description of the volume on `device`.

    The copy of the boot sector in the volume's last sector gets it, too. Raises HostError.
    """
    code = bytearray(area[:BOOT_AREA_SIZE].ljust(BOOT_AREA_SIZE, b"\0"))
    code[_DESCRIPTION] = device.pread(0, _SECTOR)[_DESCRIPTION]
    device.pwrite(0, bytes(code))
    device.pwrite(device.size() - sector_size, bytes(code[:sector_size]))
