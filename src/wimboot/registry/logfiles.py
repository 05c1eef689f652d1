r"""Which files are logs of registry hives, by their names, and of which hives.

    HIVE.LOG, HIVE.LOG1, HIVE.LOG2              changes that the hive does not have yet (`formats.reglog`)
    HIVE{GUID}.TM.blf, HIVE{GUID}.TxR.blf       transactions on the hive, with containers beside them that are called
    HIVE{GUID}.*.regtrans-ms                    .TMContainer0...1.regtrans-ms, .TxR.0.regtrans-ms
    config\TxR\{GUID}.*                         the same for the hives of config that have none of their own

That the file of which a log has the name is a hive only its first four bytes tell.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from wimboot.formats.ini import Pattern
from wimboot.formats.names import decode_name, fold_text
from wimboot.frozen import Frozen
from wimboot.tree.selection import ListKind, Lists, Rule, select

if TYPE_CHECKING:
    from wimboot.tree import Tree

__all__ = ["HiveLog", "hive_logs"]

_SUFFIXES: Final = ("*.LOG", "*.LOG1", "*.LOG2", "*.blf", "*.regtrans-ms")
_CHANGES: Final = re.compile(r"(.+)\.LOG[12]?", re.IGNORECASE | re.DOTALL)
_TRANSACTIONS: Final = re.compile(
    r"(.*)\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}\.(?:.+\.)?(?:blf|regtrans-ms)", re.IGNORECASE | re.DOTALL
)
_SHARED_FOLDER: Final = "TXR"
_SHARING: Final = ("DEFAULT", "SAM", "SECURITY", "SOFTWARE", "SYSTEM")


class HiveLog(Frozen):
    """A file named like a log, and the paths at which the hives would lie whose log it is."""

    link: int
    path: str
    hives: tuple[str, ...]
    transactions: bool
    """A log of transactions: it is not what makes a hive loadable."""


def hive_logs(tree: Tree) -> list[HiveLog]:
    """Every file of a tree that has the name of a hive's log."""
    named = select(tree, _rules()).excluded
    found = (_hive_log(tree, link) for link, here in enumerate(named) if here)
    return [log for log in found if log is not None]


@cache
def _rules() -> Lists:
    patterns = (Pattern(text=text, components=(text,), absolute=False) for text in _SUFFIXES)
    return Lists(rules=tuple(Rule(kind=ListKind.EXCLUSION, pattern=pattern, origin="") for pattern in patterns))


def _hive_log(tree: Tree, link: int) -> HiveLog | None:
    name = decode_name(tree.link(link).name)
    path = tree.path(link)
    folder = path[: -len(name) - 1]
    if match := _CHANGES.fullmatch(name):
        return HiveLog(link=link, path=path, hives=(f"{folder}\\{match[1]}",), transactions=False)
    if match := _TRANSACTIONS.fullmatch(name):
        above, _, last = folder.rpartition("\\")
        if match[1]:
            return HiveLog(link=link, path=path, hives=(f"{folder}\\{match[1]}",), transactions=True)
        if fold_text(last) == _SHARED_FOLDER:
            return HiveLog(link=link, path=path, hives=tuple(f"{above}\\{hive}" for hive in _SHARING),
                           transactions=True)
    return None
