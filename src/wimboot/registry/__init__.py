"""Registry hives: libhivex behind names, typed values and edits that never touch the original."""

from wimboot.registry.create import new_hive
from wimboot.registry.hive import (
    Hive,
    HiveBeyondLimits,
    HiveDamaged,
    HiveHostError,
    Node,
    NotEditable,
)
from wimboot.registry.value import RegistryValue, ValueType

__all__ = [
    "Hive", "HiveBeyondLimits", "HiveDamaged", "HiveHostError", "Node", "NotEditable", "RegistryValue",
    "ValueType", "new_hive",
]
