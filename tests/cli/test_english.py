"""Sentences written for many, read about one."""

from __future__ import annotations

import pytest

from running import done, wimboot
from wimboot.cli.english import singular


@pytest.mark.parametrize(("many", "one"), [
    ("store.wim: 2 MB, 1 images, xpress", "store.wim: 2 MB, 1 image, xpress"),
    ("1 problems were found in a.img", "1 problem was found in a.img"),
    ("1 pointers are behind the WIM, which has grown since", "1 pointer is behind the WIM, which has grown since"),
    ("x has 1 encrypted files (\\a, ...), which go", "x has 1 encrypted file (\\a, ...), which go"),
    ("1 encrypted files stay on the volume but are NOT in the image, for only Windows can export them: \\a",
     "1 encrypted file stays on the volume but is NOT in the image, for only Windows can export it: \\a"),
    ("1 files of a have their data only in images", "1 file of a has its data only in images"),
    ("the data of 1 pointers of a, which stay as they are: x", "the data of 1 pointer of a, which stays as it is: x"),
    ("1 names removed, 3 made, 1 files' data and 2 files' properties set back",
     "1 name removed, 3 made, 1 file's data and 2 files' properties set back"),
    ("3 in 1 folders: 1 pointers, 2 full", "3 in 1 folder: 1 pointer, 2 full"),
    ("1 more files are there.", "1 more file is there."),
    ("Sound: 1 pointers.", "Sound: 1 pointer."),
    ("1 files (36.9 KB) were written", "1 file (36.9 KB) was written"),
    ("1 files of disk.img#1 have their data only in them", "1 file of disk.img#1 has its data only in it"),
    ("1 new pointers", "1 new pointer"),
    ("the WIM grew by 1 KB; 1 files became pointers; 4 KB are free again",
     "the WIM grew by 1 KB; 1 file became a pointer; 4 KB are free again"),
    ("1 files with the right data would become ordinary files.",
     "1 file with the right data would become an ordinary file."),
    ("1 pointers of m/d.img were made ordinary files", "1 pointer of m/d.img was made an ordinary file"),
    ("1 pointers of m/d.img would be made ordinary files", "1 pointer of m/d.img would be made an ordinary file"),
    ("1 files would become pointers, 3 are behind", "1 file would become a pointer, 3 are behind"),
    ("none of the 1 images of a.wim would stay", "none of the 1 image of a.wim would stay"),
    ("Data source 0 is at x; 1 pointers were brought up to date.",
     "Data source 0 is at x; 1 pointer was brought up to date."),
])
def test_one_is_said_as_one(many: str, one: str) -> None:
    """Noun, verb and pronoun go with the number."""
    assert singular(many) == one


@pytest.mark.parametrize("text", [
    "2 files are there", "1,001 files are there", "0 files are there", "21 files are there", "10 pointers",
    "image 1 lacks files", "version 1 has streams", "1 of 5 files are there", "disk.img#1 files",
    "/data/my 1 files.img is there", "/data/1 files/disk.img is there", "x/1 pointers", "2.1 files", "-1 files", "",
])
def test_all_else_stays(text: str) -> None:
    """Other numbers, and paths that look like a count, are what they were."""
    assert singular(text) == text


def test_a_clause_ends_where_the_next_thing_is_said() -> None:
    """What is said of others stays in the plural."""
    assert singular("1 files were read; 2 pointers are there") == "1 file was read; 2 pointers are there"
    assert singular("1 blobs of x are damaged. They are lost.") == "1 blob of x is damaged. They are lost."
    assert singular("1 images, 5 of which are small") == "1 image, 5 of which are small"


def test_verbs_say_it_so(converted_once: object) -> None:
    """What people read goes through it: figures, errors, notes."""
    volume, wim = converted_once.volume, converted_once.wim  # type: ignore[attr-defined]  # converted.Converted
    assert "1 image," in done("space", volume).out
    assert "of its 1 image " not in done("images", wim).out
    told = wimboot("prune", wim, "--drop", "first")
    assert "none of the 1 image of" in told.err
