"""The images of a WIM, and the WIM's own checksums."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from wimboot.events import Emit, Phase
from wimboot.frozen import Frozen
from wimboot.ops.opening.storing import opened_store
from wimboot.tree import passes

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.formats.wimxml import ImageXml
    from wimboot.storage import File

__all__ = ["ImageFigures", "Images", "images"]

_WINDOW = 4 << 20


class ImageFigures(Frozen):
    """One image: what its XML says, and what only it holds (bytes uncompressed, and in the WIM)."""

    number: int
    xml: ImageXml
    only_here: int
    only_here_in_wim: int


class Images(Frozen):
    """A WIM with its images; the checksums are of the whole file, None unless asked for."""

    guid: bytes
    size: int
    compression: str
    chunk_size: int
    not_backable: str | None
    images: tuple[ImageFigures, ...]
    md5: str | None = None
    sha1: str | None = None


def images(wim: Path, emit: Emit, *, checksums: bool = False) -> Images:
    """List a WIM. Raises what opening it raises."""
    with opened_store(wim) as store:
        emit(Phase(name="images", total=len(store.images)))
        used = [frozenset(passes.hashes(store.load_tree(number))) for number in range(1, len(store.images) + 1)]
        figures = []
        for number, hashes in enumerate(used, start=1):
            others = frozenset().union(*(other for at, other in enumerate(used, start=1) if at != number))
            blobs = [blob for blob in map(store.blob, hashes - others) if blob is not None]
            figures.append(
                ImageFigures(
                    number=number,
                    xml=store.images[number - 1],
                    only_here=sum(blob.size for blob in blobs),
                    only_here_in_wim=sum(blob.size_in_wim for blob in blobs),
                )
            )
        file = store.parts[0].file
        md5, sha1 = _checksums(file, emit) if checksums else (None, None)
        return Images(
            guid=store.guid,
            size=file.size(),
            compression=store.compression.name.lower(),
            chunk_size=store.chunk_size,
            not_backable=store.not_backable,
            images=tuple(figures),
            md5=md5,
            sha1=sha1,
        )


def _checksums(file: File, emit: Emit) -> tuple[str, str]:
    phase = Phase(name="hash", total=file.size(), unit="bytes")
    emit(phase)
    md5, sha1 = hashlib.md5(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
    for offset in range(0, file.size(), _WINDOW):
        part = file.pread(offset, _WINDOW)
        md5.update(part)
        sha1.update(part)
        phase.counter.add(len(part))
    return md5.hexdigest(), sha1.hexdigest()
