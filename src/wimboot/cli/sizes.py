"""Sizes on the command line: 15G, 512M, bytes."""

from __future__ import annotations

from typing import Final

import click

from wimboot.formats.sizes import BadSize, parse_size

__all__ = ["SIZE"]


class _Size(click.ParamType):  # type: ignore[type-arg]  # generic from Click 8.3 on only
    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except BadSize as error:
            self.fail(error.told, param, ctx)


SIZE: Final = _Size()
