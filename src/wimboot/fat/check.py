"""A look at the whole volume before it is changed: what is not sound is not written to.

Every folder is read and every chain followed. A cluster that two files claim, a chain that leads in a circle, out of
the volume or to a free cluster, a file with fewer clusters than bytes, a name that a folder has twice: each is refused
with the name of the file. Clusters that nobody claims are nobody's harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from wimboot.fat.folder import Folder
from wimboot.fat.refusals import FatDamaged
from wimboot.formats.fatboot import FatKind
from wimboot.formats.names import fold_text

if TYPE_CHECKING:
    from wimboot.fat.folder import Listed
    from wimboot.fat.table import Fat
    from wimboot.formats.fatboot import FatBoot
    from wimboot.storage import Device, File

__all__ = ["check_volume", "file_clusters"]

_DEEPEST: Final = 128


def check_volume(device: Device | File, boot: FatBoot, fat: Fat, where: str) -> None:
    """Raises FatDamaged for the first thing that is not sound."""
    owned = bytearray(boot.cluster_count + 2)
    root = boot.root_cluster if boot.kind is FatKind.FAT32 else 0
    waiting = [(root, "", 0)]
    while waiting:
        first, path, depth = waiting.pop()
        if depth > _DEEPEST:
            _damaged(where, path, f"folders lie more than {_DEEPEST} deep")
        folder = Folder(device, boot, fat, first, path=path or "\\", where=where)
        _claim(owned, folder.clusters, path or "\\", where)
        names: set[str] = set()
        for listed in folder:
            inner = f"{path}\\{listed.name}"
            for name in {fold_text(listed.name), fold_text(listed.short_name)}:
                if name in names:
                    _damaged(where, inner, "its folder has that name twice")
                names.add(name)
            if listed.entry.is_folder:
                if not listed.cluster:
                    _damaged(where, inner, "a folder without clusters")
                waiting.append((listed.cluster, inner, depth + 1))
            else:
                _claim(owned, file_clusters(fat, boot, listed, inner, where), inner, where)


def file_clusters(fat: Fat, boot: FatBoot, listed: Listed, path: str, where: str) -> list[int]:
    """All clusters of a file. Raises FatDamaged where they are too few."""
    needed = -(-listed.entry.size // boot.cluster_size)
    if not listed.cluster and not needed:
        return []
    clusters = fat.chain(listed.cluster, path, boot.cluster_count + 1)
    if len(clusters) < needed:
        _damaged(where, path, f"it has {listed.entry.size:,} bytes, and {len(clusters):,} clusters for them")
    return clusters


def _claim(owned: bytearray, clusters: list[int], path: str, where: str) -> None:
    for cluster in clusters:
        if owned[cluster]:
            _damaged(where, path, f"cluster {cluster} belongs to another file too")
        owned[cluster] = 1


def _damaged(where: str, path: str, why: str) -> NoReturn:
    raise FatDamaged(where=where, path=path, why=why)
