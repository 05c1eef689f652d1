from array import array
from typing import Final

from wimboot.formats.blobtable import HashIndex
from wimboot.tree import Tree

NEW: Final[int]
KNOWN: Final[int]
EMPTY: Final[int]

def facts(tree: Tree, streams: array[int]) -> tuple[array[int], bytearray]: ...
def set_hashes(tree: Tree, streams: array[int], first: int, hashes: list[bytes]) -> None: ...
def fill_sizes(tree: Tree, indexes: list[HashIndex], solid_version: bool) -> list[int]: ...
