"""The bytes of a volume inside the bytes of a file: transactions, partitions, targets."""

from wimboot.disk.attached import attached_volumes, mounts_of_ntfs, origin_of
from wimboot.disk.errors import CommitUnfinished, LogDamaged, LogWaits, TargetChanged
from wimboot.disk.interrupts import DECIDED, STOPPING, uninterrupted
from wimboot.disk.log import StoreMark
from wimboot.disk.mounts import HOST, Host, Lies, Mount, PlaceUnknown, where_is
from wimboot.disk.recovery import Recovered, peek, recover
from wimboot.disk.table import BitLocker, DiskFormat, NotADisk, Partition, Table, TableKind, read_table
from wimboot.disk.target import PartitionNeeded, Place, Target, open_target, parse_place
from wimboot.disk.transaction import Transaction
from wimboot.disk.use import Mounted
from wimboot.disk.waiting import waiting_logs

__all__ = [
    "DECIDED", "HOST", "STOPPING", "BitLocker", "CommitUnfinished", "DiskFormat", "Host", "Lies", "LogDamaged",
    "LogWaits", "Mount", "Mounted", "NotADisk", "Partition", "PartitionNeeded", "Place", "PlaceUnknown", "Recovered",
    "StoreMark", "Table", "TableKind", "Target", "TargetChanged", "Transaction", "attached_volumes",
    "mounts_of_ntfs", "open_target", "origin_of", "parse_place", "peek", "read_table", "recover", "uninterrupted",
    "waiting_logs", "where_is",
]
