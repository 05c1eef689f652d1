"""Bytes: the protocol, the host's files and folders, and the same for C callers."""

from wimboot.storage._device import Device, FileDevice, SliceDevice
from wimboot.storage.host import (
    HostFile,
    HostFolder,
    HostMissing,
    HostNotUsable,
    OutOfSpace,
    host_error,
    read_start,
    resolved,
)
from wimboot.storage.protocol import Data, File, Folder

__all__ = [
    "Data", "Device", "File", "FileDevice", "Folder", "HostFile", "HostFolder", "HostMissing", "HostNotUsable",
    "OutOfSpace", "SliceDevice", "host_error", "read_start", "resolved",
]
