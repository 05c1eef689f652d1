"""What may be wrong with a volume's file table, in words, and the error that refuses such a volume."""

from __future__ import annotations

from wimboot.errors import Damaged, Unsupported

__all__ = ["PROBLEMS", "DamagedVolume", "VolumeTooLarge"]

# the place in this tuple is the number of `_problems.pxd`
PROBLEMS = (
    "is sound",
    "is in use but does not begin with FILE",
    "is in use by one account and free by another",
    "holds sectors that were not written together",
    "has a header that does not fit it",
    "has an attribute that does not fit",
    "has no sound standard information",
    "has a file name that is not sound",
    "has a run list that is not sound",
    "has a stream whose sizes do not fit its clusters",
    "has a stream in pieces that do not follow each other",
    "has the same attribute twice",
    "has reparse data that is not sound or a flag that disagrees",
    "has overlay data (WOF) that is not sound",
    "is a file without a name",
    "names a parent that does not exist",
    "names a parent that is not a folder",
    "is a folder with several names",
    "is a folder within itself",
    "extends a file that does not exist",
    "does not agree with its attribute list",
    "has a DOS name without its long name",
    "has a security id that the volume does not know",
    "has an attribute value that cannot be read",
)


class DamagedVolume(Damaged):
    """`problems` are (record number, words), the first few of `count`."""

    id = "file-table-damaged"
    sentence = "the volume's file table has {count} errors; record {record:d} {problem}"
    advice = "Let Windows repair the volume (chkdsk /f), then try again. Nothing was changed."


class VolumeTooLarge(Unsupported):
    """More than a Tree can hold."""

    id = "volume-too-large"
    sentence = "the volume's file table is too large to be read into memory ({records} records)"
