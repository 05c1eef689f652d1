"""The order of the folders is the path of the data: a module imports only downwards."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from sources import PACKAGE, compiled, each, modules, parsed, relative

LAYERS = [("frozen", "figures"), ("errors", "events"), ("storage",), ("formats",), ("tree",), ("disk",),
          ("wim", "ntfs", "registry", "fat"), ("windows",), ("plan",), ("ops",), ("cli",), ("gui",)]
OPS_LAYERS = [("options",), ("opening",),
              ("finding", "pointing", "checking", "browsing", "sample", "creating"),
              ("sharing", "preparing"),
              ("capturing",), ("updating", "deploying", "mending", "booting", "measuring", "ramming"), ("assembling",)]
"""Inside ops/: the verbs stand on top of all these."""
OPS_HEIGHT = {name: height for height, names in enumerate(OPS_LAYERS) for name in names}
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
ABOVE_ALL = ("__init__", "__main__")


def layer(parts: tuple[str, ...]) -> str:
    """The folder, or module, right below the package."""
    return parts[0].removesuffix(".py").removesuffix(".pyx").removesuffix(".pxd")


def imports(path: Path) -> Iterator[tuple[str, ...]]:
    """The parts after `wimboot.` of everything that `path` imports or cimports from the package."""
    if path.suffix == ".py":
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom):
                assert not node.level, f"{relative(path)}: imports are written in full"
                yield from _parts(node.module or "", [alias.name for alias in node.names])
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    yield from _parts(alias.name, [])
        return
    for match in re.finditer(r"^\s*(?:from|cimport|import) +(wimboot[\w.]*)(?: +c?import +(.*))?",
                             path.read_text(encoding="utf-8"), re.MULTILINE):
        yield from _parts(match[1], re.findall(r"\w+", match[2] or ""))


def _parts(module: str, names: list[str]) -> Iterator[tuple[str, ...]]:
    if module == "wimboot":
        yield from ((name,) for name in names)
    elif module.startswith("wimboot."):
        parts = tuple(module.split(".")[1:])
        yield from ((*parts, name) for name in names or [""])


@each([*modules(), *compiled(), *sorted(PACKAGE.rglob("*.pxd"))])
def test_imports_lead_downwards(path: Path) -> None:
    """gui, cli, ops, plan, windows; wim, ntfs, registry, fat; disk, tree, formats, storage; errors, events; and frozen
    and figures.
    """
    here = layer(path.relative_to(PACKAGE).parts)
    if here in ABOVE_ALL:
        return
    assert here in HEIGHT, f"{here} is in no layer"
    for target in imports(path):
        there = layer(target)
        if there == here or there.startswith("__"):
            continue
        assert there in HEIGHT, f"{relative(path)} imports wimboot.{there}, which is in no layer"
        assert HEIGHT[there] < HEIGHT[here], f"{relative(path)}: {here}/ may not import {there}/, which is not below it"


@each(sorted((PACKAGE / "ops").glob("*/*.py")))
def test_what_verbs_share_stands_below_them(path: Path) -> None:
    """In ops/ a folder imports no verb, and only folders below its own."""
    here = path.parent.name
    for target in imports(path):
        if target[0] == "ops" and target[1] != here:
            assert OPS_HEIGHT.get(target[1], 99) < OPS_HEIGHT[here], f"{relative(path)} imports {'.'.join(target)}"


@each(modules())
def test_private_modules_stay_inside_their_package(path: Path) -> None:
    """A name with a leading underscore is imported only by its own folder."""
    here = layer(path.relative_to(PACKAGE).parts)
    for target in imports(path):
        private = [part for part in target if part.startswith("_") and not part.startswith("__")]
        assert not private or layer(target) == here, f"{relative(path)} imports {'.'.join(target)}"
