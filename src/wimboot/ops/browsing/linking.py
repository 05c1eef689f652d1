r"""Symbolic links and junctions as links of this host: always relative, and never out of the volume.

A target is followed by its text alone, from the volume's root, as Windows does: `..` takes back a part, case does not
matter. What it comes to is told as so many `..` as it is up to the root, then plain parts without any: whoever follows
that stays in the volume, whatever other links lie on the way. A drive letter or a volume's GUID is taken for this
volume where the path exists on it. Everything else (another drive, a share, above the root) stays what Windows calls
it, in one part, `\??\D:\data`: a link that leads nowhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.formats.linktarget import LINK_TAGS, LinkTarget
from wimboot.formats.names import encode_name
from wimboot.ops.browsing.hostnames import host_name
from wimboot.tree import ROOT, StreamKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.tree import Tree

__all__ = ["is_link", "link_text", "windows_text"]

_THIS_VOLUME = re.compile(r"^\\(?:\?\?|\\\?|DosDevices)\\(?:[A-Za-z]:|Volume\{[0-9A-Fa-f-]{36}\})(?=[\\/]|$)"
                          r"|^[A-Za-z]:(?=\\)")
_MOST = 4095


def is_link(tree: Tree, node: int) -> bool:
    """Whether the file is a symbolic link or a junction."""
    return tree.node(node).reparse_tag in LINK_TAGS


def _link_parts(tree: Tree, node: int, folder: Sequence[bytes]) -> list[bytes] | None:
    """The names, from the root, of what a link in `folder` (names from the root) leads to.

    Names are UTF-16LE. None where it leads out of the volume, or cannot be read.
    """
    target = _target(tree, node)
    if target is None:
        return None
    path, found = target.path, list(folder)
    if not target.relative:
        match = _THIS_VOLUME.match(path)
        if match is None:
            return None
        path, found = path[match.end():], []
    elif path.startswith(("\\", "/")):
        found = []
    for part in path.replace("/", "\\").split("\\"):
        if part == "..":
            if not found:
                return None
            found.pop()
        elif part not in ("", "."):
            found.append(encode_name(part))
    return _as_spelled(tree, found, must_exist=not target.relative)


def link_text(tree: Tree, node: int, folder: Sequence[bytes], *, top: Sequence[bytes] = ()) -> bytes | None:
    """What `readlink` tells of it: a relative path.

    None where it leads out of `top`, the folder that stands for the root: `windows_text` is what is left then.
    """
    parts = _link_parts(tree, node, folder)
    if parts is None or parts[:len(top)] != list(top):
        return None
    up = [b".."] * (len(folder) - len(top))
    text = b"/".join(up + [host_name(part) for part in parts[len(top):]]) or b"."
    return text if len(text) <= _MOST else None


def windows_text(tree: Tree, node: int) -> bytes:
    """The target as Windows calls it, as one part that leads nowhere."""
    target = _target(tree, node)
    text = "" if target is None else target.path.replace("/", "\\")
    return host_name(encode_name(text.encode("utf-8", "replace").decode() or "unreadable link"))[:_MOST]


def _target(tree: Tree, node: int) -> LinkTarget | None:
    for row in tree.streams_of(node):
        if row.kind == StreamKind.REPARSE:
            try:
                return LinkTarget.parse(tree.node(node).reparse_tag, tree.stream_bytes(row.index))
            except FormatError:
                return None
    return None


def _as_spelled(tree: Tree, parts: list[bytes], *, must_exist: bool) -> list[bytes] | None:
    """The parts as the volume spells them, as far as they are there."""
    spelled: list[bytes] = []
    folder = ROOT
    for part in parts:
        link = tree.lookup(folder, part) if folder >= 0 else -1
        if link < 0:
            if must_exist:
                return None
            folder = -1
            spelled.append(part)
            continue
        row = tree.link(link)
        spelled.append(row.name)
        folder = row.node
    return spelled
