from array import array

from wimboot.tree._tree import Tree

def compare_pairs(
    old: Tree, new: Tree, pairs: array[int], last_access: bool,
) -> tuple[
    list[tuple[int, int]], list[tuple[int, int]], list[tuple[int, int]], list[tuple[int, int, int]],
]: ...
