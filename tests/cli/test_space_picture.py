"""The picture of `wimboot space`: sound XML that stands for itself, with the numbers of the JSON document."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from converted import Converted
from disk_kinds import as_kind
from mounting import copy_sparse
from running import done, refused, unchanged, wimboot
from wimboot.cli.picture import _cut, _width, draw
from wimboot.errors import HostError
from wimboot.events import silent
from wimboot.ops.measuring.picturefile import PictureInTheWay, write_picture
from wimboot.ops.space import Space, SpaceOptions, measure
from wimboot.storage import Folder, HostFolder

SVG = "{http://www.w3.org/2000/svg}"
CHINESE = "\u516d\u5341\u56db\u4f4d\u7cfb\u7edf \u4e13\u4e1a\u7248"


def parsed(text: str) -> ET.Element:
    """The document, which has to be sound XML."""
    return ET.fromstring(text)  # noqa: S314 - of our own making


@pytest.fixture(scope="module")
def shelf(converted_once: Converted, pristine_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A system in a dynamic VHD and one in a raw image on one WIM, of which one has a file of its own; one without."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / CHINESE).mkdir()
    shutil.copyfile(converted_once.wim, folder / "store.wim")
    as_kind("dynamic", converted_once.volume, folder / CHINESE / "win7", 0)
    copy_sparse(converted_once.volume, folder / "raw.img")
    done("rehydrate", folder / "raw.img", "\\Windows\\explorer.exe")
    copy_sparse(pristine_small, folder / "plain.img")
    return folder


@pytest.fixture(scope="module")
def told(shelf: Path) -> tuple[dict[str, Any], ET.Element, str]:
    """The document, and the picture of the same run: parsed, and as text."""
    out = shelf / "report.svg"
    document = done("space", shelf, "--json", "--svg", out).json
    assert document["picture"] == str(out)
    text = out.read_text(encoding="utf-8")
    return document, parsed(text), text


def bars(picture: ET.Element) -> list[tuple[str, int]]:
    """Every bar's key and number."""
    return [(one.attrib["data-what"], int(one.attrib["data-bytes"])) for one in picture.iter(f"{SVG}rect")
            if "data-what" in one.attrib]


def test_numbers_are_those_of_the_document(told: tuple[dict[str, Any], ET.Element, str]) -> None:
    """Each bar's number stands in the JSON document under its key, and none of those is missing."""
    document, picture, _ = told
    wanted: Counter[tuple[str, int]] = Counter()
    occupied = {disk["path"]: disk["occupied_bytes"] for disk in document["disks"]}
    for wim in document["wims"]:
        named = wim["named_by_volumes"]["bytes_in_wim"]
        wanted.update([("named_by_volumes.bytes_in_wim", named), ("other_bytes", wim["bytes"] - named)])
    for volume in document["volumes"]:
        wanted.update([("virtual_bytes", volume["virtual_bytes"]), ("occupied_bytes", occupied[volume["disk"]])])
        if volume["start"] is not None:
            wanted["start.host_bytes", volume["start"]["host_bytes"]] += 1
        for source in volume["sources"]:
            shared = source["bytes_in_wim"] - source["alone_bytes_in_wim"]
            own = source["alone_bytes_in_wim"]
            wanted.update([("alone_bytes_in_wim", own)] if own else [])
            wanted.update([("shared_bytes_in_wim", shared)] if shared else [])
    assert Counter(bars(picture)) == wanted
    assert len(wanted) > 8


def test_bars_are_in_proportion_and_on_the_page(told: tuple[dict[str, Any], ET.Element, str]) -> None:
    """One scale for all bars; nothing reaches beyond the page, and no text runs over what is below it."""
    _, picture, _ = told
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
    sizes = [(float(one.attrib["width"]), int(one.attrib["data-bytes"])) for one in picture.iter(f"{SVG}rect")
             if "data-what" in one.attrib]
    longest, most = max(sizes)
    assert 400 < longest < width * 0.6
    for drawn, size in sizes:
        assert drawn == pytest.approx(max(1, size * longest / most), abs=0.02)
    for one in picture.iter(f"{SVG}rect"):
        assert float(one.get("x", 0)) + float(one.attrib["width"]) <= width
        assert float(one.get("y", 0)) + float(one.attrib["height"]) <= height
    lines: dict[float, list[tuple[float, float]]] = {}
    for one in picture.iter(f"{SVG}text"):
        x, y, room = float(one.attrib["x"]), float(one.attrib["y"]), _width("".join(one.itertext()))
        begin = x - room if one.get("text-anchor") == "end" else x
        if "<title>" not in ET.tostring(one, encoding="unicode"):
            assert begin + room <= width, one.text
        lines.setdefault(y, []).append((begin, begin + room))
    rows = sorted(lines)
    assert all(below - above >= 18 for above, below in pairwise(rows))
    for texts in lines.values():
        texts.sort()
        assert all(left[1] <= right[0] for left, right in pairwise(texts))


