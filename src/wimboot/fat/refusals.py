"""Why a FAT volume, or one file of it, is not touched."""

from __future__ import annotations

from typing import Final

from wimboot.errors import Damaged, HostError, Internal, Refused, Unsupported

__all__ = [
    "ExFat",
    "FatClosed",
    "FatDamaged",
    "FatDirty",
    "FatFileTooLarge",
    "FatFolderNotEmpty",
    "FatFull",
    "FatNameNotPossible",
    "FatNotAFile",
    "FatNotAFolder",
    "FatReadOnly",
    "FatRootFull",
    "FatSizeNotPossible",
    "FatTooLarge",
    "NotFat",
]

_CHECK: Final = "Check the volume (chkdsk /f in Windows, fsck.fat here) and try again. Nothing was changed."


class NotFat(Refused):
    """The bytes are no FAT volume."""

    id = "not-fat"
    sentence = "{where} holds no FAT volume: {why}"
    advice = "Name a volume formatted with FAT32, FAT16 or FAT12."


class ExFat(Unsupported):
    """Another file system than its name lets hope."""

    id = "exfat"
    sentence = "{where} is an exFAT volume, from which neither firmware nor Windows' boot manager starts"
    advice = "Format the system partition with FAT32 or NTFS."


class FatDirty(Refused):
    """The volume was not unmounted, or had errors."""

    id = "fat-dirty"
    sentence = "{where} is marked as needing a check: it was not unmounted by the system that used it last"
    advice = _CHECK


class FatDamaged(Damaged):
    """A structure of the volume is not sound. `path` is the file or folder concerned, the volume's root if none."""

    id = "fat-damaged"
    sentence = "{where} is damaged at {path}: {why}"
    advice = _CHECK


class FatTooLarge(Unsupported):
    """More clusters than a system partition ever has."""

    id = "fat-too-large"
    sentence = "{where} is too large to be written: it has {clusters} clusters"
    advice = "Use a smaller system partition, or one with larger clusters."


class FatFull(Refused, HostError):
    """No clusters left on the volume."""

    id = "fat-full"
    sentence = "{where} has no room: {needed:size} are needed, and {free:size} are free"
    advice = "Remove what is not needed there; nothing was changed."


class FatRootFull(HostError):
    """The root folder of FAT12 and FAT16 has a fixed size; any folder has at most 65,536 entries."""

    id = "fat-folder-full"
    sentence = "the folder {path} of {where} has no room for another name"
    advice = "Remove files from it, or put them into other folders; nothing was changed."


class FatNotAFile(Refused):
    """A folder, where a file is needed."""

    id = "fat-not-a-file"
    sentence = "{path} of {where} is a folder"


class FatNotAFolder(Refused):
    """A file, where a folder is needed."""

    id = "fat-not-a-folder"
    sentence = "{path} of {where} is not a folder"


class FatFolderNotEmpty(Refused):
    """A folder that is to go still has entries."""

    id = "fat-folder-not-empty"
    sentence = "{path} of {where} is not empty"


class FatNameNotPossible(Refused):
    """No name for a file."""

    id = "fat-name-not-possible"
    sentence = "{name!r} cannot name a file: {why}"


class FatFileTooLarge(Refused):
    """More than FAT can say of a file's size, or than is held in memory."""

    id = "fat-file-too-large"
    sentence = "{path} of {where} has {size} bytes, too many to be read or written here"


class FatSizeNotPossible(Refused):
    """A size, cluster size or label that no FAT volume has."""

    id = "fat-size-not-possible"
    sentence = "a FAT volume of {size} bytes cannot be made: {why}"


class FatReadOnly(Internal):
    """A change was asked of a volume opened for reading."""

    id = "fat-read-only"
    sentence = "{where} was opened for reading only"


class FatClosed(Internal):
    """A change failed half-way, or the volume was closed."""

    id = "fat-closed"
    sentence = "{where} cannot be changed any more"
