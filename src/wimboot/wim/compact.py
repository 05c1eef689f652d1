"""Compact OS files: the stream WofCompressedData has the layout of a WIM resource (chunk table, then chunks).

Source: wof.md section 7's facts, measured on a stream that Windows 10 wrote (LZX, 32 KiB chunks, 4-byte table).
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Unsupported
from wimboot.formats.reparse import Algorithm
from wimboot.formats.wimheader import Compression
from wimboot.wim._codec import SOUND, Codec

if TYPE_CHECKING:
    from wimboot.formats.reparse import FileBacked

__all__ = ["CompactDamaged", "CompactUnknown", "unpack"]

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
    sentence = "{where} is a Compact OS file of an unknown kind (algorithm {algorithm})"
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
