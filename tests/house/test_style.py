"""What the style guide promises and a program can check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sources import PACKAGE, compiled, documents, each, functions, modules, parsed, relative, test_modules

MODULE_LINES, FUNCTION_LINES, LINE_LENGTH = 400, 60, 120
COMPILED_LINES = 560  # a pass over a million rows keeps its inner functions in one C file, to have them inlined
EMPTY_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|base|misc|manager|stuff)(_|$)")
WRITING = {"write_text", "write_bytes", "symlink_to", "hardlink_to"}
DOORS = ("storage/",)


@pytest.fixture(autouse=True, scope="module")
def forget() -> Iterator[None]:
    """The trees of all modules are 190 MB, which the tests that come later would keep, and search for garbage."""
    yield
    parsed.cache_clear()


@each([*modules(), *compiled(), *test_modules()])
def test_modules_and_functions_stay_small(path: Path) -> None:
    """One idea a module: at most 400 lines, and 60 a function."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= (COMPILED_LINES if path.suffix == ".pyx" else MODULE_LINES)
    long = [f"{name}: {length} lines" for name, length in functions(path) if length > FUNCTION_LINES]
    assert not long, long


@each([*compiled(), *sorted(PACKAGE.rglob("*.pxd")), *documents()])
def test_lines_are_short(path: Path) -> None:
    """At most 120 characters also where ruff does not look, in Cython and in documents; rows of tables apart."""
    lines = path.read_text(encoding="utf-8").splitlines()
    long = [number for number, line in enumerate(lines, 1) if len(line) > LINE_LENGTH and not line.startswith("|")]
    assert not long, f"lines {long}"


@each([*modules(), *compiled(), *test_modules()])
def test_names_of_modules_say_what_is_in_them(path: Path) -> None:
    """No module is called after what every module is."""
    assert not EMPTY_NAMES.search(path.stem)


@each(modules())
def test_exports_are_listed(path: Path) -> None:
    """`__all__` names what is there, once; whoever defines something public has one."""
    tree = parsed(path)
    listed = _listed(tree)
    defined, imported = _defined(tree)
    if listed is None:
        assert path.name == "__main__.py" or not {name for name in defined if name[0] != "_"}, "no __all__"
        return
    assert set(listed) <= defined | imported, set(listed) - defined - imported
    assert len(listed) == len(set(listed))


def test_what_others_import_is_listed() -> None:
    """A name that another module takes stands in the `__all__` of the module that defines it."""
    exports = {"wimboot." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts): _listed(parsed(path))
               for path in modules()}
    strays = [f"{relative(path)}: {node.module}.{alias.name}"
              for path in modules() for node in ast.walk(parsed(path)) if isinstance(node, ast.ImportFrom)
              for alias in node.names if alias.name not in (exports.get(node.module or "") or [alias.name])]
    assert not strays, strays


def _listed(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return [str(name) for name in ast.literal_eval(node.value)]
    return None


def _defined(tree: ast.Module) -> tuple[set[str], set[str]]:
    defined: set[str] = set()
    imported: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                defined |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            defined.add(node.target.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imported |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return defined - {"__all__"}, imported


@each(modules())
def test_docstrings_stand_where_others_look(path: Path) -> None:
    """Each module, public class and public function says what it is."""
    tree = parsed(path)
    if tree.body:
        assert ast.get_docstring(tree), "the module"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


@each(test_modules())
def test_tests_say_what_they_promise(path: Path) -> None:
    """Each test has its promise in a sentence, and each module of tests what it is about."""
    tree = parsed(path)
    assert ast.get_docstring(tree), "the module"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and path.name.startswith("test_"):
            assert ast.get_docstring(node), node.name


def test_compiled_modules_have_types() -> None:
    """Beside each .pyx that Python imports stands the .pyi that mypy reads."""
    imported = {node.module for path in modules() for node in ast.walk(parsed(path))
                if isinstance(node, ast.ImportFrom)}
    names = {path: "wimboot." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in compiled()}
    bare = [relative(path) for path, name in names.items()
            if name in imported and not path.with_suffix(".pyi").exists()]
    assert not bare, bare


@each(modules())
def test_nothing_writes_but_through_the_doors(path: Path) -> None:
    """Only storage/ opens host files for writing, so that a test's wrapper sees every write; nobody prints."""
    place = path.relative_to(PACKAGE).as_posix()
    for node in ast.walk(parsed(path)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(
            node.func, ast.Attribute) else ""
        modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)
                 and isinstance(argument.value, str) and re.fullmatch(r"[rwxab+t]{1,3}", argument.value)]
        writes = name in WRITING or (name == "open" and any(set("wxa+") & set(mode) for mode in modes))
        assert not writes or place.startswith(DOORS), f"{place}:{node.lineno} writes with {name}()"
        assert name != "print" or place.startswith("cli/"), f"{place}:{node.lineno} prints"


@each(modules())
def test_environment_is_read_by_the_command_line_only(path: Path) -> None:
    """What an operation does depends on its options alone; the host's folder for scratch files is named there."""
    place = path.relative_to(PACKAGE).as_posix()
    if place.startswith(("cli/", "gui/")) or place == "storage/scratch.py":
        return
    names = {node.attr for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute)}
    assert not names & {"environ", "getenv", "putenv"}
