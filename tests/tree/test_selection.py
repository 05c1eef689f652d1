"""Selection by the lists: the known cases, wimlib as judge, and the compiled walk against its slow twin."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plain_tree import tree_of
from selection_twin import explain_path
from wimboot.formats.ini import CaptureList, Pattern
from wimboot.tree import Tree
from wimboot.tree.selection import ListKind, Lists, Rule, select

PARTS = st.text("aB.\u00e9", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(PARTS, min_size=1, max_size=4).map(lambda parts: "\\" + "\\".join(parts))
TREES = st.lists(PATHS, min_size=1, max_size=12)
PATTERNS = st.lists(st.text("aAb.?*\u00c9", min_size=1, max_size=3), min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from(["\\" + "\\".join(parts), parts[0]]))
RULES = st.lists(st.tuples(st.sampled_from(list(ListKind)), PATTERNS), max_size=8)


def _lists(rules: Iterable[tuple[ListKind, str]]) -> Lists:
    patterns = [(kind, Pattern.parse(text)) for kind, text in rules]
    return Lists(rules=tuple(Rule(kind=kind, pattern=pattern, origin="test") for kind, pattern in patterns
                             if pattern is not None))


def _excluding(*patterns: str, exceptions: Iterable[str] = ()) -> Lists:
    return _lists([(ListKind.EXCLUSION, text) for text in patterns]
                  + [(ListKind.EXCEPTION, text) for text in exceptions])


def _kept(tree: Tree, lists: Lists) -> set[str]:
    excluded = select(tree, lists).excluded
    return {tree.path(link) for link in range(1, tree.link_count) if not excluded[link]}


def _real(path: str, pattern: str) -> bool:
    """Whether the pattern keeps the file real, by both ways of asking."""
    lists = _lists([(ListKind.REAL, pattern)])
    tree = tree_of([path])
    alone = explain_path(path, lists).real_by is not None
    assert (select(tree, lists).real(tree.find(path)) is not None) == alone
    return alone


@pytest.mark.parametrize(("pattern", "path", "matches"), [
    ("\\Windows\\System32\\Config\\SYSTEM", "\\windows\\system32\\CONFIG\\System", True),
    ("\\Windows\\System32\\drivers\\*.sys", "\\Windows\\System32\\drivers", False),
    ("\\Windows\\System32\\drivers\\*.sys", "\\Windows\\System32\\drivers\\ntfs.sys", True),
    ("\\Windows\\System32\\drivers\\*.sys", "\\Windows\\System32\\drivers\\en-US\\ntfs.sys.mui", False),
    ("\\Windows\\System32\\drivers\\*.sys", "\\Windows\\System32\\drivers\\sub\\x.sys", False),
    ("\\Windows\\System32\\drivers\\*.sys", "\\Windows\\System32\\drivers\\foo.sys\\child", True),
    ("\\Boot\\*", "\\Boot\\zh-CN\\bootmgr.exe.mui", True), ("\\Boot\\*", "\\Bootx", False),
    ("\\Boot", "\\Bootx", False), ("\\Boot", "\\boot", True), ("*", "\\a\\b", True),
    ("*winload.*", "\\Windows\\System32\\winload.exe", True),
    ("*winload.*", "\\Windows\\System32\\en-US\\WINLOAD.exe.mui", True),
    ("*winload.*", "\\Windows\\winload_x\\a.dll", False), ("*winload.*", "\\winload.x\\a.dll", False),
    ("\\Windows\\System32\\config\\*", "\\Windows\\System32\\config\\systemprofile\\x", True),
    ("/Windows/Temp", "\\Windows\\Temp\\x", True), ("a?c", "\\abc", True), ("a?c", "\\ac", False),
    ("a?c", "\\a\U0001f600c", False), ("a??c", "\\a\U0001f600c", True), ("[ab]", "\\a", False),
    ("[ab]", "\\[AB]", True), ("*.*", "\\name", False), ("**a", "\\xa", True), ("\\*\\b", "\\x\\y\\b", False),
    ("\u00e4", "\\\u00c4", True), ("stra\u00dfe", "\\STRASSE", False),
])
def test_a_pattern_matches_as_the_list_format_says(pattern: str, path: str, matches: bool) -> None:
    """The specification's cases, by the walk and by the single path."""
    assert _real(path, pattern) == matches


