"""Why a volume, or one file of it, is not touched."""

from __future__ import annotations

from typing import Final

from wimboot.errors import Damaged, HostError, Internal, Refused, Unsupported, UsageError

__all__ = [
    "CallFailed", "FileEncrypted", "FileNotFound", "FolderNotEmpty", "Hibernated", "LinkOnTheWay", "LogNotClean",
    "NameNotPossible", "NameTaken", "NotAFile", "NotAFolder", "NotNtfs", "NotPlain", "ObjectIdTaken", "PointerUnread",
    "ReadOnlyVolume", "ReadTooLarge", "RecordReserved", "ReparseTaken", "SizeNotPossible", "TimeNotPossible",
    "VersionUnsupported", "VolumeClosed", "VolumeDamaged", "VolumeDirty", "VolumeFull", "VolumeTorn",
]

SHUT_DOWN: Final = "Start that Windows, shut it down fully (shutdown /s /f /t 0) and try again."
CHECK_DISK: Final = "Let Windows check the volume (chkdsk /f) and try again."


class NotNtfs(UsageError):
    """The bytes are no NTFS volume."""

    id = "not-ntfs"
    sentence = "{where} holds no NTFS volume: {why}"
    advice = "Name a disk image, a partition in one (PATH#N) or a block device that holds a Windows volume."


class Hibernated(Refused):
    """Windows sleeps on it: what it keeps in its hibernation file would overwrite or contradict what is changed."""

    id = "hibernated"
    sentence = "Windows on {where} is hibernated or was shut down by Fast Startup"
    advice = SHUT_DOWN


class LogNotClean(Refused):
    """The volume's log holds changes that never reached it."""

    id = "log-not-clean"
    sentence = "{where} was not closed by the Windows that used it last; its log holds changes not yet made"
    advice = CHECK_DISK


class VolumeDirty(Refused):
    """The volume is marked for a check."""

    id = "volume-dirty"
    sentence = "{where} is marked as needing a check"
    advice = ("If a run of wimboot on it was interrupted, finish that first: wimboot recover {where} --log DIR, with "
              "the folder of that run. Else let Windows check the volume (chkdsk /f) and try again.")


class ReadOnlyVolume(Refused):
    """A change was asked of a volume opened for reading."""

    id = "volume-read-only"
    sentence = "{where} was opened for reading only"


class VersionUnsupported(Unsupported):
    """An NTFS of before Windows 2000: no reparse points."""

    id = "ntfs-version"
    sentence = "{where} has NTFS version {version}; reparse points need 3.0 or later"


class VolumeDamaged(Damaged):
    """A structure of the volume is not sound."""

    id = "volume-damaged"
    sentence = "{where} is damaged: {what} failed: {why}"
    advice = CHECK_DISK


class VolumeFull(Refused, HostError):
    """No clusters left on the volume."""

    id = "volume-full"
    sentence = "{where} is full"
    advice = "Make room on it; everything is as it was before."


class CallFailed(HostError):
    """A function of libntfs-3g failed for a reason that has no class of its own."""

    id = "ntfs-call"
    sentence = "{what} failed on {file} of {where}: {why}"


class FileNotFound(Damaged):
    """A file reference or name leads nowhere."""

    id = "file-not-found"
    sentence = "{where} has no {file}"


class FileEncrypted(Unsupported):
    """EFS: its bytes are not to be had, and not to be given up."""

    id = "file-encrypted"
    sentence = "{file} of {where} is encrypted"


class PointerUnread(Unsupported):
    """The library would return zeros for a file whose content lies elsewhere."""

    id = "pointer-unread"
    sentence = "{file} of {where} is a pointer: its content lies in a WIM or another stream, not in its data"


class NotPlain(Unsupported):
    """A file that cannot be followed along its clusters."""

    id = "not-plain"
    sentence = "{file} of {where} is {what}, and cannot be used as it lies"
    advice = "Make it an ordinary file under Windows (copy it, without compression or encryption) and try again."


class ReadTooLarge(Unsupported):
    """More than is given in one piece."""

    id = "read-too-large"
    sentence = "{file} of {where} cannot be read in one piece of {size} bytes"


class LinkOnTheWay(Refused):
    """A junction or a symbolic link, where a folder of the volume itself is needed."""

    id = "link-on-the-way"
    sentence = "{file} of {where} is a link, which only a running Windows can follow"
    advice = "Name the folder that it leads to."


class NotAFile(Refused):
    """A folder, where a file is needed."""

    id = "not-a-file"
    sentence = "{file} of {where} is a folder"
    advice = "Name a file in it."


class NotAFolder(Refused):
    """A file, where a folder is needed."""

    id = "not-a-folder"
    sentence = "{file} of {where} is not a folder"


class FolderNotEmpty(Refused):
    """A folder that is to go still has entries."""

    id = "folder-not-empty"
    sentence = "{file} of {where} is not empty"


class RecordReserved(Refused):
    """A file that NTFS keeps for itself."""

    id = "record-reserved"
    sentence = "{file} of {where} belongs to NTFS itself"


class ReparseTaken(Refused):
    """The file is a reparse point already (a link, a pointer, ...)."""

    id = "reparse-taken"
    sentence = "{file} of {where} is a reparse point already"


class NameTaken(Refused):
    """The folder has that name."""

    id = "name-taken"
    sentence = "{file} of {where} has an entry {name!r} already"


class NameNotPossible(Refused):
    """No name for a Windows file."""

    id = "name-not-possible"
    sentence = "{name!r} cannot name a file: {why}"


class VolumeClosed(Internal):
    """Used after it was closed."""

    id = "volume-closed"
    sentence = "{where} was closed already"


class VolumeTorn(Internal):
    """A change failed half-way; its transaction must not be committed."""

    id = "volume-torn"
    sentence = "a change of {where} failed half-way; nothing of it is kept"


class SizeNotPossible(Refused):
    """A file size that a pointer cannot have."""

    id = "size-not-possible"
    sentence = "a pointer cannot stand for {size} bytes"


class TimeNotPossible(Refused):
    """A time before 1601."""

    id = "time-not-possible"
    sentence = "{name!r} has a time that NTFS cannot hold"


class ObjectIdTaken(Refused):
    """Another file has it, and it is a key."""

    id = "object-id-taken"
    sentence = "another file of {where} has the object id {object_id}"
