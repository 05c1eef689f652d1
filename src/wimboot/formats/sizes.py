"""Sizes as people write them, 15G, 512 MB, 1.5TiB: powers of 1024, as Windows counts, whatever the spelling."""

from __future__ import annotations

import re
from typing import Final

from wimboot.errors import UsageError

__all__ = ["BadSize", "parse_size"]

_SIZE: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,3}))?\s*(?:([KMGT])(?:i?B)?|B)?", re.IGNORECASE | re.ASCII)
_FACTORS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class BadSize(UsageError):
    """A text that should be a size is not one."""

    id = "bad-size"
    sentence = "{text!r} is not a size"
    advice = "Say 15G, 1.5T, 512M or a number of bytes: powers of 1024, which have to come out whole."


def parse_size(text: str) -> int:
    """Bytes. Raises BadSize, for parts of a byte too."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise BadSize(text=text)
    factor = _FACTORS[(match[3] or "").upper()]
    whole, rest = divmod(int((match[2] or "").ljust(3, "0")) * factor, 1000)
    if rest:
        raise BadSize(text=text)
    return int(match[1]) * factor + whole