@pytest.mark.parametrize(("lists", "paths", "kept"), [
    (_excluding("\\Windows\\Temp\\*", exceptions=["\\Windows\\Temp\\keep.txt"]),
     ["\\Windows\\Temp\\a", "\\Windows\\Temp\\keep.txt"],
     {"\\Windows", "\\Windows\\Temp", "\\Windows\\Temp\\keep.txt"}),
    (_excluding("pagefile.sys", "Temp"), ["\\Windows\\pagefile.sys", "\\Users\\Temp\\x", "\\pagefile.sys"],
     {"\\Windows", "\\Users"}),
    (_excluding("\\pagefile.sys"), ["\\Windows\\pagefile.sys", "\\pagefile.sys"],
     {"\\Windows", "\\Windows\\pagefile.sys"}),
    (_excluding("\\Windows\\*", exceptions=["\\Windows\\System32\\config\\SYSTEM"]),
     ["\\Windows\\System32\\config\\SYSTEM", "\\Windows\\System32\\config\\SAM", "\\Windows\\x", "\\y"],
     {"\\Windows", "\\Windows\\System32", "\\Windows\\System32\\config",
      "\\Windows\\System32\\config\\SYSTEM", "\\y"}),
    (_excluding("\\d", exceptions=["\\d\\e\\f"]), ["\\d\\e\\f", "\\d\\g", "\\d\\e\\h"],
     {"\\d", "\\d\\e", "\\d\\e\\f"}),
    (_excluding("\\d", exceptions=["\\d\\e\\f"]), ["\\d"], {"\\d"}),
])
def test_lists_leave_what_wimlib_leaves(lists: Lists, paths: list[str], kept: set[str]) -> None:
    """The results that wimlib showed; even a file that is called like a folder on the way is kept."""
    assert _kept(tree_of(paths), lists) == kept


def test_everything_below_an_excluded_folder_is_excluded_with_its_rule() -> None:
    """A folder takes its contents along, and explain names the folder's rule."""
    tree = tree_of(["\\a\\b\\c", "\\d"])
    selection = select(tree, _excluding("\\a"))
    out = {tree.path(link): str(rule)
           for link in range(tree.link_count) if (rule := selection.exclusion(link))}
    assert out == dict.fromkeys(["\\a", "\\a\\b", "\\a\\b\\c"], "\\a (test)")


def test_one_matching_name_makes_the_whole_file_real() -> None:
    """A hard link in the component store is the file in System32."""
    tree = tree_of([], links=[["\\WinSxS\\x_1\\f.exe", "\\Windows\\winload.exe"]])
    real_by = select(tree, _lists([(ListKind.REAL, "*winload.*")])).real_by
    assert [node for node, rule in enumerate(real_by) if rule >= 0] == [tree.find("\\WinSxS\\x_1\\f.exe")]


def test_each_name_is_excluded_by_itself() -> None:
    """A file whose one name is left out is still captured under the other."""
    tree = tree_of([], links=[["\\Temp\\f", "\\Windows\\f"]])
    assert _kept(tree, _excluding("\\Temp")) == {"\\Windows", "\\Windows\\f"}


def test_no_exception_overrides_a_forbidden_path() -> None:
    """What must never be captured is not captured, whatever a list says."""
    lists = _lists([(ListKind.FORBIDDEN, "\\pagefile.sys"), (ListKind.EXCEPTION, "*")])
    assert _kept(tree_of(["\\pagefile.sys", "\\x"]), lists) == {"\\x"}


def test_what_is_kept_does_not_revive_an_excluded_folder() -> None:
    """A kept file goes with its folder when a list leaves the folder out."""
    lists = _lists([(ListKind.KEPT, "\\Users\\*\\log"), (ListKind.EXCLUSION, "log"),
                    (ListKind.EXCLUSION, "\\Users\\b")])
    assert _kept(tree_of(["\\Users\\a\\log", "\\Users\\b\\log"]), lists) == {
        "\\Users", "\\Users\\a", "\\Users\\a\\log"}


def test_the_first_rule_in_order_is_the_one_named() -> None:
    """Absolute or relative, the earlier rule explains."""
    rules = [(ListKind.REAL, "\\a\\f"), (ListKind.REAL, "f"), (ListKind.REAL, "\\a")]
    tree = tree_of(["\\a\\f"])
    node = tree.find("\\a\\f")
    for order in (rules, rules[::-1], rules[1:] + rules[:1]):
        lists = _lists(order)
        assert select(tree, lists).real(node) == lists.rules[0] == explain_path("\\a\\f", lists).real_by


