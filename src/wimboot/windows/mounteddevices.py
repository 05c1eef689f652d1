r"""Drive letters: SYSTEM's `MountedDevices`, in which Windows keeps what volume a letter was given to.

A value `\DosDevices\C:` holds, for a partition (read from real hives of Windows 7, 8.1 and 10):

    MBR   12 bytes: u32 signature of the disk, u64 first byte of the partition
    GPT   24 bytes: "DMIO:ID:", GUID of the partition

and `\??\Volume{guid}` the same for the volume's own name. Where the volume that Windows starts from has no letter by
its entry, it gets another one, and what registry and profiles say of C:\ leads nowhere. In a VHD the entry means the
virtual disk. Two letters of the same volume confuse the mount manager.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from wimboot.registry.value import RegistryValue

if TYPE_CHECKING:
    from wimboot.registry import Node

__all__ = ["KEY", "device_of", "forget_letters", "give_letter", "gpt_device", "is_drive_entry", "mbr_device"]

KEY: Final = "MountedDevices"
_MBR: Final = struct.Struct("<IQ")
_GPT_PREFIX: Final = b"DMIO:ID:"
_LETTER: Final = "\\dosdevices\\"
_VOLUME: Final = "\\??\\volume{"


def mbr_device(signature: int, start: int) -> bytes:
    """The data of an entry for a partition of an MBR disk, `start` in bytes."""
    return _MBR.pack(signature, start)


def gpt_device(partition: bytes) -> bytes:
    """The data of an entry for a partition of a GPT disk, by the 16 bytes of its GUID as the disk has them."""
    return _GPT_PREFIX + partition


def is_drive_entry(name: str) -> bool:
    """Whether a value is an entry for a letter or for a volume's name; others belong to Windows' storage spaces."""
    return name.lower().startswith((_LETTER, _VOLUME))


def device_of(root: Node, letter: str) -> bytes | None:
    """The data of a letter's entry; None where it has none."""
    key = root.child(KEY)
    value = key.value(f"\\DosDevices\\{letter}:") if key is not None else None
    return None if value is None else value.data


def give_letter(root: Node, letter: str, device: bytes) -> None:
    """Make `letter` ("C") the one of a partition, and no other letter; volume names stay."""
    key = root.ensure(KEY)
    wanted = f"\\DosDevices\\{letter}:"
    for name, value in list(key.values()):
        if name.lower().startswith(_LETTER) and name.lower() != wanted.lower() and value.data == device:
            key.unset(name)
    key.set(wanted, RegistryValue.binary(device))


def forget_letters(root: Node) -> None:
    """Remove all letters and volume names: Windows gives C: to what it starts from, where nothing else claims it."""
    key = root.child(KEY)
    for name, _ in list(key.values()) if key is not None else ():
        if key is not None and is_drive_entry(name):
            key.unset(name)
