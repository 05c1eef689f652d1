"""The bytes of a volume inside the bytes of a file: transactions, partitions, targets."""

from wimboot.disk.errors import CommitUnfinished, LogDamaged, LogWaits, TargetChanged
from wimboot.disk.log import StoreMark
from wimboot.disk.recovery import Recovered, peek, recover
from wimboot.disk.transaction import Transaction

__all__ = [
    "CommitUnfinished", "LogDamaged", "LogWaits", "Recovered", "StoreMark", "TargetChanged", "Transaction",
    "peek", "recover",
]
