from wimboot.tree._tree import Tree
from wimboot.tree.changes import Changes

def diff(
    old: Tree, new: Tree, ignored: bytes | bytearray | None = None, *, last_access: bool = False,
) -> Changes: ...