def test_no_rule_and_no_file_are_no_trouble() -> None:
    """Empty lists, an empty root, and the root itself."""
    tree = tree_of([])
    assert select(tree, Lists()).excluded == bytearray(1)
    assert select(tree, _lists([(ListKind.REAL, "*")])).real(tree.find("\\")) is None
    assert select(Tree(), Lists()).excluded == bytearray()
    assert explain_path("\\", _excluding("*")).excluded_by is None


def test_stars_without_end_take_no_time() -> None:
    """A pattern made to explode a backtracking matcher does not."""
    pattern, name = "*a" * 60 + "b", "a" * 250
    assert not _real("\\" + name, pattern)


def test_folders_in_thousands_of_levels_are_walked() -> None:
    """Depth costs no stack."""
    deep = "\\" + "\\".join("d" * 1200) + "\\f"
    assert _real(deep, "f")
    assert _kept(tree_of([deep]), _excluding("\\d\\d")) == {"\\d"}


@given(paths=TREES, rules=RULES)
def test_the_walk_and_the_single_path_agree(paths: list[str], rules: list[tuple[ListKind, str]]) -> None:
    """The compiled walk decides every name of every tree as the slow twin does, with the same rules."""
    tree, lists = tree_of(paths), _lists(rules)
    selection = select(tree, lists)
    for link in range(1, tree.link_count):
        row, path = tree.link(link), tree.path(link)
        verdict = explain_path(path, lists)
        assert selection.exclusion(link) == verdict.excluded_by
        assert selection.real(row.node) == verdict.real_by
        assert selection.excluded[link] == (verdict.excluded_by is not None)


def _captured(folder: Path, config: Path, wim: Path) -> set[str]:
    environment = os.environ | {"WIMLIB_IMAGEX_IGNORE_CASE": "1"}
    subprocess.run(["wimlib-imagex", "capture", str(folder), str(wim), f"--config={config}",
                    "--compress=none"], check=True, capture_output=True, env=environment)
    listing = subprocess.run(["wimlib-imagex", "dir", str(wim), "1"], check=True, capture_output=True,
                             text=True)
    return {line.replace("/", "\\") for line in listing.stdout.splitlines() if line != "/"}


@pytest.mark.parametrize("seed", range(12))
def test_wimlib_captures_the_same_names(seed: int, tmp_path: Path) -> None:
    """An independent program, given the same list and the same files, keeps the same names."""
    if shutil.which("wimlib-imagex") is None:
        pytest.skip("wimlib-imagex is not here")
    draw = random.Random(seed)
    names = ["a", "ab", "Temp", "x.log", "keep.txt", "sys"]
    patterns = ["a", "ab", "Temp", "*.log", "keep.*", "?", "sy*", "*", "TEMP", "K*t"]
    folder = tmp_path / "tree"
    paths = {PurePosixPath(*draw.choices(names[:4], k=draw.randint(0, 3)), draw.choice(names))
             for _ in range(60)}
    for path in sorted(paths):
        place = folder / path
        if place.exists() or any((folder / above).is_file() for above in path.parents if above.name):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("x")

    def some(most: int) -> tuple[Pattern, ...]:
        texts = [draw.choice(("\\", "\\", "")) + "\\".join(draw.choices(patterns, k=draw.randint(1, 3)))
                 for _ in range(draw.randint(1, most))]
        texts = [text if text[0] == "\\" else text.split("\\")[0] for text in texts]
        return tuple(pattern for text in texts if (pattern := Pattern.parse(text)))

    capture = CaptureList(exclusion=some(4), exception=some(3))
    config = tmp_path / "list.ini"
    config.write_bytes(capture.pack())
    lists = _excluding(*(pattern.text for pattern in capture.exclusion),
                       exceptions=[pattern.text for pattern in capture.exception])
    tree = tree_of("\\" + str(path.relative_to(folder)).replace("/", "\\") + ("\\" if path.is_dir() else "")
                   for path in sorted(folder.rglob("*")))
    assert _kept(tree, lists) == _captured(folder, config, tmp_path / "t.wim")
