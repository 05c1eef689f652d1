r"""Boot configuration data: objects, their elements, and the values that elements hold.

A store is a registry hive (facts: [S] real stores, [M] Microsoft's "Boot Configuration Data" reference):

    \Description                        KeyName SZ, System DWORD, TreatAsSystem DWORD                       [S]
    \Objects\{guid}\Description         Type DWORD: the object's type
    \Objects\{guid}\Elements\XXXXXXXX   Element: the value; the key's name is the element's type, hexadecimal

An element's type is class << 28 | format << 24 | number; classes are 1 library (any object), 2 the application's own,
3 device options, 4 template, 5 OEM. The format decides how the value is kept:

    1  device         BINARY     16 bytes: GUID of an object with more options, or zeros; then the device
    2  string         SZ
    3  object         SZ         {guid} in lower case
    4  object list    MULTI_SZ   each {guid}
    5  integer        BINARY     u64
    6  boolean        BINARY     u8
    7  integer list   BINARY     u64 each

An object's type is kind << 28: 1 an application, 2 settings that others inherit, 3 device options.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from wimboot.errors import FormatError
from wimboot.formats.bootdeviceread import parse_device
from wimboot.formats.guid import GUID_SIZE, NIL, guid_text, parse_guid
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from wimboot.formats.bootdevice import Device

__all__ = [
    "DeviceValue", "Element", "ElementFormat", "ElementType", "ObjectType", "StoredAs", "Value", "element_class",
    "object_id",
]


class ElementFormat(IntEnum):
    """How a value is kept."""

    DEVICE = 1
    STRING = 2
    OBJECT = 3
    OBJECT_LIST = 4
    INTEGER = 5
    BOOLEAN = 6
    INTEGER_LIST = 7


class StoredAs(IntEnum):
    """The registry's types that occur, by the registry's numbers."""

    SZ = 1
    BINARY = 3
    MULTI_SZ = 7


class ObjectType(IntEnum):
    """The types that are written or treated specially; others occur and are kept."""

    FIRMWARE_MANAGER = 0x1010_0001
    BOOT_MANAGER = 0x1010_0002
    FIRMWARE_APPLICATION = 0x101F_FFFF
    OS_LOADER = 0x1020_0003
    RESUME = 0x1020_0004
    MEMORY_TESTER = 0x1020_0005
    LEGACY_LOADER = 0x1030_0006
    BOOT_SECTOR = 0x1040_0008
    SETTINGS = 0x2010_0000
    LOADER_SETTINGS = 0x2020_0003
    RESUME_SETTINGS = 0x2020_0004
    DEVICE_OPTIONS = 0x3000_0000


class ElementType(IntEnum):
    """The elements that are written; their names are bcdedit's."""

    DEVICE = 0x1100_0001
    PATH = 0x1200_0002
    DESCRIPTION = 0x1200_0004
    LOCALE = 0x1200_0005
    LOAD_OPTIONS = 0x1200_0030
    INHERIT = 0x1400_0006
    RECOVERY_SEQUENCE = 0x1400_0008
    DEBUG_TYPE = 0x1500_0011
    RECOVERY_ENABLED = 0x1600_0009
    BAD_MEMORY_ACCESS = 0x1600_000B
    BOOT_EMS = 0x1600_0020
    NO_INTEGRITY_CHECKS = 0x1600_0048
    TEST_SIGNING = 0x1600_0049
    ISOLATED_CONTEXT = 0x1600_0060
    ALLOWED_IN_MEMORY = 0x1700_0077
    OS_DEVICE = 0x2100_0001
    SYSTEM_ROOT = 0x2200_0002
    RESUME_OBJECT = 0x2300_0003     # of a loader
    DEFAULT = 0x2300_0003           # of the boot manager
    MANAGER_RESUME = 0x2300_0006
    DISPLAY_ORDER = 0x2400_0001
    BOOT_SEQUENCE = 0x2400_0002
    TOOLS_ORDER = 0x2400_0010
    TIMEOUT = 0x2500_0004
    NX = 0x2500_0020
    BOOT_MENU_POLICY = 0x2500_00C2
    HYPERVISOR_DEBUG_TYPE = 0x2500_00F3
    HYPERVISOR_DEBUG_PORT = 0x2500_00F4
    HYPERVISOR_BAUD_RATE = 0x2500_00F5
    DETECT_HAL = 0x2600_0010
    DISPLAY_MENU = 0x2600_0020


class DeviceValue(Frozen):
    """A device, and the object that has more options of it (its 16 bytes; zeros for none)."""

    device: Device
    options: bytes = NIL


