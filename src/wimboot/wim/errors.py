"""What can be wrong with a WIM, and what each error code of libwim means to us."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from wimboot.errors import Busy, Damaged, Error, FormatError, HostError, Internal, Refused, Unsupported, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "LIBRARY_ERRORS",
    "BlobDamaged",
    "BlobMissing",
    "Cancelled",
    "CompressionDiffers",
    "ImageOutOfRange",
    "LibraryFailed",
    "LibraryOutOfMemory",
    "NotAWim",
    "NotTheWimItWas",
    "PartMissing",
    "PipableWim",
    "SourceFailed",
    "TooLarge",
    "UndoRecordDamaged",
    "WimBeingWritten",
    "WimBusy",
    "WimChanged",
    "WimDamaged",
    "WimMissing",
    "WimNotExtendable",
    "WimReadOnly",
    "WimSplit",
    "WimTruncated",
    "WrittenWrong",
    "check_code",
    "locating",
]


class NotAWim(Damaged):
    """The file does not begin as a WIM does."""

    id = "not-a-wim"
    sentence = "{where} is not a WIM file: it does not begin as one does"
    advice = "Name a WIM. If one was here, something else was written over it: take it from a backup or a spare copy."


class WimTruncated(Damaged):
    """Something the header names lies behind the end of the file."""

    id = "wim-truncated"
    sentence = "{where} is cut short: {problem}"
    advice = "The copy is not complete. Copy the WIM again, or take it from a backup."


class WimDamaged(Damaged):
    """One structure of the WIM is not valid."""

    id = "wim-damaged"
    sentence = "{where} is damaged: the {structure} is not valid at byte {offset}: {problem}"
    advice = "Take the WIM from a backup or a spare copy."


class BlobDamaged(Damaged):
    """A blob's bytes are not those that its hash names."""

    id = "blob-damaged"
    sentence = "{where} is damaged: the data at {offset} with the hash {sha1} {problem}"
    advice = "Take the WIM, or this file, from a backup or a spare copy."


class WrittenWrong(Damaged):
    """What an append wrote behind its blobs does not read back as what it should be."""

    id = "written-wrong"
    sentence = "the tables just written to {where} do not read back as what was written"
    advice = "The disk or memory is not reliable. Nothing was changed: the volume and the WIM are as they were."


class BlobMissing(Damaged):
    """A blob that should be in the WIM is not."""

    id = "blob-not-in-wim"
    sentence = "{where} does not contain the data with the hash {sha1}"
    advice = "The WIM is not the one it should be, or it is incomplete."


class PipableWim(Unsupported):
    """wimlib's pipable form."""

    id = "wim-pipable"
    sentence = "{where} is a pipable WIM, which only wimlib can read"
    advice = "Make an ordinary WIM of it: wimlib-imagex optimize --not-pipable"


class TooLarge(Unsupported):
    """Something that is held in memory is larger than is sensible."""

    id = "wim-too-large"
    sentence = "{what} in {where} has {size} bytes, more than the {limit} this program reads at once"


class WimSplit(Refused):
    """One part of a split WIM."""

    id = "wim-split"
    sentence = "{where} is part {part} of {parts} of a split WIM"
    advice = "Give all parts, or join them first: wimlib-imagex join"


class PartMissing(Refused):
    """The parts given are not one whole split WIM."""

    id = "wim-part-missing"
    sentence = "the parts of {where} are not one split WIM: {problem}"
    advice = "All parts of the same WIM are needed, each once."


class WimReadOnly(Refused):
    """The header's read-only flag."""

    id = "wim-read-only"
    sentence = "{where} is marked read-only in its header"
    advice = "Nothing was changed. To write to it, clear the mark: wimlib-imagex info WIM --no-readonly"


class WimBeingWritten(Refused):
    """The header says that a program is writing, or stopped while it wrote."""

    id = "wim-write-in-progress"
    sentence = "{where} is marked as being written to by another program"
    advice = "Wait for that program; if it was interrupted, take the WIM from a backup."


class WimBusy(Busy):
    """Another process has the WIM locked."""

    id = "wim-busy"
    sentence = "{where} is being written to by another process, or volumes are being made from it"
    advice = "Wait until it has ended."


class WimChanged(Busy):
    """Another program, one that asks for no lock, got hold of the WIM during a run."""

    id = "wim-changed-meanwhile"
    sentence = "{where} was changed by another program during this run: {problem}"
    advice = "Nothing was changed on any volume. See which file is the right WIM, and run the same again."


class WimNotExtendable(Refused):
    """A kind of WIM that is only read."""

    id = "wim-not-extendable"
    sentence = "nothing can be added to {where}: {why}"
    advice = "Name a new WIM file."


class CompressionDiffers(Refused):
    """An existing WIM has another codec or chunk size than asked for."""

    id = "compression-differs"
    sentence = "{where} is compressed with {found}, not with {asked}"
    advice = "A WIM has one compression throughout. Leave --compress out, or name a new WIM file."


class WimMissing(UsageError):
    """No such WIM, and none was to be made."""

    id = "wim-missing"
    sentence = "there is no WIM {where}"
    advice = "Check the path; a capture makes a new one where it is told to."


class NotTheWimItWas(Refused):
    """Recovery found a WIM that is neither what was before nor what was being written."""

    id = "not-the-wim-it-was"
    sentence = "{where} was changed since the interrupted run whose record {record} lies beside it: {problem}"
    advice = ("Nothing was changed. Put the WIM back that was there, or, if the present one is the right one, "
              "remove the record.")


class UndoRecordDamaged(Refused):
    """The record beside the WIM cannot be read."""

    id = "undo-record-damaged"
    sentence = "the record {record} of an interrupted run beside {where} is damaged: {problem}"
    advice = "Check the WIM with verify; if it is sound, remove the record."


