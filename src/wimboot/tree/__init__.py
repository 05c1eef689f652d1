"""One snapshot of a volume or an image as data, and the comparison of two."""

from wimboot.tree import _passes as passes
from wimboot.tree._behind import pointers_behind, table_hashes
from wimboot.tree._diff import diff
from wimboot.tree._tree import HOLE, Extra, LinkRow, NodeRow, StreamRow, Tree, fold
from wimboot.tree.constants import ROOT, FileAttribute, StreamFlag, StreamKind

__all__ = ["HOLE", "ROOT", "Extra", "FileAttribute", "LinkRow", "NodeRow", "StreamFlag", "StreamKind", "StreamRow",
           "Tree", "diff", "fold", "passes", "pointers_behind", "table_hashes"]
