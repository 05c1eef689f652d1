r"""Where a WIM lies when Windows runs: a disk, a partition of it, a path on that volume.

Windows finds the disk by its signature or GUID and the partition by its offset or GUID, so a place is these,
never a drive letter. As text, for `--wim-place` and in what is shown:

    mbr:SIGNATURE:OFFSET:\path            signature in hexadecimal, offset in bytes (decimal, or 0x...)
    gpt:DISK-GUID:PARTITION-GUID:\path
    PLACE inside PLACE                    in a VHD: by the VHD's own signature or GUID, inside the place of the VHD file
    later                                 not known yet; `relocate` will tell

"Inside" is for a WIM in a VHD that Windows does not run from. For one in the VHD that holds the system itself the
place is the one in the VHD alone.

"Later" is written as a GPT place whose two GUIDs are zero. No disk has them, so a Windows started too early
finds no WIM (0xC000046E), and no other disk can be taken for it; `info` and `verify` recognise it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from wimboot.errors import UsageError
from wimboot.formats.bootdevice import Device, FileDevice, PartitionDevice, PartitionStyle, VhdDevice
from wimboot.formats.guid import NIL, BadGuid, guid_text, parse_guid
from wimboot.formats.names import MAX_NAME_UNITS, MAX_PATH_UNITS, NOT_IN_NAMES, encode_name, join_path, split_path
from wimboot.frozen import Frozen

__all__ = ["BadPlace", "WimPlace", "told_place"]

SECTOR_SIZE: Final = 512
_PARTS: Final = 3
_ANY_CASE: Final = re.IGNORECASE | re.DOTALL | re.ASCII
_MBR: Final = re.compile(r"mbr:(?:0x)?([0-9a-f]{1,8}):(0x[0-9a-f]{1,16}|[0-9]{1,19}):(.*)", _ANY_CASE)
_GPT: Final = re.compile(r"gpt:([^:\\/]*):([^:\\/]*):(.*)", _ANY_CASE)
_INSIDE: Final = re.compile(r"(.*) inside ((?:mbr|gpt):.*)", _ANY_CASE)


class BadPlace(UsageError):
    """`--wim-place` does not say a place."""

    id = "bad-wim-place"
    sentence = "'{text}' is not a place for a WIM: {why}"
    advice = (
        "Give mbr:SIGNATURE:OFFSET:\\path (the disk's signature in hexadecimal, the byte where the partition "
        "begins), gpt:DISK-GUID:PARTITION-GUID:\\path, one of these in a VHD as 'PLACE inside PLACE', or later. "
        "`wimboot info DISK` shows these of a disk."
    )


class WimPlace(Frozen):
    """A disk, a partition, a path. The ids are the 16 bytes that Windows stores."""

    style: int
    disk_id: bytes
    partition_id: bytes
    path: str
    container: WimPlace | None = None

    @classmethod
    def mbr(cls, signature: int, offset: int, path: str) -> WimPlace:
        """On an MBR disk, in the partition at byte `offset`. Raises BadPlace."""
        text = f"mbr:{signature:08x}:{offset}:{path}"
        if not 0 < signature <= 0xFFFF_FFFF:
            raise BadPlace(text=text, why="a disk's signature is a number of 32 bits and not zero")
        if not 0 < offset < 1 << 63 or offset % SECTOR_SIZE:
            raise BadPlace(text=text, why="a partition begins at a multiple of 512 bytes and not at zero")
        return cls._of(PartitionDevice.mbr(signature, offset), _checked(path, text))

    @classmethod
    def gpt(cls, disk: bytes, partition: bytes, path: str) -> WimPlace:
        """On a GPT disk; the GUIDs in their stored form. Raises BadPlace."""
        text = f"gpt:{guid_text(disk)}:{guid_text(partition)}:{path}"
        if NIL in (disk, partition):
            raise BadPlace(text=text, why="no disk and no partition has a GUID of zeros")
        return cls._of(PartitionDevice.gpt(disk, partition), _checked(path, text))

    @classmethod
    def unknown(cls, name: str = "wimboot.wim") -> WimPlace:
        """The place of a WIM called `name` of which only "later" is known."""
        return cls._of(PartitionDevice.gpt(NIL, NIL), _checked("\\" + name, "later"))

    @classmethod
    def _of(cls, partition: PartitionDevice, path: str) -> WimPlace:
        return cls(style=partition.style, disk_id=partition.disk_id, partition_id=partition.partition_id,
                   path=path)

    @classmethod
    def parse(cls, text: str, *, name: str = "wimboot.wim") -> WimPlace:
        """What the user wrote; `name` is the WIM's, for "later". Raises BadPlace."""
        if text.lower() == "later":
            return cls.unknown(name)
        if match := _INSIDE.fullmatch(text):
            return replace(cls._parse(match[1]), container=cls._parse(match[2]))
        return cls._parse(text)

    @classmethod
    def _parse(cls, text: str) -> WimPlace:
        """A place on a disk of its own."""
        if match := _MBR.fullmatch(text):
            base = 16 if match[2][:2].lower() == "0x" else 10
            return cls.mbr(int(match[1], 16), int(match[2], base), match[3])
        if match := _GPT.fullmatch(text):
            try:
                return cls.gpt(parse_guid(match[1]), parse_guid(match[2]), match[3])
            except BadGuid as error:
                raise BadPlace(text=text, why=str(error)) from error
        raise BadPlace(text=text, why=_why_no_place(text))

    @classmethod
    def of_device(cls, device: Device) -> WimPlace | None:
        """The place that a data source names; None for a form of location that is not read."""
        if not isinstance(device, FileDevice):
            return None
        parent = device.parent
        if isinstance(parent, PartitionDevice):
            return cls._of(parent, device.path)
        container = cls.of_device(parent.container) if isinstance(parent, VhdDevice) else None
        if not isinstance(parent, VhdDevice) or container is None:
            return None
        return cls(style=parent.style, disk_id=parent.disk_id, partition_id=parent.partition_id,
                   path=device.path, container=container)

    @property
    def is_later(self) -> bool:
        """Whether this says only that `relocate` will follow."""
        return (self.style, self.disk_id, self.partition_id) == (PartitionStyle.GPT, NIL, NIL)

    @property
    def device(self) -> FileDevice:
        """The form that WimOverlay.dat keeps."""
        if self.container is None:
            parent: Device = PartitionDevice(style=self.style, disk_id=self.disk_id,
                                             partition_id=self.partition_id)
        else:
            parent = VhdDevice(style=self.style, disk_id=self.disk_id, partition_id=self.partition_id,
                               container=self.container.device)
        return FileDevice(parent=parent, path=self.path)

    def __str__(self) -> str:
        """The text that `parse` reads, as far as there is one."""
        if self.is_later:
            text = "later"
        elif self.style == PartitionStyle.GPT:
            text = f"gpt:{guid_text(self.disk_id)}:{guid_text(self.partition_id)}:{self.path}"
        elif self.style == PartitionStyle.MBR:
            signature = int.from_bytes(self.disk_id[:4], "little")
            text = f"mbr:{signature:08x}:{int.from_bytes(self.partition_id[:8], 'little')}:{self.path}"
        else:
            text = f"style {self.style}:{self.disk_id.hex()}:{self.partition_id.hex()}:{self.path}"
        return text if self.container is None else f"{text} inside {self.container}"


