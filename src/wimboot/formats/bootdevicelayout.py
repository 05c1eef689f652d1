r"""BOOT_ENVIRONMENT_DEVICE: where boot loader and overlay filter look for a disk, a partition, a file.

The same structure stands in WimOverlay.dat (as "entry_2") and, after 16 bytes of a GUID, in the device
elements of a BCD store. Facts: [D] public disassembly of wof.sys, [S] real BCD stores. Little-endian.

    offset size  field
    0x00   4     device type       0 block I/O, 5 boot, 6 partition, 8 locate, others                 [S]
    0x04   4     flags             1 unspecified, 2 force FVE, 4 parent signature invalid, 8 VHD in a RAM disk
    0x08   4     size              of the whole structure
    0x0C   4     padding           0
    0x10   -     by type

Partition (type 6, size 0x48) and VHD (type 6, size 0x38 + L):

    0x10   16    partition id      MBR: u64 offset in bytes, u64 0. GPT: the partition's unique GUID  [S][D]
    0x20   4     parent type       0 hard disk; 6 VHD, the form with the container behind it
    0x24   4     partition style   1 MBR, 0 GPT, 2 none
    0x28   16    disk id           MBR: u32 signature, zeros. GPT: the disk's GUID
    0x38   16    reserved, 0       VHD: instead, to the end, the FILE device (L bytes) of the container

File (type 0, size 0x20 + parent + path):

    0x10   4     block I/O type    5
    0x14   4     file path version 1
    0x18   4     file path length  size - 0x14
    0x1C   4     file path type    5
    0x20   -     parent            the device that holds the file
    -      -     path              UTF-16LE with NUL, `\dir\file`, no drive letter

RAM disk (type 0, flags 1): an image that the boot manager loads                                  [S]

    0x10   4     block I/O type    3
    0x14   20    image base u64, image size u64, image offset u32; zeros
    0x28   12    file path         version 1, length (size - 0x28), type 5
    0x34   -     parent, path      as in a file

Virtual disk (type 0): all of a VHD, without a word on its partitions                             [S]

    0x10   4     block I/O type    6
    0x14   20    zeros
    0x28   -     FILE device of the VHD

Locate (type 8): the first partition that holds a file of a certain path                          [S]

    0x10   4     kind              0 the path that an element of the same object holds, 1 the one here
    0x14   4     element           0x12000002, 0x22000002; 0 with kind 1
    0x18   4     parent offset     where to look; 0: everywhere
    0x1C   -     path              UTF-16LE with NUL; empty with kind 0
    -      -     parent            a virtual disk; not aligned

`bootdevice` has the values, `bootdeviceread` reads them.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

__all__ = [
    "DISK_SIZE", "FILE", "FILE_SIZE", "HEADER", "LOCATE", "LOCATE_SIZE", "PARTITION", "PARTITION_SIZE", "RAMDISK",
    "RAMDISK_SIZE", "VHD_SIZE", "BlockType", "DeviceType",
]

HEADER: Final = Struct("<IIII")
PARTITION: Final = Struct("<16sII16s")
FILE: Final = Struct("<IIII")
RAMDISK: Final = Struct("<IQQIIII")
LOCATE: Final = Struct("<III")
PARTITION_SIZE: Final = 0x48
VHD_SIZE: Final = 0x38
FILE_SIZE: Final = 0x20
RAMDISK_SIZE: Final = 0x34
DISK_SIZE: Final = 0x28
LOCATE_SIZE: Final = 0x1C


class DeviceType(IntEnum):
    """The types read here; others occur and are kept."""

    BLOCK_IO = 0
    BOOT = 5
    PARTITION = 6
    LOCATE = 8


class BlockType(IntEnum):
    """What a block I/O device is, and a partition's parent."""

    HARD_DISK = 0
    RAM_DISK = 3
    FILE = 5
    VHD = 6
