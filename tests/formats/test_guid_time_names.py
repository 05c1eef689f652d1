"""GUIDs, times and names: small formats, compared with Python's own and with the tree's folding."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.formats.filetime import MAX_FILETIME, UNIX_EPOCH, from_unix_ns, iso_utc, to_unix_ns
from wimboot.formats.guid import BadGuid, guid_text, parse_guid
from wimboot.formats.names import decode_name, encode_name, fold_text, join_path, name_problem, split_path
from wimboot.tree import fold

NAMES = st.text(st.characters(codec="utf-16-le"), max_size=20) | st.text(max_size=20)


@given(st.binary(min_size=16, max_size=16))
def test_a_guid_reads_as_pythons_uuid_says(raw: bytes) -> None:
    """Text both ways as uuid.UUID(bytes_le=...) has it, braces or not."""
    text = str(uuid.UUID(bytes_le=raw))
    assert guid_text(raw) == text
    assert parse_guid(text) == parse_guid(f"{{{text.upper()}}}") == raw


@given(st.text(max_size=40))
def test_what_is_no_guid_is_refused(text: str) -> None:
    """Any text is a GUID that uuid knows as well, or BadGuid."""
    try:
        raw = parse_guid(text)
    except BadGuid:
        return
    assert uuid.UUID(text.strip()).bytes_le == raw


@pytest.mark.parametrize("text", [
    "", "8e0f2c38e4ea47bab7fc9d8c74dccf0b", "8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0",
    "8e0f2c38-e4ea-47ba-b7fc-9d8c74dccfzz", "{8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b",
])
def test_a_mistyped_guid_is_named(text: str) -> None:
    """The error carries what was typed."""
    with pytest.raises(BadGuid) as caught:
        parse_guid(text)
    assert caught.value.facts == {"text": text}


@given(st.datetimes(min_value=datetime(1601, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001 - made UTC below
def test_a_time_is_shown_as_datetime_shows_it(moment: datetime) -> None:
    """All of Windows' times up to the year 9999 agree with datetime."""
    moment = moment.replace(tzinfo=UTC)
    ticks = (moment - datetime(1601, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10
    assert iso_utc(ticks) == moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0") + "0Z"


@given(st.integers(0, MAX_FILETIME))
def test_any_stored_time_can_be_shown_and_turned(ticks: int) -> None:
    """No 64 bits make it fail; nanoseconds since 1970 come back exactly."""
    assert iso_utc(ticks).endswith("Z")
    assert from_unix_ns(to_unix_ns(ticks)) == ticks


def test_the_unix_epoch_and_the_last_time_are_known() -> None:
    """Two fixed points."""
    assert iso_utc(UNIX_EPOCH) == "1970-01-01T00:00:00.0000000Z"
    assert iso_utc(MAX_FILETIME) == "60056-05-28T05:36:10.9551615Z"
    with pytest.raises(ValueError, match="outside"):
        from_unix_ns(-1 << 70)


@given(st.binary(max_size=40).filter(lambda units: len(units) % 2 == 0))
def test_any_units_survive_as_text(units: bytes) -> None:
    """Unpaired surrogates are kept."""
    assert encode_name(decode_name(units)) == units


@given(NAMES)
def test_text_folds_as_the_tree_folds_units(text: str) -> None:
    """One folding in the whole program."""
    units = text.encode("utf-16-le", "surrogatepass")
    assert encode_name(fold_text(decode_name(units))) == fold(units)


def test_case_folding_is_one_character_to_one() -> None:
    """No sharp s becomes two letters; dotless i and the micro sign stay what they are on NTFS."""
    assert fold_text("Straße\u00e9\u0131i\u00b5") == "STRAßE\u00c9\u0131I\u00b5"


@pytest.mark.parametrize(("name", "problem"), [
    ("", "empty"), (".", "above"), ("..", "above"), ("a/b", "slash"), ("a\\b", "backslash"), ("a\0", "NUL"),
    ("x" * 256, "255"), ("x" * 255, ""), ("...", ""), ("con", ""), ("a:b", ""), ("\ud800", ""),
])
def test_impossible_names_are_told_from_odd_ones(name: str, problem: str) -> None:
    """What NTFS cannot hold is refused with the reason; what only Win32 refuses is not."""
    found = name_problem(name.encode("utf-16-le", "surrogatepass"))
    assert problem in found
    assert bool(found) == bool(problem)


def test_half_a_unit_is_no_name() -> None:
    """An odd number of bytes is told before anything is decoded."""
    assert "half" in name_problem(b"abc")
    with pytest.raises(ValueError, match="two bytes"):
        decode_name(b"abc")


def test_both_slashes_part_a_path() -> None:
    """Empty components do not count."""
    assert split_path("\\Windows//System32\\") == ("Windows", "System32")
    assert split_path("\\") == ()
    assert join_path(split_path("Windows/System32")) == "\\Windows\\System32"
    assert join_path(()) == "\\"


def test_mistakes_of_callers_are_told() -> None:
    """A GUID of another length, a time of more than 64 bits."""
    with pytest.raises(ValueError, match="16 bytes"):
        guid_text(b"")
    with pytest.raises(ValueError, match="64-bit"):
        iso_utc(MAX_FILETIME + 1)
