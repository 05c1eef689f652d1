"""Texts that name a file inside a volume, and those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wimboot.disk.inside import BadInside, parse_inside
from wimboot.errors import Error, HostError


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A file that may be a disk."""
    path = tmp_path / "disk.img"
    path.touch()
    return path


@pytest.mark.parametrize(("text", "partition", "parts"), [
    ("#2:/WIMBOOT/x.wim", 2, ("WIMBOOT", "x.wim")),
    (":/x.wim", None, ("x.wim",)),
    ("#12:\\dir\\sub dir\\x.wim", 12, ("dir", "sub dir", "x.wim")),
    ("#1://a///b.wim", 1, ("a", "b.wim")),
    ("#1:", 1, ()),
    (":/中文/é.wim", None, ("中文", "é.wim")),
])
def test_places_inside(text: str, partition: int | None, parts: tuple[str, ...], disk: Path) -> None:
    """Volume and names are told apart; both slashes set names off; a folder is such a place too."""
    found = parse_inside(Path(f"{disk}{text}"))
    assert found is not None
    assert (found.volume.path, found.volume.partition, found.parts) == (disk, partition, parts)
    again = parse_inside(found.as_path())
    assert again == found
    if parts:
        assert parse_inside(found.as_path().parent) == found.parent


def test_what_is_on_the_host_stays_there(disk: Path) -> None:
    """Colons in names of the host, and folders whose name ends in one, mean nothing."""
    folder = disk.parent / "odd#1:"
    folder.mkdir()
    for text in (disk, disk.parent / "a:b.wim", disk.parent / "none.img:/x.wim", folder / "x.wim", f"{disk}#2",
                 f"{disk.parent}:/x.wim", "x.wim", ":/x.wim"):
        assert parse_inside(Path(text)) is None
    assert parse_inside(Path(f"{disk.parent}/none.img#1:/x.wim")) is not None


@pytest.mark.parametrize("path", [
    "..", "a/../b", ".", "a:b.wim", "x?.wim", "a*", "con\x01", "ends.", "blank ", "a" * 256])
def test_names_that_windows_cannot_hold_are_refused(path: str, disk: Path) -> None:
    """Nothing leaves the volume, and nothing is made that Windows could not open."""
    with pytest.raises(BadInside):
        parse_inside(Path(f"{disk}#1:\\{path}"))


@settings(deadline=None)
@given(st.text(max_size=40).filter(lambda text: "\0" not in text))
def test_any_text_is_a_place_or_an_error(tail: str) -> None:
    """Whatever stands behind a file: a place whose names are sane, none, or one of our errors."""
    try:
        found = parse_inside(Path(f"{__file__}{tail}"))
    except Error:
        return
    if found is not None:
        assert not {"", ".", ".."} & set(found.parts)
        assert parse_inside(found.as_path()) == found


def test_links_to_the_volume_are_followed(disk: Path) -> None:
    """The place that is noted in a log is the volume's own, whatever link it was reached by."""
    link = disk.parent / "link.img"
    link.symlink_to(disk)
    found = parse_inside(Path(f"{link}#1:/x.wim"))
    assert found is not None
    assert str(found.real()) == f"{disk.resolve()}#1:/x.wim"
    circle = disk.parent / "circle"
    circle.symlink_to(circle)
    around = parse_inside(Path(f"{circle}#1:/x.wim"))
    assert around is not None
    with pytest.raises(HostError):
        around.real()
