"""The repository: one WIM file, many images, blobs addressed by their SHA-1."""

from wimboot.wim.append import Append
from wimboot.wim.creating import CreateOptions
from wimboot.wim.export import copy_blobs
from wimboot.wim.opening import open_store, real_path
from wimboot.wim.part import Blob
from wimboot.wim.pipeline import BlobSource
from wimboot.wim.recovery import Outcome, Recovered, recover
from wimboot.wim.store import SplitStore, Store

__all__ = [
    "Append", "Blob", "BlobSource", "CreateOptions", "Outcome", "Recovered", "SplitStore", "Store",
    "copy_blobs", "open_store", "real_path", "recover",
]
