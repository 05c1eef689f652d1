"""The project's own files, for the tests that read them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

__all__ = [
    "PACKAGE", "REPOSITORY", "compiled", "documents", "each", "functions", "modules", "parsed", "relative",
    "test_modules",
]

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "src" / "wimboot"


def modules() -> list[Path]:
    """Every Python module of the product."""
    return sorted(PACKAGE.rglob("*.py"))


def compiled() -> list[Path]:
    """Every Cython module of the product."""
    return sorted(PACKAGE.rglob("*.pyx"))


def documents() -> list[Path]:
    """What people read: README, CHANGELOG, docs/."""
    return sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").iterdir()])


def test_modules() -> list[Path]:
    """Every module of the tests and benchmarks."""
    return sorted([*(REPOSITORY / "tests").rglob("*.py"), *(REPOSITORY / "benchmarks").rglob("*.py")])


test_modules.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def relative(path: Path) -> str:
    """For messages and names of cases."""
    return path.relative_to(REPOSITORY).as_posix()


def each(paths: list[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """Make one test of what is asserted of each module, and tell all that fail: thousands of tests as short as that
    take pytest longer to start and to report than to run.
    """
    def made(check: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            wrong = []
            for path in paths:
                try:
                    check(path)
                except AssertionError as error:
                    wrong.append(f"{relative(path)}: {error}")
            assert paths, "there are none"
            assert not wrong, "\n".join(wrong)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test
    return made


@cache
def parsed(path: Path) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length in lines of each function of a Python or Cython module."""
    if path.suffix == ".py":
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    starts = [(number, match) for number, line in enumerate(lines)
              if (match := re.match(r"( *)(?:def|cdef|cpdef)\b(?! +class)[^=]*?(\w+)\(", line))]
    for number, match in starts:
        end = number + 1
        while end < len(lines) and (not lines[end].strip() or lines[end].startswith(match[1] + " ")
                                    or lines[end].lstrip().startswith((")", "#"))):
            end += 1
        while not lines[end - 1].strip():
            end -= 1
        yield match[2], end - number
