"""GUIDs as Windows stores them: 16 bytes, the first three fields little-endian (RFC 4122's `bytes_le`).

A GUID is kept as these 16 bytes everywhere, for it is only compared, copied and shown.
"""

from __future__ import annotations

from wimboot.errors import UsageError

__all__ = ["GUID_SIZE", "NIL", "BadGuid", "guid_text", "parse_guid"]

GUID_SIZE = 16
NIL = bytes(GUID_SIZE)

_GROUPS = (8, 4, 4, 4, 12)


class BadGuid(UsageError):
    """A text that should be a GUID is not one."""

    id = "bad-guid"
    sentence = "{text!r} is not a GUID"
    advice = "A GUID looks like 8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b, with or without braces."


def guid_text(guid: bytes) -> str:
    """The lower-case text of a stored GUID, without braces."""
    if len(guid) != GUID_SIZE:
        raise ValueError("a GUID has 16 bytes")
    fields = (guid[3::-1], guid[5:3:-1], guid[7:5:-1], guid[8:10], guid[10:])
    return "-".join(field.hex() for field in fields)


def parse_guid(text: str) -> bytes:
    """The stored form of a GUID's text, with or without braces. Raises BadGuid."""
    bare = text.strip()
    if bare.startswith("{") and bare.endswith("}"):
        bare = bare[1:-1]
    groups = bare.split("-")
    if tuple(map(len, groups)) != _GROUPS or not all(group.isascii() and group.isalnum() for group in groups):
        raise BadGuid(text=text)
    try:
        raw = bytes.fromhex("".join(groups))
    except ValueError as error:
        raise BadGuid(text=text) from error
    return raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]
