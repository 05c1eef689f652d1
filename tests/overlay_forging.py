"""WimOverlay.dat as somebody else may leave it: any place, any number of sources, any of its three names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mounting import mounted
from wimboot.formats.bootdevice import FileDevice
from wimboot.formats.overlaydat import Overlay

__all__ = ["FOLDER", "forge_path", "read_overlay", "write_overlay"]

FOLDER = "System Volume Information"


def read_overlay(volume: Path, name: str = "WimOverlay.dat") -> bytes | None:
    """The bytes of one of the three files; None where it is missing."""
    with mounted(volume) as root:
        path = root / FOLDER / name
        return path.read_bytes() if path.exists() else None


def write_overlay(volume: Path, **files: bytes | None) -> None:
    """Write WimOverlay.KEY with these bytes, or remove it."""
    with mounted(volume, write=True) as root:
        for key, data in files.items():
            path = root / FOLDER / f"WimOverlay.{key}"
            if data is None:
                path.unlink()
            else:
                path.write_bytes(data)


def forge_path(volume: Path, path: str) -> None:
    """Let the volume's first data source name another path on the same partition, which no option would take."""
    data = read_overlay(volume)
    assert data is not None
    overlay = Overlay.parse(data)
    source = overlay.sources[0]
    assert isinstance(source.location, FileDevice)
    forged = overlay.replace(source.data_source_id, location=replace(source.location, path=path)).pack()
    write_overlay(volume, dat=forged, backup=forged)
