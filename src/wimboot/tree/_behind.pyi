from array import array
from collections.abc import Callable

from wimboot.tree._tree import Tree

def pointers_behind(
    tree: Tree, templates: bytes, places: Callable[[bytearray], array[int]],
) -> tuple[array[int], bytes, bytes]: ...
def table_hashes(tree: Tree, data_source: int) -> set[bytes]: ...
