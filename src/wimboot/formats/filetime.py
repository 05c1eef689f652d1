"""Windows times: units of 100 ns since 1601-01-01 00:00 UTC, an unsigned 64-bit number. 0 means "not set"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["MAX_FILETIME", "PER_SECOND", "UNIX_EPOCH", "from_unix_ns", "iso_utc", "to_unix_ns"]

UNIX_EPOCH = 116_444_736_000_000_000
"""1970-01-01 as a FILETIME."""

MAX_FILETIME = 0xFFFF_FFFF_FFFF_FFFF

PER_SECOND = 10_000_000
_CYCLE_DAYS = 146_097   # the Gregorian calendar repeats every 400 years; 1601 begins such a stretch


def from_unix_ns(unix_ns: int) -> int:
    """FILETIME of nanoseconds since 1970. Raises ValueError before 1601 or beyond 64 bits."""
    ticks = unix_ns // 100 + UNIX_EPOCH
    if not 0 <= ticks <= MAX_FILETIME:
        raise ValueError("a time outside of what Windows can store")
    return ticks


def to_unix_ns(filetime: int) -> int:
    """Nanoseconds since 1970 of a FILETIME; negative before."""
    return (filetime - UNIX_EPOCH) * 100


def iso_utc(filetime: int) -> str:
    """ISO 8601 with all seven digits, "2015-05-10T12:00:00.1234567Z"; years beyond 9999 too."""
    if not 0 <= filetime <= MAX_FILETIME:
        raise ValueError("a FILETIME is an unsigned 64-bit number")
    seconds, ticks = divmod(filetime, PER_SECOND)
    days, second = divmod(seconds, 86_400)
    cycles, day = divmod(days, _CYCLE_DAYS)
    moment = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(days=day, seconds=second)
    return f"{moment.year + 400 * cycles:04d}-{moment:%m-%dT%H:%M:%S}.{ticks:07d}Z"
