from array import array
from typing import ClassVar

from wimboot.errors import Unsupported
from wimboot.tree import Tree

__all__ = ["NotStorable", "image_counts", "reference_columns", "references", "serialise"]

class NotStorable(Unsupported):
    id: ClassVar[str]
    sentence: ClassVar[str]
    advice: ClassVar[str]

def serialise(tree: Tree, excluded: bytes | bytearray | None = None) -> bytes: ...
def image_counts(tree: Tree, excluded: bytes | bytearray | None = None) -> tuple[int, int, int, int]: ...
def reference_columns(tree: Tree, excluded: bytes | bytearray | None = None) -> tuple[bytes, array[int]]: ...
def references(tree: Tree, excluded: bytes | bytearray | None = None) -> dict[bytes, int]: ...
