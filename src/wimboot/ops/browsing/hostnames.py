r"""What names of a volume are called on this host.

The bytes are UTF-8; half a surrogate pair is written as the three bytes that UTF-8 would have for it, as the ntfs-3g
driver does, so that every name comes back as it was. What no name of a host can hold is escaped: `/` is %2F, NUL %00,
and a name that is `.` or `..` is %2E or %2E%2E. Windows makes no such names; a hostile volume can have them.
"""

from __future__ import annotations

from wimboot.formats.names import decode_name, encode_name

__all__ = ["host_name", "host_text", "is_escaped", "volume_name"]

_ESCAPES = {ord("/"): "%2F", 0: "%00"}
_DOTS = {".": "%2E", "..": "%2E%2E"}


def host_name(units: bytes) -> bytes:
    """The bytes by which UTF-16LE `units` go on this host."""
    text = decode_name(units)
    return _DOTS.get(text, text).translate(_ESCAPES).encode("utf-8", "surrogatepass")


def host_text(units: bytes) -> str:
    """The same as Python has host names."""
    return host_name(units).decode("utf-8", "surrogateescape")


def is_escaped(units: bytes) -> bool:
    """Whether the name is not itself on this host."""
    text = decode_name(units)
    return text in _DOTS or "/" in text or "\0" in text


def volume_name(text: str) -> bytes | None:
    """The UTF-16LE units of a name as Python has it from the host; None where its bytes are no UTF-8. Not unescaped."""
    try:
        return encode_name(text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogatepass"))
    except UnicodeError:
        return None
