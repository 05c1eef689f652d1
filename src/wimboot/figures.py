"""Figures as people are told them: 1,048,576, and sizes in powers of 1000, 703 MB; powers of 1024 say so, 2 MiB."""

from __future__ import annotations

from typing import Final

__all__ = ["Figure", "told_size"]

_UNITS: Final = ("bytes", "KB", "MB", "GB", "TB")


class Figure(int):
    """A number as a sentence has it, 1,048,576, unless the sentence says how: `{size:size}` is 703 MB."""

    def __format__(self, form: str) -> str:
        return told_size(self) if form == "size" else super().__format__(form or ",")


def told_size(count: int) -> str:
    """A size for people: 703 MB."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    if unit == 0:
        return f"{count:,} bytes"
    return f"{value:.3g} {_UNITS[unit]}" if value < 100 else f"{value:,.0f} {_UNITS[unit]}"