class ImageOutOfRange(UsageError):
    """No such image."""

    id = "image-out-of-range"
    sentence = "{where} has {count} images, no image {image:d}"
    advice = "`wimboot images {where}` lists them."


class SourceFailed(HostError):
    """A file did not give the bytes that its size promised."""

    id = "source-short"
    sentence = "{what} {where} failed: {why}"


class Cancelled(Internal):
    """Another thread asked a running batch to stop; never reaches the user."""

    id = "cancelled"
    sentence = "stopped"


class LibraryFailed(Internal):
    """libwim refused what should have been right."""

    id = "libwim"
    sentence = "{function} of libwim failed with code {code} ({name})"


class LibraryOutOfMemory(HostError):
    """libwim could not allocate."""

    id = "no-memory"
    sentence = "{function} of libwim failed: there is not enough memory"
    advice = "Use fewer --threads, or close other programs."


class LibraryRefusedData(Damaged):
    """libwim found the data it was given not valid."""

    id = "libwim-data"
    sentence = "{function} of libwim found damaged data (code {code}, {name})"


class LibraryUnsupported(Unsupported):
    """This build of libwim cannot do what was asked."""

    id = "libwim-unsupported"
    sentence = "{function} of libwim cannot do this (code {code}, {name})"


class LibraryHostError(HostError):
    """The operating system refused libwim something."""

    id = "libwim-host"
    sentence = "{function} of libwim failed with code {code} ({name})"


def _table() -> dict[int, tuple[str, type[Error]]]:
    groups: dict[type[Error], str] = {
        LibraryOutOfMemory: "39 NOMEM",
        LibraryRefusedData: (
            "2 DECOMPRESSION,10 IMAGE_COUNT,13 INTEGRITY,17 INVALID_HEADER,19 INVALID_INTEGRITY_TABLE,"
            "20 INVALID_LOOKUP_TABLE_ENTRY,21 INVALID_METADATA_RESOURCE,25 INVALID_PART_NUMBER,26 INVALID_PIPABLE_WIM,"
            "27 INVALID_REPARSE_DATA,28 INVALID_RESOURCE_HASH,30 INVALID_UTF16_STRING,31 INVALID_UTF8_STRING,"
            "36 METADATA_NOT_FOUND,43 NOT_A_WIM_FILE,55 RESOURCE_NOT_FOUND,56 RESOURCE_ORDER,62 SPLIT_INVALID,"
            "65 UNEXPECTED_END_OF_FILE,73 XML,84 WIM_IS_INCOMPLETE,90 INVALID_XATTR"),
        LibraryUnsupported: (
            "33 IS_SPLIT_WIM,44 NOT_PIPABLE,66 UNICODE_STRING_NOT_REPRESENTABLE,67 UNKNOWN_VERSION,68 UNSUPPORTED,"
            "69 UNSUPPORTED_FILE,74 WIM_IS_ENCRYPTED,75 WIMBOOT,82 FVE_LOCKED_VOLUME,85 COMPACTION_NOT_POSSIBLE"),
        LibraryHostError: (
            "1 ALREADY_LOCKED,6 FUSE,12 INSUFFICIENT_PRIVILEGES,32 IS_DIRECTORY,35 LINK,37 MKDIR,38 MQUEUE,40 NOTDIR,"
            "41 NOTEMPTY,42 NOT_A_REGULAR_FILE,46 NTFS_3G,47 OPEN,48 OPENDIR,49 PATH_DOES_NOT_EXIST,50 READ,"
            "51 READLINK,52 RENAME,54 REPARSE_POINT_FIXUP_FAILED,57 SET_ATTRIBUTES,58 SET_REPARSE_DATA,59 SET_SECURITY,"
            "60 SET_SHORT_NAME,61 SET_TIMESTAMPS,63 STAT,71 WIM_IS_READONLY,72 WRITE,78 MKNOD,79 MOUNTED_IMAGE_IS_BUSY,"
            "80 NOT_A_MOUNTPOINT,81 NOT_PERMITTED_TO_UNMOUNT,83 UNABLE_TO_READ_CAPTURE_CONFIG,"
            "88 CONCURRENT_MODIFICATION_DETECTED,89 SNAPSHOT_FAILURE,91 SET_XATTR"),
        LibraryFailed: (
            "8 GLOB_HAD_NO_MATCHES,11 IMAGE_NAME_COLLISION,14 INVALID_CAPTURE_CONFIG,15 INVALID_CHUNK_SIZE,"
            "16 INVALID_COMPRESSION_TYPE,18 INVALID_IMAGE,23 INVALID_OVERLAY,24 INVALID_PARAM,45 NO_FILENAME,"
            "76 ABORTED_BY_PROGRESS,77 UNKNOWN_PROGRESS_STATUS,86 IMAGE_HAS_MULTIPLE_REFERENCES,"
            "87 DUPLICATE_EXPORTED_IMAGE"),
    }
    table = {}
    for kind, entries in groups.items():
        for entry in entries.split(","):
            code, name = entry.split(" ")
            table[int(code)] = (name, kind)
    return table


LIBRARY_ERRORS = _table()


def check_code(code: int, function: str) -> None:
    """Raise what a return code of libwim's `function` means; 0 is success."""
    if code:
        name, kind = LIBRARY_ERRORS.get(code, ("unknown", LibraryFailed))
        raise kind(function=function, code=code, name=name, what=function, where="libwim", why=name)


@contextmanager
def locating(where: str) -> Iterator[None]:
    """Say which file it is in which a structure is not valid."""
    try:
        yield
    except FormatError as error:
        raise WimDamaged(where=where, **error.facts) from error
