"""Numbers as people read them: 1,048,576."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import ClassVar

import pytest

from sources import modules, parsed, relative
from wimboot.errors import Error, FormatError
from wimboot.ntfs.refusals import ReadTooLarge

COUNTED = re.compile(r"^ (bytes|blobs|blocks|clusters|entries|files|folders|images|links|pages|pointers|sectors)\b")
A_NUMBER = re.compile(r"^len\(|(^|\.|_)(count|size|offset|files|folders|links|pointers)$")
FOR_PEOPLE = ("cli", "disk", "fat", "formats", "plan", "registry", "windows")


class _Told(Error):
    sentence: ClassVar[str] = "{count} of {size:,} in {code:d}, {what}"
    advice: ClassVar[str] = "--image {count}"


def test_sentences_of_errors_have_separators() -> None:
    """Without being told so; facts stay numbers, and what is to be typed stays as it is typed."""
    error = _Told(count=12345, size=1 << 20, code=10000, what=True)
    assert str(error) == "12,345 of 1,048,576 in 10000, True"
    assert (error.hint, json.dumps(error.facts["count"])) == ("--image 12345", "12345")
    assert "one piece of 5,000,000,000 bytes" in str(ReadTooLarge(where="a", file="b", size=5_000_000_000))
    assert str(FormatError("a table", 1 << 20, "no")) == "a table is not valid at byte 1,048,576: no"


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_facts_are_numbers(path: Path) -> None:
    """Not their texts: a program that reads the error's document calculates with them."""
    strays = [f"{fact.value.lineno}: {ast.unparse(fact)}" for raised in ast.walk(parsed(path))
              if isinstance(raised, ast.Raise) and isinstance(raised.exc, ast.Call) for fact in raised.exc.keywords
              if isinstance(fact.value, ast.JoinedStr) and [type(part) for part in fact.value.values] == [
                  ast.FormattedValue] and ":," in ast.unparse(fact)]
    assert not strays, strays


@pytest.mark.parametrize("path", [path for path in modules() if relative(path).split("/")[2] in FOR_PEOPLE],
                         ids=relative)
def test_what_is_counted_has_separators(path: Path) -> None:
    """In front of the noun, wherever a sentence is made by hand."""
    strays = []
    for text in (node for node in ast.walk(parsed(path)) if isinstance(node, ast.JoinedStr)):
        for value, after in zip(text.values, text.values[1:], strict=False):
            noun = after.value if isinstance(after, ast.Constant) else ""
            if (isinstance(value, ast.FormattedValue) and value.format_spec is None and COUNTED.match(str(noun))
                    and A_NUMBER.search(ast.unparse(value.value))):
                strays.append(f"{value.lineno}: {ast.unparse(value.value)}{noun!s}")
    assert not strays, strays
