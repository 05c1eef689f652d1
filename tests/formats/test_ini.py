"""WimBootCompress.ini: what each line means, what refuses a file, real lists, laws and damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.ini import MAX_INI_SIZE, MAX_PATTERNS, CaptureList, IniError, Pattern

SHARED = Path(__file__).parents[2].parent / "shared"
TEXTS = st.text("aB?*.;#[]'\" \\/:\u00e9\U0001f600", max_size=12)


def _pattern(text: str) -> Pattern | None:
    try:
        return Pattern.parse(text)
    except IniError:
        return None


PATTERNS = st.lists(TEXTS.map(_pattern).filter(lambda pattern: pattern is not None), max_size=4).map(tuple)
LISTS = st.builds(CaptureList, exclusion=PATTERNS, exception=PATTERNS, prepopulate=PATTERNS,
                  compression_exclusion=PATTERNS, compression_folders=PATTERNS, pinning_folders=PATTERNS)


def _exclusion(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [pattern.normal for pattern in CaptureList.parse(b"[ExclusionList]\n" + data).exclusion]


@pytest.mark.parametrize(("line", "normal"), [
    ("\\Windows\\Temp", "\\Windows\\Temp"), ("/Windows/Temp", "\\Windows\\Temp"),
    ("C:\\pagefile.sys", "\\pagefile.sys"),
    ("c:/a//b\\\\", "\\a\\b"), ("\\\\a", "\\a"), ("pagefile.sys", "pagefile.sys"), ("  \t*.log \r", "*.log"),
    ("'\\a b'", "\\a b"), ('"\\a b"', "\\a b"), ("a;b", "a;b"), ("\\a ; b", "\\a ; b"),
    ("\\[a]", "\\[a]"), ("name\\", "name"),
])
def test_a_pattern_is_normalised_once(line: str, normal: str) -> None:
    """Separators, drive letters, blanks and quotes do not change what a pattern means."""
    assert _exclusion(line) == [normal]


@pytest.mark.parametrize("line", ["", "   ", "; note", "# note", "\\", "C:\\", "''", '""', "//"])
def test_lines_that_mean_nothing_add_nothing(line: str) -> None:
    """Empty lines, comments and empty patterns."""
    assert _exclusion(line) == []


@pytest.mark.parametrize("line", ["x\\y", "dir\\*.log", "C:pagefile.sys", '"C:\\x" ; y', "a/b", "\\a\0b",
                                  "'\\a\""])
def test_an_ambiguous_pattern_refuses_the_whole_list(line: str) -> None:
    """A relative pattern of several components, a drive without a root, and text behind quotes."""
    with pytest.raises(IniError) as caught:
        _exclusion(f"ok\n{line}\n")
    assert caught.value.facts["line"] == 3
    assert caught.value.id == "capture-list"


def test_sections_are_case_sensitive_and_unknown_ones_are_told() -> None:
    """A misspelt section does not act, and the user hears of it with its line."""
    found = CaptureList.parse(b"stray\n[exclusionlist]\nx\\y\n[ExclusionList]\nz\n[Other]\nq\n")
    assert [pattern.text for pattern in found.exclusion] == ["z"]
    assert list(map(str, found.warnings)) == [
        "line 2: unknown section [exclusionlist] left out", "line 6: unknown section [Other] left out"]


def test_all_sections_are_kept_in_their_place() -> None:
    """Every section that imaging tools know has its own list, also when it comes twice."""
    sections = ("ExclusionList", "ExclusionException", "PrepopulateList", "CompressionExclusionList",
                "CompressionFolderList", "PinningFolderList", "ExclusionList")
    text = "\r\n".join(f"[{section}]\r\n{name}" for section, name in zip(sections, "abcdefg", strict=True))
    found = CaptureList.parse(text.encode())
    names = [[pattern.text for pattern in patterns] for patterns in (
        found.exclusion, found.exception, found.prepopulate, found.compression_exclusion,
        found.compression_folders, found.pinning_folders)]
    assert names == [["a", "g"], ["b"], ["c"], ["d"], ["e"], ["f"]]
    assert [pattern.line for pattern in found.exclusion] == [2, 14]


@pytest.mark.parametrize(("mark", "encoding"), [
    (b"", "utf-8"), (b"\xef\xbb\xbf", "utf-8"), (b"", "utf-16-le"), (b"\xff\xfe", "utf-16-le"),
])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_each_encoding_gives_the_same_list(mark: bytes, encoding: str, end: str) -> None:
    """UTF-8 and UTF-16LE, with and without a byte order mark, CR LF or LF."""
    text = f"[ExclusionList]{end}\\Benutzer\\\u00e4\u4e2d{end}"
    found = CaptureList.parse(mark + text.encode(encoding))
    assert [pattern.normal for pattern in found.exclusion] == ["\\Benutzer\\\u00e4\u4e2d"]


@pytest.mark.parametrize("data", [
    b"[ExclusionList]\n\xff\xfe", b"\xff\xfea", b"a\0\0\xd8", bytes(MAX_INI_SIZE + 1),
])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    """Another code page, half a unit, or a file of another kind."""
    with pytest.raises(FormatError):
        CaptureList.parse(data)


def test_more_patterns_than_anybody_needs_are_refused() -> None:
    """Each pattern costs time on each file, so their number is bounded."""
    with pytest.raises(IniError, match="more than"):
        CaptureList.parse(b"[ExclusionList]\n" + b"a\n" * (MAX_PATTERNS + 1))
    with pytest.raises(IniError, match="longer"):
        Pattern.parse("a" * 40_000)


@given(LISTS)
def test_a_list_survives_writing_and_reading(capture: CaptureList) -> None:
    """parse(pack(x)) is x: quotes are added where a pattern would be read as something else."""
    again = CaptureList.parse(capture.pack())
    assert again == capture
    assert not again.warnings


@given(st.binary(max_size=200) | TEXTS.map(lambda text: f"[PrepopulateList]\n{text}\n{text}".encode()))
def test_any_bytes_are_a_list_or_a_format_error(data: bytes) -> None:
    """Nothing but FormatError, and what is read is what its written form reads as."""
    try:
        found = CaptureList.parse(data)
    except FormatError:
        return
    assert CaptureList.parse(found.pack()) == found


@pytest.mark.parametrize(("name", "prepopulate"), [("Normal", 11), ("W10X", 11), ("WimBoot", 41)])
def test_real_lists_read_whole(name: str, prepopulate: int) -> None:
    """Three lists in use: all their patterns, no warning, and the same again after writing."""
    path = SHARED / "samples" / "ini" / f"WimBootCompress-{name}.ini"
    if not path.exists():
        pytest.skip(f"the sample {path.name} is not here")
    found = CaptureList.parse(path.read_bytes())
    sizes = tuple(map(len, (found.exclusion, found.prepopulate, found.compression_folders)))
    assert sizes == (62, prepopulate, 2)
    assert not found.warnings
    assert CaptureList.parse(found.pack()) == found
