"""What a WIM that has grown says of the blobs it had before: where its new table says something else, that is judged.

A copy that is brought up to such a WIM gets the new table, while the blobs themselves stay as they are in the copy.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Unsupported
from wimboot.formats.blobtable import ROW_SIZE
from wimboot.tree import passes
from wimboot.wim import _usage
from wimboot.wim.check import BlobProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wimboot.events import Counter
    from wimboot.formats.blobtable import BlobTable
    from wimboot.wim.store import Store

__all__ = ["absent_blobs", "check_images", "lost_blobs", "unlike_blobs", "unlike_images"]

_REFERENCES = slice(26, 30)
"""In a row: the one field that a growth changes in the rows it keeps."""


def unlike_blobs(late: Store, early: Store) -> list[bytes]:
    """The hashes of the blobs of `late` whose rows `early` does not have: new, moved by a repair, or damaged.

    A solid one is always among them: its row alone does not say where it lies.
    """
    table, before = late.parts[0].table, early.parts[0].table
    own = before.index
    return [sha1 for sha1 in table.index
            if (row := table.index[sha1]) in table.run_of
            or (old := own.get(sha1)) is None or _place(table, row) != _place(before, old)]


def unlike_images(late: Store, early: Store) -> list[int]:
    """The images (from 1) of `late` whose metadata has a row that is not that of the same image in `early`."""
    table, before = late.parts[0].table, early.parts[0].table
    return [image for image, row in enumerate(table.metadata, start=1)
            if image > len(before.metadata) or _place(table, row) != _place(before, before.metadata[image - 1])]


def _place(table: BlobTable, row: int) -> bytes:
    raw = table.raw[row * ROW_SIZE:(row + 1) * ROW_SIZE]
    return raw[:_REFERENCES.start] + raw[_REFERENCES.stop:]


def check_images(store: Store, images: Sequence[int], counter: Counter) -> list[BlobProblem]:
    """Read the metadata of these images (from 1) and hash it. A Problem for each that is not sound."""
    part, problems = store.parts[0], []
    for image in images:
        row = part.table.row(part.table.metadata[image - 1])
        digest = hashlib.sha1(usedforsecurity=False)
        identifier, text = "blob-damaged", f"the list of files of image {image}, at {row.offset:,}, has other contents"
        try:
            for window in part.resources.windows(row):
                digest.update(window)
        except (Damaged, Unsupported) as error:
            identifier, text = error.id, str(error)
        if digest.digest() != row.sha1:
            problems.append(BlobProblem(id=identifier, where=part.where, sha1=row.sha1, text=text))
        counter.add(row.size)
    return problems


def lost_blobs(late: Store, early: Store) -> list[BlobProblem]:
    """A Problem for each blob that `early` has, that `late` does not tell of, and that an image of `late` refers to.

    Of what no image refers to, a program that removes images may leave the rows out. Raises as `load_tree` does.
    """
    before = early.parts[0].table
    if not late.count_lacking(b"".join(before.index)):
        return []
    marks = [bytearray(len(before))]
    for image in range(1, len(late.images) + 1):
        _usage.mark_streams(late.load_tree(image, allow_missing=True), [before.index], marks)
    return [_absent(late, sha1) for sha1 in before.index if sha1 not in late and marks[0][before.index[sha1]]]


def absent_blobs(store: Store, images: Iterable[int]) -> list[BlobProblem]:
    """A Problem for each blob that these images (from 1) refer to and that the table does not tell of, be it that a bit
    of its row is wrong. Raises as `load_tree` does.
    """
    absent = {sha1 for image in images for sha1 in passes.hashes(store.load_tree(image, allow_missing=True))
              if sha1 not in store}
    return [_absent(store, sha1) for sha1 in sorted(absent)]


def _absent(store: Store, sha1: bytes) -> BlobProblem:
    return BlobProblem(id="blob-not-in-wim", where=store.where, sha1=sha1,
                       text=f"the data with the hash {sha1.hex()}, which an image refers to, is not in the WIM's table")