def test_it_stands_for_itself(told: tuple[dict[str, Any], ET.Element, str]) -> None:
    """No font, script or file from elsewhere; colours for light and dark; a name for who cannot see it."""
    _, picture, text = told
    assert not re.search(r"@import|@font-face|url\(|href|<script|<image|<foreignObject", text)
    assert set(re.findall(r"https?://[^\"<\s]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme: dark" in text
    light, dark = text.split("@media", 1)
    kinds = {name for one in picture.iter() for name in one.get("class", "").split()}
    for kind in kinds - {"title", "head", "name"}:
        assert f".{kind} {{" in light, kind
        assert f".{kind} {{" in dark, kind
    assert picture.attrib["aria-label"]


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG has it."""
    def light(colour: str) -> float:
        parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_and_bars_can_be_told_from_the_page(told: tuple[dict[str, Any], ET.Element, str]) -> None:
    """Text has the contrast that WCAG asks for on light and on dark, and no bar is lost on either."""
    for part in told[2].split("</style>", 1)[0].split("@media", 1):
        colours = dict(re.findall(r"\.(\w+) \{ (?:fill|stroke|fill: none; stroke): (#[0-9a-f]{6})", part))
        for kind in ("text", "quiet"):
            assert contrast(colours[kind], colours["page"]) >= 4.5, kind
        for kind in ("seen", "own", "shared", "host", "claim", "named"):
            assert contrast(colours[kind], colours["page"]) >= 2.5, kind
        assert contrast(colours["own"], colours["shared"]) >= 1.8


def test_names_are_shown_right(told: tuple[dict[str, Any], ET.Element, str]) -> None:
    """Chinese names stand there as they are, in an encoding that is declared, with fonts that have them."""
    _, picture, text = told
    said = ["".join(one.itertext()) for one in picture.iter(f"{SVG}text")]
    assert f"{CHINESE}/win7.vhd" in said
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    assert "Microsoft YaHei" in text
    assert "sans-serif" in text


def test_long_names_are_cut_at_their_beginning() -> None:
    """What is shown fits, and ends as the name does; signs of East Asia count double."""
    name = "a folder/" * 30 + "\u7cfb\u7edf.vhd#1"
    cut = _cut(name, 300)
    assert cut.startswith("\u2026")
    assert name.endswith(cut[1:])
    assert 250 < _width(cut) <= 300
    assert _cut("short", 300) == "short"
    assert _width("\u7cfb") == pytest.approx(2 * _width("a"), rel=0.2)


@pytest.fixture
def found(shelf: Path) -> Space:
    """What was measured, for pictures of what seldom is."""
    return measure(SpaceOptions(places=(str(shelf),)), silent)


def test_names_cannot_break_the_document(found: Space) -> None:
    """Markup, quotes, control characters and unpaired surrogates in names and labels leave the XML sound."""
    for hostile in ("<script>&\"'", "\x00\x1b\x0c", "\udc80\ud800", "]]>", "\ufffe\uffff", "--><!--"):
        volume = replace(found.volumes[0], where=hostile, label=hostile)
        picture = parsed(draw(replace(found, volumes=(volume, *found.volumes[1:]))))
        assert not list(picture.iter(f"{SVG}script"))
        assert any("script" in "".join(one.itertext()) for one in picture.iter(f"{SVG}text")) == ("script" in hostile)


def test_nothing_found_is_a_picture_too() -> None:
    """No volume, no WIM: the page says so with its sums."""
    empty = Space(disks=(), volumes=(), wims=(), others=(), complete=True)
    assert bars(parsed(draw(empty))) == []


def test_a_wim_that_is_away_has_no_bar(shelf: Path, tmp_path: Path) -> None:
    """What is not known is said in words: a bar of nothing would be a guess."""
    copy_sparse(shelf / "raw.img", tmp_path / "alone.img")
    done("space", tmp_path, "--svg", tmp_path / "p.svg")
    picture = parsed((tmp_path / "p.svg").read_text(encoding="utf-8"))
    assert {what for what, _ in bars(picture)} == {"virtual_bytes", "occupied_bytes"}
    said = " ".join("".join(one.itertext()) for one in picture.iter(f"{SVG}text"))
    assert "not known" in said
    assert "was not found" in said


def test_an_older_picture_is_replaced_and_nothing_else_is(shelf: Path, tmp_path: Path) -> None:
    """Over an SVG it is drawn; over a disk, a WIM, a text, a folder or a device it is not, whatever they are called."""
    done("space", shelf, "--svg", tmp_path / "p.svg")
    before = (tmp_path / "p.svg").read_bytes()
    done("space", shelf / "plain.img", "--svg", tmp_path / "p.svg")
    assert (tmp_path / "p.svg").read_bytes() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.svg"]
    text = tmp_path / "notes.svg"
    text.write_text("my notes")
    for path in (shelf / "store.wim", shelf / "raw.img", text):
        refused("not-a-picture", 4, "space", shelf, "--svg", path, watching=(path,))
    assert wimboot("space", shelf, "--svg", tmp_path).code == 1
    refused("host-missing", 2, "space", shelf, "--svg", tmp_path / "missing" / "p.svg")
    refused("not-a-picture", 4, "space", shelf, "--svg", "/dev/null")


def test_what_was_measured_is_no_picture(tmp_path: Path) -> None:
    """A disk that begins as a picture does is an input all the same, under any of its names."""
    disk, other = tmp_path / "disk.svg", tmp_path / "linked.svg"
    disk.write_bytes(b"<svg" + bytes(1000))
    other.hardlink_to(disk)
    for name in (disk, other):
        with unchanged(disk), pytest.raises(PictureInTheWay, match="measured"):
            write_picture(name, "<svg/>", [disk])


class Failing:
    """A folder that cannot rename."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def replace(self, old: str, new: str) -> None:
        raise HostError(what="renaming", where=old, why=f"no room for {new}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._folder, name)


def test_a_picture_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    """The new one gets its name when it is whole, or never."""
    path = tmp_path / "p.svg"
    path.write_text("<svg>old</svg>")
    with unchanged(path), pytest.raises(HostError, match="no room"):
        write_picture(path, "<svg>new</svg>", [], lambda folder: Failing(HostFolder(folder)))
    write_picture(path, "<svg>new</svg>", [])
    assert path.read_text() == "<svg>new</svg>"
