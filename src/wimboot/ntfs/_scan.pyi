from wimboot.ntfs.facts import VolumeFacts as VolumeFacts
from wimboot.ntfs.facts import cluster_bitmap as cluster_bitmap
from wimboot.ntfs.facts import volume_facts as volume_facts
from wimboot.ntfs.problems import DamagedVolume as DamagedVolume
from wimboot.ntfs.problems import VolumeTooLarge as VolumeTooLarge
from wimboot.storage._device import Device
from wimboot.tree._tree import Tree

__all__ = ["DamagedVolume", "VolumeFacts", "VolumeTooLarge", "cluster_bitmap", "scan", "volume_facts"]

def scan(device: Device) -> Tree: ...
