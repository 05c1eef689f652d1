"""Numbers as people read them: 1,048,576."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import ClassVar

from sources import PACKAGE, each, modules, parsed
from wimboot.errors import Error, FormatError
from wimboot.ntfs.refusals import ReadTooLarge

NOUNS = "bytes|blobs|blocks|clusters|entries|files|folders|images|links|logs|pages|pairs|pointers|sectors|streams"
COUNTED = re.compile(rf"^ ([a-z]+ )?({NOUNS})\b")
PLACED = re.compile(r"\bat (byte )?$")
A_NUMBER = re.compile(r"^len\(|(^|\.|_)(count|size|offset|files|folders|links|pointers)$")
NAMED = re.compile(r"\b(algorithm|data source|image|kind|line|of version|partition) \{(?!where)\w+\}")
NOT_FOR_PEOPLE = ("ops/sample/", "storage/")
"""Names of sample files, and what tests print."""


class _Told(Error):
    sentence: ClassVar[str] = "{count} of {size:,}, {size:size}, in {code:d}, {what}"
    advice: ClassVar[str] = "--image {count}"


def test_sentences_of_errors_have_separators() -> None:
    """Without being told so; facts stay numbers, and what is to be typed stays as it is typed."""
    error = _Told(count=12345, size=1 << 20, code=10000, what=True)
    assert str(error) == "12,345 of 1,048,576, 1.05 MB, in 10000, True"
    assert (error.hint, json.dumps(error.facts["count"])) == ("--image 12345", "12345")
    assert "one piece of 5,000,000,000 bytes" in str(ReadTooLarge(where="a", file="b", size=5_000_000_000))
    assert str(FormatError("a table", 1 << 20, "no")) == "a table is not valid at byte 1,048,576: no"


@each(modules())
def test_numbers_that_name_have_no_separators(path: Path) -> None:
    """Image 2015 is called so: its sentence says {image:d}."""
    strays = [ast.unparse(node) for node in ast.walk(parsed(path)) if isinstance(node, ast.Assign)
              and ast.unparse(node.targets[0]) == "sentence" and NAMED.search(ast.unparse(node.value))]
    assert not strays, strays


@each(modules())
def test_facts_are_numbers(path: Path) -> None:
    """Not their texts: a program that reads the error's document calculates with them."""
    strays = [f"{fact.value.lineno}: {ast.unparse(fact)}" for raised in ast.walk(parsed(path))
              if isinstance(raised, ast.Raise) and isinstance(raised.exc, ast.Call) for fact in raised.exc.keywords
              if isinstance(fact.value, ast.JoinedStr) and [type(part) for part in fact.value.values] == [
                  ast.FormattedValue] and ":," in ast.unparse(fact)]
    assert not strays, strays


@each([path for path in modules() if not path.relative_to(PACKAGE).as_posix().startswith(NOT_FOR_PEOPLE)])
def test_what_is_counted_has_separators(path: Path) -> None:
    """In front of the noun, and where a byte is said to be, wherever a sentence is made by hand."""
    strays = []
    for text in (node for node in ast.walk(parsed(path)) if isinstance(node, ast.JoinedStr)):
        around = [str(part.value) if isinstance(part, ast.Constant) else "" for part in text.values]
        for before, value, after in zip(["", *around], text.values, [*around[1:], ""], strict=False):
            if (isinstance(value, ast.FormattedValue) and value.format_spec is None
                    and (COUNTED.match(after) or PLACED.search(before)) and _is_number(value.value)):
                strays.append(f"{value.lineno}: {before}{{{ast.unparse(value.value)}}}{after}")
    assert not strays, strays


@each(sorted(PACKAGE.rglob("*.pyx")))
def test_what_is_counted_in_cython_has_separators(path: Path) -> None:
    """As far as a sentence stands on one line."""
    strays = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()
              if 'f"' in line and re.search(rf"{{[^{{}}:]+}} ([a-z]+ )?({NOUNS})\b", line)]
    assert not strays, strays


def _is_number(value: ast.expr) -> bool:
    """As far as its name says so; a difference or sum of anything is one."""
    return isinstance(value, ast.BinOp) or A_NUMBER.search(ast.unparse(value)) is not None
