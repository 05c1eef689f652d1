from array import array

from wimboot.tree._tree import Tree

class RuleSet:
    rule_count: int
    def __init__(self, rules: list[tuple[int, bool, list[bytes]]]) -> None: ...

def survey(tree: Tree, rules: RuleSet) -> tuple[bytearray, array[int], array[int]]: ...
