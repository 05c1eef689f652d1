"""The WIM of a capture: to be made, to grow, or only to be read."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from wimboot.formats.wimheader import Compression as Codec
from wimboot.ops.opening.inside import growing_wim, wim_exists
from wimboot.ops.opening.storing import opened_store
from wimboot.ops.options import CaptureOptions, Compression
from wimboot.wim import CreateOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.wim import Append, Store

__all__ = ["begin_append", "create_options", "existing_store"]

_CODECS = {
    Compression.XPRESS4K: (Codec.XPRESS, 4096),
    Compression.XPRESS8K: (Codec.XPRESS, 8192),
    Compression.XPRESS16K: (Codec.XPRESS, 16384),
    Compression.XPRESS32K: (Codec.XPRESS, 32768),
    Compression.LZX: (Codec.LZX, 32768),
}


def create_options(compression: Compression | None) -> CreateOptions:
    """What a new WIM is to be, and an existing one has to be; None: whatever it is, and the default for a new one."""
    codec, chunk_size = (None, None) if compression is None else _CODECS[compression]
    return CreateOptions(compression=codec, chunk_size=chunk_size)


@contextmanager
def begin_append(options: CaptureOptions, *, check_images: bool = True) -> Iterator[Append]:
    """The WIM of a capture, ready to grow; a new one where there is none. Leaving without `finish` undoes all.

    `check_images` reads every image's list of files first, which takes as long as there are images: nothing is built on
    a WIM that lost one. Raises BlobDamaged.
    """
    with growing_wim(options.wim, options.target, create_options(options.compression)) as append:
        if append.store is not None and check_images:
            for number in range(1, len(append.store.images) + 1):
                append.store.check_metadata(number)
        yield append


@contextmanager
def existing_store(options: CaptureOptions) -> Iterator[Store | None]:
    """The WIM of a capture as it is, only to be read; None where there is none."""
    if not wim_exists(options.wim, options.target.folders):
        yield None
        return
    with opened_store(options.wim, options.target.folders) as store:
        yield store
