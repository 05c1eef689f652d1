"""What a new WIM is to be, and whether an old one is that."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wimboot.formats.wimheader import VERSION_SOLID, Compression, HeaderFlag, WimHeader, check_chunk_size
from wimboot.frozen import Frozen
from wimboot.wim.errors import CompressionDiffers, WimReadOnly

if TYPE_CHECKING:
    from wimboot.errors import Refused
    from wimboot.wim.store import Store

__all__ = ["CreateOptions", "check_changeable"]

_CODEC_FLAGS = {Compression.NONE: 0, Compression.XPRESS: HeaderFlag.COMPRESSION | HeaderFlag.XPRESS,
                Compression.LZX: HeaderFlag.COMPRESSION | HeaderFlag.LZX}
"""The header's flags for the codecs that are written."""


class CreateOptions(Frozen):
    """What a WIM is to be. None where an existing one may be anything and a new one takes the default."""

    compression: Compression | None = None
    chunk_size: int | None = None
    guid: bytes | None = None

    def check_fits(self, store: Store) -> None:
        """Raises CompressionDiffers where an existing WIM is not what was asked for."""
        found, asked = (store.compression, store.chunk_size), (self.compression, self.chunk_size)
        if any(want is not None and want != have for want, have in zip(asked, found, strict=True)):
            raise CompressionDiffers(where=store.where, found=_name(*found),
                                     asked=_name(*(want if want is not None else have for want, have in
                                                   zip(asked, found, strict=True))))

    def header(self) -> WimHeader:
        """The header of a new, empty WIM."""
        compression = Compression.XPRESS if self.compression is None else self.compression
        default = {Compression.NONE: 0, Compression.XPRESS: 4096}.get(compression, 32768)
        chunk_size = default if self.chunk_size is None else self.chunk_size
        if compression not in _CODEC_FLAGS or not check_chunk_size(compression, chunk_size):
            raise ValueError(f"not a kind of WIM that is written: {_name(compression, chunk_size)}")
        return WimHeader(flags=_CODEC_FLAGS[compression], chunk_size=chunk_size if compression else 0,
                         guid=self.guid if self.guid is not None else os.urandom(16))


def _name(compression: Compression | int | None, chunk_size: int | None) -> str:
    chunks = "" if chunk_size is None else f" in chunks of {chunk_size:,} bytes"
    return Compression(compression or 0).name + chunks


def check_changeable(store: Store, refusal: type[Refused]) -> None:
    """Raises WimReadOnly, and the refusal where blobs can neither be appended to a WIM nor taken out one by one."""
    header = store.header
    if header.flags & HeaderFlag.READONLY:
        raise WimReadOnly(where=store.where)
    why = ""
    if header.version == VERSION_SOLID or header.compression not in _CODEC_FLAGS:
        why = "it is of the solid form (ESD)"
    elif header.flags & (HeaderFlag.RESOURCE_ONLY | HeaderFlag.METADATA_ONLY):
        why = "it holds only a part of a WIM"
    if why:
        raise refusal(where=store.where, why=why)