def told_place(place: WimPlace | None, before: str) -> str:
    """A place in a sentence, `before` a place that there is ("registered at"); None is one of a form that is not read.
    """
    if place is None:
        return f"{before} a place of unknown form"
    return "its place to be decided later" if place.is_later else f"{before} {place}"


def _why_no_place(text: str) -> str:
    """What is wrong with a text of neither form, as near as can be told."""
    kind, _, rest = text.partition(":")
    parts = rest.split(":", 2)
    if kind.lower() not in ("mbr", "gpt"):
        if kind.isascii() and len(kind) == 1 and kind.isalpha() and rest:
            return "drive letters mean nothing before Windows has started: say the disk and the partition"
        return "it begins neither with mbr: nor with gpt:"
    if len(parts) < _PARTS:
        return f"after {kind.lower()}: three parts are needed, and {len(parts) if rest else 0} are there"
    if kind.lower() == "gpt":
        return f"{parts[0]!r} and {parts[1]!r} are to be the GUIDs of the disk and the partition"
    if not re.fullmatch(r"(?:0x)?[0-9a-f]{1,8}", parts[0], _ANY_CASE):
        return f"the disk's signature {parts[0]!r} is not a hexadecimal number of at most 8 digits"
    return f"the partition's first byte {parts[1]!r} is not a number"


def _checked(path: str, text: str) -> str:
    """The path with single backslashes. Raises BadPlace."""
    if path[:1] not in ("\\", "/"):
        raise BadPlace(text=text, why="the path has to begin with a backslash, without a drive letter")
    parts = split_path(path)
    if not parts or path[-1] in "\\/":
        raise BadPlace(text=text, why="the path names no file")
    for part in parts:
        if part in (".", "..") or NOT_IN_NAMES & set(part) or len(encode_name(part)) > 2 * MAX_NAME_UNITS:
            raise BadPlace(text=text, why=f"{part!r} cannot be a name on that volume")
    whole = join_path(parts)
    if len(encode_name(whole)) > 2 * MAX_PATH_UNITS:
        raise BadPlace(text=text, why="the path is too long")
    return whole
