r"""The control sets of a SYSTEM hive: `Select\Default` names the one that the next start uses.

Offline there is no CurrentControlSet. What a start needs is written into every set: Windows 7 starts from
LastKnownGood on F8.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wimboot.registry.hive import Node

__all__ = ["control_sets"]

_NAME = re.compile(r"controlset(\d{3})", re.ASCII | re.IGNORECASE)


def control_sets(root: Node) -> list[tuple[int, Node]]:
    """(number, key) of each control set, the default one first; empty where the hive is no SYSTEM."""
    found = {int(match[1]): node for node in root.children() if (match := _NAME.fullmatch(node.name))}
    select = root.child("Select")
    default = None
    if select is not None:
        default = select.number("Default") or select.number("Current")
    return sorted(found.items(), key=lambda item: (item[0] != default, item[0]))
