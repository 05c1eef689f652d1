"""The repository: one WIM file, many images, blobs addressed by their SHA-1."""

from wimboot.wim.append import Append
from wimboot.wim.creating import CreateOptions
from wimboot.wim.export import copy_blobs
from wimboot.wim.growth import grew_from, moved_since
from wimboot.wim.keeping import Kept, check_rewritable, keep_images
from wimboot.wim.opening import open_store, real_path
from wimboot.wim.part import Blob
from wimboot.wim.pipeline import BlobSource
from wimboot.wim.recovery import Outcome, Recovered, record_name, recover
from wimboot.wim.rewriting import Rewrite
from wimboot.wim.spare import Relation, Spare, same_bytes
from wimboot.wim.store import SplitStore, Store

__all__ = [
    "Append", "Blob", "BlobSource", "CreateOptions", "Kept", "Outcome", "Recovered", "Relation", "Rewrite",
    "Spare", "SplitStore", "Store", "check_rewritable", "copy_blobs", "grew_from", "keep_images", "moved_since",
    "open_store", "real_path", "record_name", "recover", "same_bytes",
]
