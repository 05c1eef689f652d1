from wimboot.tree import Tree

class LinkGroups:
    def __init__(self, tree: Tree) -> None: ...
