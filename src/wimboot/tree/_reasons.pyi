from array import array
from typing import Final

from wimboot.tree._tree import Tree

FREE: Final = 0
EXCLUDED: Final = 1
RULED: Final = 2

def real_groups(
    tree: Tree, classes: bytes | bytearray, excluded: bytes | bytearray, excluded_by: array[int],
    ruled_by: array[int], rules: int,
) -> list[tuple[int, int, int, int, int, int, int, int]]: ...
