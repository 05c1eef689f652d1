"""The working tree: an offline NTFS volume. Scanned and read from its bytes, changed through libntfs-3g."""

from wimboot.ntfs._listing import list_folder
from wimboot.ntfs._reader import Reader
from wimboot.ntfs._scan import scan
from wimboot.ntfs.facts import VolumeFacts, bad_clusters, cluster_bitmap, volume_facts
from wimboot.ntfs.format import copy_formatted, format_volume
from wimboot.ntfs.refusals import VolumeDirty
from wimboot.ntfs.volume import Volume

__all__ = [
    "Reader", "Volume", "VolumeDirty", "VolumeFacts", "bad_clusters", "cluster_bitmap", "copy_formatted",
    "format_volume", "list_folder", "scan", "volume_facts",
]
