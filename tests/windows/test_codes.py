"""The table of error codes: every way to write one, every meaning, and what is no code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.windows.codes import Family, NotACode, UnknownCode, explain_code, parse_code
from wimboot.windows.codetable import ROWS

WIMLIB_HEADER = Path("/usr/include/wimlib.h")


@pytest.mark.parametrize("text", ["c000046e", "0xC000046E", "C000046Eh", "status=c000046e", "(status=c000046e)",
                                  "-1073740690", "3221226606", "0xD000046E", " 0xc000046e. "])
def test_one_status_is_known_however_it_is_written(text: str) -> None:
    """As Windows, wimlib, Python and C print it."""
    codes = explain_code(text)
    assert [code.name for code in codes] == ["STATUS_EXTERNAL_BACKING_PROVIDER_UNKNOWN"]
    assert codes[0].text == "0xC000046E"


@pytest.mark.parametrize("text", ["1314", "err=1314", "0x80070522", "0x522"])
def test_the_old_error_1314_is_known_in_each_form(text: str) -> None:
    """Decimal as wimlib prints it, or as an HRESULT."""
    assert [code.name for code in explain_code(text)] == ["ERROR_PRIVILEGE_NOT_HELD"]


def test_a_number_with_two_meanings_has_both() -> None:
    """50 is a Win32 error and an exit code of wimlib."""
    assert {code.family for code in explain_code("50")} == {Family.WIN32, Family.WIMLIB}
    assert {code.family for code in explain_code("13")} == {Family.WIMLIB, Family.GRUB4DOS}


@pytest.mark.parametrize("word", ["behind", "build", "disk.vhd", "dead", "each", "d", "win7.img#2", "data-in-use", "0x",
                                  "", "a-13"])
def test_a_word_is_no_code(word: str) -> None:
    """Though it ends with letters that are hexadecimal digits, or with a number; said is how codes look."""
    with pytest.raises(NotACode, match=r"is not a code$") as refusal:
        explain_code(word)
    assert (refusal.value.id, refusal.value.exit_code) == ("not-a-code", 2)
    assert "c000046e, 0xC000046E, 1314" in refusal.value.hint


@pytest.mark.parametrize("text", ["7b", "0x7B", "7bh", "STOP: 0x0000007B", "stop 0000007b"])
def test_a_short_hexadecimal_number_is_one(text: str) -> None:
    """Where it begins with a digit, as that of a blue screen does."""
    assert parse_code(text) == 0x7B


@given(st.text(max_size=20))
def test_any_text_is_a_code_or_refused(text: str) -> None:
    """Nothing but UnknownCode, and never an empty answer."""
    try:
        found = explain_code(text)
    except UnknownCode:
        return
    assert found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]:x}")
def test_each_row_is_complete_and_found(row: tuple[str, int, str, str, str]) -> None:
    """Family, name, when and advice; and the number leads to it."""
    family, number, name, when, advice = row
    assert Family[family]
    assert when.endswith(".")
    assert advice.endswith(".")
    written = f"{number:08x}" if number > 0xFFFF else str(number)
    assert parse_code(written) == number
    assert any(code.name == name for code in explain_code(written))


def test_wimlibs_numbers_are_those_of_its_header() -> None:
    """The installed header judges our table."""
    if not WIMLIB_HEADER.exists():
        pytest.skip("wimlib.h is not here")
    header = dict(re.findall(r"(WIMLIB_ERR_\w+)\s*=\s*(\d+)", WIMLIB_HEADER.read_text()))
    ours = {name: str(number) for family, number, name, _, _ in ROWS if family == "WIMLIB"}
    assert ours.items() <= header.items()
