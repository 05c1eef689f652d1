"""INF files: sections, quotes, strings, and what breaks their rules."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.inf import MAX_INF_SIZE, Inf

TEXT = """; a comment
[Version]
Signature = "$Windows NT$"      ; another
Provider=%Maker%
[Manufacturer]
%Maker% = Models,,NTamd64
[models]
"A, ""quoted"" key" = Section, root\\thing , "x;y,z" ,
one, two, \\
  three
100%% sure = %12%\\x.sys
[Strings]
Maker = "Somebody & Sons"
[VERSION]
Class=SCSIAdapter
"""


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_every_part_is_read(encoding: str) -> None:
    """Names in any case, sections of one name together, quotes, commas in them, strings, continued lines."""
    inf = Inf.parse(TEXT.encode(encoding))
    assert inf.text("version", "SIGNATURE") == "$Windows NT$"
    assert inf.text("Version", "class") == "SCSIAdapter"
    assert inf.text("Version", "Provider") == "Somebody & Sons"
    assert [(line.key, line.values) for line in inf.section("Manufacturer")] == [
        ("Somebody & Sons", ("Models", "", "NTamd64"))]
    first, second, third = inf.section("Models")
    assert first.values == ("Section", "root\\thing", "x;y,z", "")
    assert (second.key, second.values) == ("", ("one", "two", "three"))
    assert (third.key, third.value(0), third.value(9)) == ("100% sure", "%12%\\x.sys", "")
    assert inf.section("none") == ()
    assert inf.text("none", "none") == ""


@pytest.mark.parametrize(("text", "problem"), [
    ("key = value\n", "before any section"), ("[open\n", "no section"), ("[]\n", "no section"),
    ("[a] b\n", "no section"),
    ('[a]\nx = "open\n', "no end"), ("[a]\nx = %none%\n", "does not have"), ("[a]\nx = 1, \\\n", "goes on"),
    ("[a]\nx = \0\n", "NUL"), ("[a]\nx = %s%\n[Strings]\ns = " + "x" * 5000, "characters"),
    ("; " + "x" * MAX_INF_SIZE, "bytes"),
], ids=["early", "open", "empty", "behind", "quote", "string", "continued", "nul", "long", "huge"])
def test_what_breaks_the_rules_is_refused(text: str, problem: str) -> None:
    """With the number of the line."""
    with pytest.raises(FormatError, match=problem):
        Inf.parse(text.encode())


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=300), st.text(alphabet='[]="%;,\\\n abS', max_size=200).map(str.encode)))
def test_any_bytes_raise_format_error_only(data: bytes) -> None:
    """A file of a user may be anything."""
    with contextlib.suppress(FormatError):
        Inf.parse(data)
