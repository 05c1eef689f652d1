"""The logs of hives that a restore replaces: they belong to the hive that goes, and go with it.

Windows replays a log into the hive beside it. A newer log beside an older hive would bring back what was to be undone,
or tear the hive; so where a hive changes, its logs are those of the image, and none where the image has none, whatever
lists and --keep say. A hive that is left alone keeps the logs that it has. A hive that equals the image's, but which
its logs make another when it is loaded, counts as changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import Error, FormatError
from wimboot.formats.regf import HEADER_SIZE, BaseBlock, is_regf
from wimboot.formats.reglog import LogsUnusable
from wimboot.ops.opening.contents import PointerUnbacked
from wimboot.registry.files import load
from wimboot.registry.logfiles import HiveLog, hive_logs
from wimboot.tree import ROOT

if TYPE_CHECKING:
    from wimboot.ops.opening.contents import Contents
    from wimboot.tree import Tree
    from wimboot.tree.changes import Changes
    from wimboot.wim import Store

__all__ = ["StaleLogs", "keep_logs"]


def keep_logs(tree: Tree, image: Tree, kept: set[int], absent: set[int]) -> None:
    """Add to what is kept the logs of kept hives.

    Args:
        tree: the volume.
        image: the image.
        kept: links of the volume.
        absent: links of the image to which the volume has nothing, and which it is not to get.
    """
    def is_kept(log: HiveLog) -> bool:
        return any(_link(tree, hive) in kept or _link(image, hive) in absent for hive in log.hives)

    kept.update([log.link for log in hive_logs(tree) if is_kept(log)])
    absent.update([log.link for log in hive_logs(image) if is_kept(log)])


class StaleLogs:
    """Looks for logs of the volume that would outlive their hives. `changes` is what would happen as it is."""

    def __init__(self, tree: Tree, image: Tree, changes: Changes, contents: Contents, store: Store) -> None:
        self._tree = tree
        self._image = image
        self._changes = changes
        self._contents = contents
        self._store = store
        self._removed = set(changes.removed_links)
        self._added = set(changes.added_links)
        self._written = {image.stream_node(stream) for stream, _ in changes.data if not image.stream(stream).name}
        self._answers: dict[str, bool] = {}

    def find(self, kept: set[int], absent: set[int]) -> set[int]:
        """Links of the volume that have to go or be restored, although they were to be left alone.

        `kept` and `absent` are those of `keep_logs`. Raises what reading a hive raises.
        """
        found = set()
        for log in hive_logs(self._tree):
            if log.link in self._removed or self._is_restored(log):
                continue
            if any(_link(self._tree, hive) in kept or _link(self._image, hive) in absent for hive in log.hives):
                continue
            if any(self._is_replaced(hive) for hive in log.hives) or (
                not log.transactions and self._loads_as_another(log.hives[0])
            ):
                found.add(log.link)
        return found

    def _is_restored(self, log: HiveLog) -> bool:
        """Whether the image has a log there too, which the volume's is made equal to."""
        node = self._image.find(log.path)
        return node >= 0 and self._changes.pairs[node] == self._tree.link(log.link).node

    def _is_replaced(self, hive: str) -> bool:
        """Whether the hive at a path is changed, made or removed."""
        if hive not in self._answers:
            old, new = _link(self._tree, hive), _link(self._image, hive)
            stays = old >= 0 and old not in self._removed
            if new < 0:
                answer = old >= 0 and not stays and self._was_hive(self._tree.link(old).node)
            elif stays:
                node = self._image.link(new).node
                kept = self._changes.pairs[node] == self._tree.link(old).node
                answer = kept and node in self._written and self._becomes_hive(node)
            else:
                answer = new in self._added and self._becomes_hive(self._image.link(new).node)
            self._answers[hive] = answer
        return self._answers[hive]

    def _was_hive(self, node: int) -> bool:
        stream = self._tree.data_stream(node)
        try:
            return stream >= 0 and is_regf(bytes(self._contents.ranged(stream).read(0, 4)))
        except Error:   # of what goes, nothing need be readable: a pointer into a WIM that is not at hand, say
            return False

    def _becomes_hive(self, node: int) -> bool:
        stream = self._image.data_stream(node)
        row = self._image.stream(stream) if stream >= 0 else None
        return row is not None and row.size > 0 and is_regf(bytes(self._store.ranged(row.hash).read(0, 4)))

    def _loads_as_another(self, hive: str) -> bool:
        """Whether logs change the hive that stays when it is loaded. The image, which lacks them, loads otherwise."""
        new = self._image.find(hive)
        node = self._tree.find(hive)
        stream = self._tree.data_stream(node) if node >= 0 else -1
        if new < 0 or stream < 0 or self._changes.pairs[new] != node:
            return False
        try:
            if not BaseBlock.parse(bytes(self._contents.ranged(stream).read(0, HEADER_SIZE))).dirty:
                return False
            loaded = load(self._contents.read_path, hive)
        except LogsUnusable:
            return True
        except (FormatError, PointerUnbacked):  # no hive, or none that Windows would load; a log that cannot be seen
            return False
        return loaded is not None and loaded.applied_entries > 0


def _link(tree: Tree, path: str) -> int:
    """The name at a path; -1 where there is none."""
    above, _, name = path.rpartition("\\")
    folder = tree.find(above) if above else ROOT
    return tree.lookup(folder, name.encode("utf-16-le", "surrogatepass")) if folder >= 0 else -1