Value: TypeAlias = DeviceValue | str | int | tuple[str, ...] | tuple[int, ...]
"""By format: a device; a string or an object's id; an integer or a boolean (bool); ids; integers."""

_INTEGER_SIZE: Final = 8


class Element(Frozen):
    """One element as the store keeps it; `value` reads it."""

    type: int
    registry_type: int
    data: bytes

    @classmethod
    def of(cls, type_: int, value: Value) -> Element:
        """The element of that type and value. Raises ValueError where they do not fit each other."""
        kind = type_ >> 24 & 0xF
        if kind == ElementFormat.DEVICE and isinstance(value, DeviceValue):
            return cls._binary(type_, _guid(value.options) + value.device.pack())
        if kind in (ElementFormat.STRING, ElementFormat.OBJECT) and isinstance(value, str):
            return cls(type=type_, registry_type=StoredAs.SZ, data=_terminated(value))
        if kind == ElementFormat.BOOLEAN and isinstance(value, bool):
            return cls._binary(type_, bytes([value]))
        if kind == ElementFormat.INTEGER and isinstance(value, int) and not isinstance(value, bool):
            return cls._binary(type_, _integer(value))
        if isinstance(value, tuple):
            texts = [item for item in value if isinstance(item, str)]
            numbers = [item for item in value if isinstance(item, int)]
            if kind == ElementFormat.OBJECT_LIST and not numbers:
                data = b"".join(map(_terminated, texts)) + b"\0\0"
                return cls(type=type_, registry_type=StoredAs.MULTI_SZ, data=data)
            if kind == ElementFormat.INTEGER_LIST and not texts:
                return cls._binary(type_, b"".join(map(_integer, numbers)))
        raise ValueError(f"an element of type {type_:#010x} does not hold {value!r}")

    @classmethod
    def _binary(cls, type_: int, data: bytes) -> Element:
        return cls(type=type_, registry_type=StoredAs.BINARY, data=data)

    @property
    def format(self) -> int:
        """ElementFormat; other numbers occur."""
        return self.type >> 24 & 0xF

    @property
    def value(self) -> Value | None:
        """What it holds; None where the bytes are not of its format."""
        kind, stored, data = self.format, self.registry_type, self.data
        if stored == StoredAs.SZ and kind in (ElementFormat.STRING, ElementFormat.OBJECT):
            return _texts(data)[0]
        if stored == StoredAs.MULTI_SZ and kind == ElementFormat.OBJECT_LIST:
            texts = _texts(data)
            return tuple(texts[:texts.index("")] if "" in texts else texts)
        if stored != StoredAs.BINARY:
            return None
        if kind == ElementFormat.DEVICE:
            return _device(data)
        if kind == ElementFormat.BOOLEAN and len(data) == 1:
            return bool(data[0])
        if kind == ElementFormat.INTEGER and len(data) == _INTEGER_SIZE:
            return int.from_bytes(data, "little")
        if kind == ElementFormat.INTEGER_LIST and data and not len(data) % _INTEGER_SIZE:
            return tuple(int.from_bytes(data[at:at + _INTEGER_SIZE], "little")
                         for at in range(0, len(data), _INTEGER_SIZE))
        return None


def element_class(type_: int) -> int:
    """1 library, 2 application, 3 device options, 4 template, 5 OEM."""
    return type_ >> 28


def object_id(text: str) -> str:
    """The id of an object, `{guid}` in lower case, from a GUID with or without braces. Raises BadGuid."""
    return f"{{{guid_text(parse_guid(text))}}}"


def _guid(options: bytes) -> bytes:
    if len(options) != GUID_SIZE:
        raise ValueError("a GUID has 16 bytes")
    return options


def _integer(number: int) -> bytes:
    if not 0 <= number < 1 << 8 * _INTEGER_SIZE:
        raise ValueError("an integer has 64 bits")
    return number.to_bytes(_INTEGER_SIZE, "little")


def _device(data: bytes) -> DeviceValue | None:
    """A device that fills the rest of the element."""
    try:
        device = parse_device(data, GUID_SIZE)
    except FormatError:
        return None
    if GUID_SIZE + len(device.pack()) != len(data):
        return None
    return DeviceValue(device=device, options=data[:GUID_SIZE])


def _terminated(text: str) -> bytes:
    if "\0" in text:
        raise ValueError("a string holds no NUL")
    return (text + "\0").encode("utf-16-le", "surrogatepass")


def _texts(data: bytes) -> list[str]:
    return data[:len(data) & ~1].decode("utf-16-le", "surrogatepass").split("\0")
