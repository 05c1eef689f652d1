"""Compact OS files: the stream WofCompressedData has the layout of a WIM resource (chunk table, then chunks).

Source: wof.md section 7's facts, measured on a stream that Windows 10 wrote (LZX, 32 KiB chunks, 4-byte table).
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Unsupported
from wimboot.formats.chunktable import ChunkLayout
from wimboot.formats.reparse import Algorithm
from wimboot.formats.wimheader import Compression
from wimboot.wim._codec import SOUND, Codec
from wimboot.wim.chunked import Chunked

if TYPE_CHECKING:
    from collections.abc import Callable

    from wimboot.formats.reparse import FileBacked

__all__ = ["CompactDamaged", "CompactUnknown", "ranged_compact", "unpack"]

_CODECS = {
    Algorithm.XPRESS4K: Compression.XPRESS, Algorithm.XPRESS8K: Compression.XPRESS,
    Algorithm.XPRESS16K: Compression.XPRESS, Algorithm.LZX: Compression.LZX,
}


class CompactDamaged(Damaged):
    """The compressed stream of a Compact OS file does not give the bytes that it promises."""

    id = "compact-damaged"
    sentence = "{where} is a Compact OS file whose compressed stream is damaged"
    advice = "Let Windows check the volume (chkdsk /f), or restore the file; until then exclude it from the capture."


class CompactUnknown(Unsupported):
    """An algorithm that no known Windows writes."""

    id = "compact-unknown"
    sentence = "{where} is a Compact OS file of an unknown kind (algorithm {algorithm:d})"
    advice = "Unpack it under Windows first: compact /u /exe"


def unpack(stream: bytes, size: int, value: FileBacked, *, where: str) -> bytes:
    """The `size` bytes of a file out of its WofCompressedData. Raises CompactDamaged, CompactUnknown."""
    if value.algorithm not in _CODECS:
        raise CompactUnknown(where=where, algorithm=int(value.algorithm))
    out = bytearray(size)
    if size == 0:
        return b""
    algorithm = Algorithm(value.algorithm)
    codec = Codec(_CODECS[algorithm], algorithm.chunk_size)
    compressed = len(stream) != size
    try:
        states = codec.decompress_batch(stream, array("Q", (0, len(stream), size, compressed)), out)
    except ValueError as error:
        raise CompactDamaged(where=where) from error
    if states[0] != SOUND:
        raise CompactDamaged(where=where)
    return bytes(out)


def ranged_compact(pread: Callable[[int, int], bytes], stored_size: int, size: int, value: FileBacked, *,
                   where: str) -> Chunked | None:
    """A file of `size` bytes whose WofCompressedData has `stored_size`, read through `pread`, to be had in parts.

    None where the stream is the file as it is. Raises CompactDamaged, CompactUnknown.
    """
    if value.algorithm not in _CODECS:
        raise CompactUnknown(where=where, algorithm=int(value.algorithm))
    if stored_size == size:
        return None
    algorithm = Algorithm(value.algorithm)
    layout = ChunkLayout(size=size, size_in_wim=stored_size, chunk_size=algorithm.chunk_size)
    codec = Codec(_CODECS[algorithm], algorithm.chunk_size)
    return Chunked(pread, layout, codec, lambda _why: CompactDamaged(where=where))
