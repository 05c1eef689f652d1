"""Copying a file, a stream or a folder out of a volume, through pointers and out of Compact OS files, to this host."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

from wimboot.errors import UsageError
from wimboot.events import Phase
from wimboot.formats.names import encode_name
from wimboot.ops.browsing.browser import Found
from wimboot.ops.browsing.extracting import Extracted, Extraction
from wimboot.ops.browsing.hostnames import host_name
from wimboot.ops.browsing.linking import is_link, windows_text
from wimboot.ops.finding.unbacked import backed_stores
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.volume import NoSuchPath, open_volume
from wimboot.storage import host_error
from wimboot.storage.planting import HostPlanter
from wimboot.tree import ROOT, FileAttribute, StreamKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.options import ExtractOptions
    from wimboot.tree import Tree

__all__ = ["FolderToOutput", "IsLink", "NoData", "NoOutFolder", "extract"]

_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/])")


class IsLink(UsageError):
    """A symbolic link or a junction, named as what is to be extracted."""

    id = "is-link"
    sentence = "{path} is a link to {target}"
    advice = "Name what it leads to."


class FolderToOutput(UsageError):
    """A folder has no bytes."""

    id = "folder-to-output"
    sentence = "{path} is a folder, which cannot go to standard output"
    advice = "Name a folder to extract it into."


class NoData(UsageError):
    """A file or folder without such a stream."""

    id = "no-such-stream"
    sentence = "{path} has no stream {stream!r}"
    advice = "`getfattr -d` on a mounted volume lists the named streams of a file."


class NoOutFolder(UsageError):
    """The place to extract to is in no folder."""

    id = "no-out-folder"
    sentence = "there is no folder {where} to extract into"
    advice = "Make it first, or name another."


def extract(options: ExtractOptions, emit: Emit, output: Callable[[bytes | memoryview], object]) -> Extracted:
    """Extract what `options.path` names; to `output`, piece by piece, where `options.out` is None.

    What goes to `output` lacks its last piece where it turns out to be damaged. Raises NoSuchPath, IsLink, NoData,
    FolderToOutput, NoOutFolder, AlreadyThere, NotAllExtracted, what opening raises, and for a single file what reading
    and writing it does.
    """
    with (
        open_volume(options.target, emit, write=False, windows=False, inspect=True) as opened,
        backed_stores(opened, options.wim, emit) as stores,
        ExitStack() as stack,
    ):
        tree = opened.tree
        found, stream = _source(tree, options.path, opened.where)
        contents = Contents(tree, opened.device, opened.volume, stores)
        is_folder = stream < 0
        if options.out is None:
            if is_folder:
                raise FolderToOutput(path=options.path)
            return _to_output(tree, contents, stream, emit, output)
        own = _own_name(tree, found, stream)
        place, name = _place(options.out, own, into=options.into)
        planter = stack.enter_context(HostPlanter.open(place))
        run = Extraction(tree, contents, emit, replace=options.force)
        if is_folder:
            run.check_room(found.node, options.out if name is None else place / name.decode("utf-8", "surrogateescape"))
            run.folder(planter, name, found)
        else:
            run.single(planter, name or own, found, stream)
        return run.conclude(opened.where)


def _to_output(tree: Tree, contents: Contents, stream: int, emit: Emit,
               output: Callable[[bytes | memoryview], object]) -> Extracted:
    phase = Phase(name="extract", total=tree.stream(stream).size, unit="bytes")
    emit(phase)
    for piece in contents.parts(stream):
        output(piece)
        phase.counter.add(len(piece))
    return Extracted(files=1, byte_count=phase.counter.done)


def _source(tree: Tree, path: str, where: str) -> tuple[Found, int]:
    """The file or folder at a path, with the stream meant: -1 for a folder. Raises NoSuchPath, IsLink, NoData."""
    match = _DRIVE.match(path)
    plain = path if match is None else path[match.end():]
    found, name = _walk(tree, plain), ""
    if found is None and ":" in plain:
        plain, _, name = plain.rpartition(":")
        if name.upper() == "$DATA":
            plain, _, name = plain.rpartition(":")
        found = _walk(tree, plain)
    if found is None:
        raise NoSuchPath(where=where, path=path)
    for row in tree.streams_of(found.node):
        if row.kind == StreamKind.DATA and name and row.name.lower() == encode_name(name).lower():
            return found, row.index
    if name:
        raise NoData(path=plain, stream=name)
    if is_link(tree, found.node):
        raise IsLink(path=path, target=windows_text(tree, found.node).decode("utf-8", "replace"))
    if tree.attributes(found.node) & FileAttribute.DIRECTORY:
        return found, -1
    stream = tree.data_stream(found.node)
    if stream < 0:
        raise NoData(path=path, stream="")
    return found, stream


def _walk(tree: Tree, path: str) -> Found | None:
    node, names = ROOT, []
    for part in path.replace("/", "\\").split("\\"):
        if part:
            link = tree.lookup(node, encode_name(part))
            if link < 0:
                return None
            row = tree.link(link)
            node = row.node
            names.append(row.name)
    return Found(node, tuple(names))


def _own_name(tree: Tree, found: Found, stream: int) -> bytes:
    """What it is called on the host where the user does not say."""
    own = host_name(found.names[-1]) if found.names else b""
    name = tree.stream(stream).name if stream >= 0 else b""
    return own + b":" + host_name(name) if name else own


def _place(out: Path, own: bytes, *, into: bool) -> tuple[Path, bytes | None]:
    """The folder to make it in, and the name it gets there; None where the volume's root goes into an existing folder.

    Raises NoOutFolder, HostError.
    """
    if into and out.parent.is_dir():
        try:
            out.mkdir(exist_ok=True)
        except OSError as error:
            raise host_error("making the folder", out, error) from error
    if out.is_dir():
        return out, own or None
    if not out.parent.is_dir():
        raise NoOutFolder(where=str(out.parent))
    return out.parent, out.name.encode("utf-8", "surrogateescape")
