"""A value of the registry: a type and bytes, with the readings that the type allows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["RegistryValue", "ValueType"]


class ValueType(IntEnum):
    """REG_*, as Windows' headers number them; other numbers occur and are kept."""

    NONE = 0
    SZ = 1
    EXPAND_SZ = 2
    BINARY = 3
    DWORD = 4
    DWORD_BIG_ENDIAN = 5
    LINK = 6
    MULTI_SZ = 7
    QWORD = 11


@dataclass(frozen=True, slots=True)
class RegistryValue:
    """`data` is what the hive holds, strings in UTF-16LE with their NUL."""

    type: int
    data: bytes

    @classmethod
    def sz(cls, text: str) -> RegistryValue:
        """A string."""
        return cls(ValueType.SZ, _utf16(text))

    @classmethod
    def expand_sz(cls, text: str) -> RegistryValue:
        """A string in which Windows replaces %NAME%."""
        return cls(ValueType.EXPAND_SZ, _utf16(text))

    @classmethod
    def multi_sz(cls, *texts: str) -> RegistryValue:
        """Several strings, none of them empty."""
        return cls(ValueType.MULTI_SZ, b"".join(map(_utf16, texts)) + b"\0\0")

    @classmethod
    def dword(cls, number: int) -> RegistryValue:
        """32 bits."""
        return cls(ValueType.DWORD, number.to_bytes(4, "little"))

    @classmethod
    def binary(cls, data: bytes) -> RegistryValue:
        """Bytes."""
        return cls(ValueType.BINARY, data)

    def text(self) -> str | None:
        """The string up to its NUL; None where this is not a string."""
        if self.type not in {ValueType.SZ, ValueType.EXPAND_SZ, ValueType.LINK}:
            return None
        return self._decoded().partition("\0")[0]

    def texts(self) -> tuple[str, ...] | None:
        """The strings of a MULTI_SZ up to the first empty one, or the one of an SZ; None for other types."""
        if self.type == ValueType.MULTI_SZ:
            parts = self._decoded().split("\0")
            return tuple(parts[:parts.index("")] if "" in parts else parts)
        text = self.text()
        return None if text is None else (text,)

    def number(self) -> int | None:
        """The number of a DWORD or QWORD of the right size; None for anything else."""
        if self.type == ValueType.DWORD and len(self.data) == 4:
            return int.from_bytes(self.data, "little")
        if self.type == ValueType.DWORD_BIG_ENDIAN and len(self.data) == 4:
            return int.from_bytes(self.data, "big")
        if self.type == ValueType.QWORD and len(self.data) == 8:
            return int.from_bytes(self.data, "little")
        return None

    def _decoded(self) -> str:
        return self.data[:len(self.data) & ~1].decode("utf-16-le", "surrogatepass")


def _utf16(text: str) -> bytes:
    return (text + "\0").encode("utf-16-le", "surrogatepass")
