from wimboot.formats.blobtable import HashIndex
from wimboot.tree import Tree

def mark_pointers(
    tree: Tree, indexes: list[HashIndex], marks: list[bytearray], data_source_id: int,
) -> tuple[int, int, int, int]: ...
def mark_streams(tree: Tree, indexes: list[HashIndex], marks: list[bytearray]) -> int: ...
def tally(
    index: HashIndex, marks: list[bytearray], solid_version: bool,
) -> list[tuple[int, int, int, int, int, int]]: ...
