"""Links of a volume as links of the host: where they lead, and that none leads out."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.formats.linktarget import JUNCTION, LINUX_LINK, SYMBOLIC_LINK
from wimboot.ops.browsing.browser import Browser, Found
from wimboot.ops.browsing.hostnames import host_name, is_escaped, volume_name
from wimboot.ops.browsing.linking import link_text, windows_text
from wimboot.tree import Tree
from wimboot.tree._builder import Builder

DIRECTORY, REPARSE_KIND = 0x10, 1
FOLDERS = ("Users", "Users/Public", "Windows", "Windows/System32")


def _units(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def _tree(folder: str, tag: int, data: bytes) -> tuple[Tree, int, list[bytes]]:
    """A volume with a few folders and a link in one of them: the tree, the link's node, its folder's names."""
    builder = Builder(file_id=5)
    nodes = {"": 0}
    for path in FOLDERS:
        above, _, name = path.rpartition("/")
        nodes[path] = builder.node(attributes=DIRECTORY)
        builder.link(nodes[above], nodes[path], _units(name))
    node = builder.node(attributes=0x400, reparse_tag=tag)
    builder.stream(node, kind=REPARSE_KIND, content=data)
    builder.link(nodes[folder], node, _units("link"))
    return builder.tree, node, [_units(part) for part in folder.split("/") if part]


def _value(path: str, *, flags: int | None = None) -> bytes:
    name = _units(path)
    more = b"" if flags is None else struct.pack("<I", flags)
    return struct.pack("<HHHH", 0, len(name), len(name), 0) + more + name


def _text(folder: str, path: str, *, flags: int | None) -> bytes | None:
    tree, node, names = _tree(folder, JUNCTION if flags is None else SYMBOLIC_LINK, _value(path, flags=flags))
    return link_text(tree, node, names)


@pytest.mark.parametrize(("path", "text"), [
    ("\\??\\C:\\Users\\Public", b"../../Users/Public"), ("\\??\\c:\\USERS\\public\\", b"../../Users/Public"),
    ("\\??\\C:\\", b"../.."), ("\\??\\Volume{12345678-1234-1234-1234-123456789abc}\\Windows", b"../../Windows"),
    ("\\\\?\\C:\\Windows\\..\\Users", b"../../Users"), ("\\DosDevices\\C:\\Windows", b"../../Windows"),
    ("\\??\\D:\\Data", None), ("\\??\\C:\\..\\Users", None), ("\\??\\UNC\\server\\share", None), ("", None),
])
def test_a_junction_leads_to_this_volume_where_the_path_is_there(path: str, text: bytes | None) -> None:
    """In whatever case; as it is spelled on the volume."""
    assert _text("Windows/System32", path, flags=None) == text


@pytest.mark.parametrize(("path", "text"), [
    ("..\\..\\Users", b"../../Users"), ("x", b"../../Windows/System32/x"), ("\\Users", b"../../Users"),
    (".\\..\\SYSTEM32\\y", b"../../Windows/System32/y"), ("..\\..\\..\\etc", None), ("../../../etc/passwd", None),
    ("..\\..", b"../.."),
])
def test_a_relative_link_is_followed_from_its_folder(path: str, text: bytes | None) -> None:
    """By its text alone; above the root there is nothing."""
    assert _text("Windows/System32", path, flags=1) == text


def test_a_link_of_the_linux_subsystem_is_one() -> None:
    """Relative ones; what is absolute there is nowhere here."""
    for target, text in ((b"../Users", b"../Users"), (b"/etc/passwd", None)):
        tree, node, names = _tree("Windows", LINUX_LINK, struct.pack("<I", 2) + target)
        assert link_text(tree, node, names) == text


def test_what_leads_out_of_a_part_is_told() -> None:
    """Where only a folder is looked at, it is the root."""
    tree, node, names = _tree("Windows/System32", SYMBOLIC_LINK, _value("..\\file", flags=1))
    assert link_text(tree, node, names, top=names[:1]) == b"../file"
    assert link_text(tree, node, names, top=names) is None


PARTS = st.sampled_from(["..", ".", "", "Users", "windows", "SYSTEM32", "x", "link", "C:", "a/b", "..\\..", "\0",
                         "\ud800", "\u540d" * 250])


@given(folder=st.sampled_from(["", *FOLDERS]), parts=st.lists(PARTS, max_size=30),
       start=st.sampled_from(["", "\\", "\\??\\C:\\", "\\??\\", "/", "\\\\?\\", "C:\\"]),
       flags=st.sampled_from([None, 0, 1]))
def test_no_link_leads_out(folder: str, parts: list[str], start: str, flags: int | None) -> None:
    """Its text goes up to the root at most, and then down only; what is left of others is one plain name."""
    path = (start + "\\".join(parts))[:30_000]
    tree, node, names = _tree(folder, JUNCTION if flags is None else SYMBOLIC_LINK, _value(path, flags=flags))
    text = link_text(tree, node, names)
    if text is None:
        text = windows_text(tree, node)
        assert b"/" not in text
        assert text not in (b".", b"..", b"")
    steps = text.split(b"/")
    ups = len(steps) - len([step for step in steps if step != b".."])
    assert steps[:ups] == [b".."] * ups
    assert ups <= len(names)
    assert b"\0" not in text
    assert len(text) < 4096
    assert Browser(tree).target(Found(node, (*names, _units("link")))) == text


@given(name=st.one_of(st.text(min_size=1, max_size=255),
                      st.sampled_from([".", "..", "a/b", "\0", "\ud800x", "x\udc01"])))
def test_every_name_comes_back(name: str) -> None:
    """From the host's bytes to the volume's units, but for those that are escaped, which are safe names."""
    units = _units(name)
    shown = host_name(units)
    assert b"/" not in shown
    assert b"\0" not in shown
    assert shown not in (b".", b"..")
    if not is_escaped(units):
        assert volume_name(shown.decode("utf-8", "surrogateescape")) == units


def test_bytes_that_are_no_name_find_nothing() -> None:
    """A name that is no UTF-8 cannot be on the volume."""
    tree, _, _ = _tree("", JUNCTION, _value("x"))
    assert volume_name("\udcff") is None
    assert Browser(tree).find("/\udcff") is None
    assert Browser(tree).find("/Users/") is None
    assert Browser(tree).find("/link/x") is None


def test_a_damaged_link_leads_nowhere(tmp_path: Path) -> None:
    """And is still a link."""
    tree, node, names = _tree("", JUNCTION, b"\xff" * 12)
    assert link_text(tree, node, names) is None
    (tmp_path / "link").symlink_to(windows_text(tree, node).decode())
    assert not (tmp_path / "link").exists()
