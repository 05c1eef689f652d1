"""The folder of a plan drawn as a tree: what would come, what changes, what stays."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wimboot.ops.assembling.planned import Planned
    from wimboot.ops.deploy import Deployed

__all__ = ["folder_tree"]

_BOOT_FILES = frozenset({"bootmgr", "bootnxt", "boot", "efi", "grldr", "grldr.mbr"})
"""What `boot` writes, and the folders that it writes into."""
_MOST_OTHERS = 8
"""Of files that are not in the plan so many are shown in a folder."""


@dataclass(slots=True)
class _Node:
    """A file or folder; `note` is what is said of it."""

    note: str = ""
    below: dict[str, _Node] = field(default_factory=dict)


def folder_tree(done: Deployed) -> list[str]:
    """The lines of the tree."""
    planned, root = done.planned, _Node()
    store = planned.declared.store
    coming = f", {len(done.brought)} to come" if done.brought else ""
    _put(root, store.wim, f"the store{coming}")
    if store.spare is not None:
        _put(root, store.spare, "spare copy of the store" + (", would be written" if done.spare_written else ""))
    for one in done.systems:
        wish = one.step.wish
        if wish.file is not None:
            _put(root, wish.file, f"{wish.name}: {one.step.action.value}, image {one.step.number}")
    for ram in done.rams:
        made = ram.step.wish.ram
        if made is not None:
            _put(root, made.file, f"{ram.step.wish.name} in memory: {ram.step.action.value}, image {ram.step.number}")
            if made.menu is not None:
                _put(root, made.menu, "menu of grub4dos")
    _add_boot_files(root, planned)
    _add_others(root, planned.folder)
    return [str(planned.folder), *_drawn(root, "")]


def _put(root: _Node, path: tuple[str, ...], note: str) -> None:
    node = root
    for part in path:
        node = node.below.setdefault(part, _Node())
    node.note = note


def _add_boot_files(root: _Node, planned: Planned) -> None:
    """Those that are there, where the system partition is in the folder."""
    if planned.declared.boot is None:
        return
    try:
        to = Path(planned.beside(planned.declared.boot.to)).resolve()
        names = [entry.name for entry in to.iterdir() if entry.name.casefold() in _BOOT_FILES]
    except OSError:
        return      # no folder: PATH#N
    if to.is_relative_to(planned.folder):
        for name in names:
            _put(root, (*to.relative_to(planned.folder).parts, name), "boot files")


def _add_others(node: _Node, folder: Path) -> None:
    """What lies beside and is not in the plan."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return
    for name, below in node.below.items():
        if below.below:
            _add_others(below, folder / name)
    others = [name for name in names if name not in node.below]
    for name in others[:_MOST_OTHERS]:
        node.below[name] = _Node(note="not in the plan: stays")
    if len(others) > _MOST_OTHERS:
        node.below[f"({len(others) - _MOST_OTHERS:,} more)"] = _Node(note="not in the plan: stay")


def _drawn(node: _Node, indent: str) -> list[str]:
    lines = []
    entries = sorted(node.below.items(), key=lambda entry: (bool(entry[1].below), entry[0].casefold()))
    for number, (name, below) in enumerate(entries, start=1):
        last = number == len(entries)
        note = f"   {below.note}" if below.note else ""
        lines.append(f"{indent}{'└─' if last else '├─'} {name}{note}")
        lines += _drawn(below, indent + ("   " if last else "│  "))
    return lines
