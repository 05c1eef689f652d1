"""What a system's registry says, read by regipy; and systems made otherwise before a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mounting import carve, copy_sparse, mounted
from registry_hives import Keys, edited

__all__ = ["HIVE", "WOFADK_VALUES", "edit_system", "keys_of", "said", "values_of"]

HIVE = "Windows/System32/config/SYSTEM"

WOFADK_VALUES = {
    "Description": "WofAdk Mini-Filter Driver", "DisplayName": "WofAdk", "ErrorControl": 1,
    "Group": "FSFilter Compression", "Start": 0, "SupportedFeatures": 3, "Type": 2, "DebugFlags": 0, "AutoAttach": 1,
    "Tag": 2, "DependOnService": ["FltMgr"], "ImagePath": "\\SystemRoot\\System32\\drivers\\wofadk.sys",
}
"""As the ADK's own WofAdk.hiv has them."""


def edit_system(volume: Path, keys: Keys, offset: int = 0) -> None:
    """Set values in SYSTEM; of a disk's volume in a copy, which is put back."""
    inner = carve(volume, offset, volume.with_suffix(".volume")) if offset else volume
    with mounted(inner, write=True) as root:
        data = edited((root / HIVE).read_bytes(), keys)
        (root / HIVE).write_bytes(data)
    if offset:
        copy_sparse(inner, volume, target_offset=offset)
        inner.unlink()


def said(volume: Path, scratch: Path, offset: int = 0) -> Any:
    """SYSTEM as regipy reads it."""
    registry = pytest.importorskip("regipy.registry")
    with mounted(volume, offset=offset) as root:
        scratch.write_bytes((root / HIVE).read_bytes())
    return registry.RegistryHive(str(scratch))


def values_of(hive: Any, key: str) -> dict[str, Any]:
    """The values of a key; none where there is no such key."""
    from regipy.exceptions import RegistryKeyNotFoundException

    try:
        return {value.name: value.value for value in hive.get_key(key).iter_values()}
    except RegistryKeyNotFoundException:
        return {}


def keys_of(hive: Any) -> set[str]:
    """Every key, in lower case."""
    return {entry.path.lower() for entry in hive.recurse_subkeys()}
