"""Files of a volume made on the host, one after the other; what goes wrong with one does not stop the others.

Links become links where they lead to something that is extracted with them; no link is ever followed, neither the
volume's nor one that lies where something is to be made.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Error
from wimboot.events import Note, Phase, Problem
from wimboot.formats.filetime import to_unix_ns
from wimboot.frozen import Frozen
from wimboot.ops.browsing.browser import Browser, Found
from wimboot.ops.browsing.hostnames import host_name, is_escaped
from wimboot.ops.browsing.linking import is_link, link_text
from wimboot.storage.planting import AlreadyThere
from wimboot.tree import FileAttribute, StreamFlag, StreamKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.opening.contents import Contents
    from wimboot.storage.planting import HostPlanter
    from wimboot.tree import Tree

__all__ = ["Extracted", "Extraction", "NotAllExtracted"]


class NotAllExtracted(Damaged):
    """Some files could not be extracted; they were told one by one."""

    id = "not-all-extracted"
    sentence = "{problems} files of {where} could not be extracted; {files} were"
    advice = "What could be read is there; the messages above tell about the rest."


class Extracted(Frozen):
    """What was made. `streams` counts named streams that were left out, `escaped` names that had to be changed."""

    files: int = 0
    folders: int = 0
    links: int = 0
    byte_count: int = 0
    streams: int = 0
    escaped: int = 0


class _Level:
    """A folder of the host that is being filled."""

    def __init__(self, planter: HostPlanter, found: Found, children: Iterator[int]) -> None:
        self.planter = planter
        self.found = found
        self.children = children
        self.taken: set[bytes] = set()


class Extraction:
    """One run. `replace`: files that are there may go."""

    def __init__(self, tree: Tree, contents: Contents, emit: Emit, *, replace: bool) -> None:
        self._tree = tree
        self._contents = contents
        self._emit = emit
        self._replace = replace
        self._browser = Browser(tree)
        self._phase = Phase(name="extract", unit="bytes")
        self._problems = self._files = self._folders = self._links = self._streams = self._escaped = 0
        self._leading_out: list[str] = []
        self._top: tuple[bytes, ...] = ()

    def check_room(self, folder: int, out: Path) -> None:
        """Before a folder is extracted to `out`: count the bytes, and see that nothing is there that would go.

        Raises AlreadyThere.
        """
        total, waiting, seen = 0, [(folder, out if out.is_dir() else None)], {folder}
        while waiting:
            inner, there = waiting.pop()
            for link in self._tree.children(inner):
                row = self._tree.link(link)
                place = None if there is None else there / host_name(row.name).decode("utf-8", "surrogateescape")
                if self._is_folder(row.node):
                    if row.node not in seen:
                        seen.add(row.node)
                        waiting.append((row.node, place if place is not None and _is_there(place) else None))
                    continue
                stream = self._tree.data_stream(row.node)
                total += self._tree.stream(stream).size if stream >= 0 else 0
                if place is not None and not self._replace and _is_there(place):
                    raise AlreadyThere(where=str(place))
        self._phase = Phase(name="extract", total=total, unit="bytes")

    def _is_folder(self, node: int) -> bool:
        return bool(self._tree.attributes(node) & FileAttribute.DIRECTORY) and not is_link(self._tree, node)

    def single(self, planter: HostPlanter, name: bytes, found: Found, stream: int) -> None:
        """One stream of a file as the file `name`. Raises what reading and writing it does."""
        self._phase = Phase(name="extract", total=self._tree.stream(stream).size, unit="bytes")
        self._emit(self._phase)
        self._file(planter, name, found.node, stream)

    def folder(self, planter: HostPlanter, name: bytes | None, found: Found) -> None:
        """A folder with all that is in it as the folder `name`, or, without, into `planter`'s own."""
        self._emit(self._phase)
        self._top = found.names
        top = planter if name is None else planter.folder(name)
        levels = [_Level(top, found, iter(self._tree.children(found.node)))]
        seen = {found.node}
        try:
            while levels:
                level = levels[-1]
                link = next(level.children, None)
                if link is None:
                    self._leave(levels.pop())
                    continue
                row = self._tree.link(link)
                inner = Found(row.node, (*level.found.names, row.name))
                entered = self._one(level, inner, seen)
                if entered is not None:
                    levels.append(entered)
        finally:
            for level in levels:
                level.planter.close()

    def _leave(self, level: _Level) -> None:
        row = self._tree.node(level.found.node)
        level.planter.set_times(to_unix_ns(row.last_access), to_unix_ns(row.last_write))
        self._folders += 1
        level.planter.close()

    def _one(self, level: _Level, found: Found, seen: set[int]) -> _Level | None:
        """One name in a folder; the level to go on with where it is a folder."""
        name = host_name(found.names[-1])
        try:
            if name in level.taken:
                raise _NameTwice(where=_shown(found))
            level.taken.add(name)
            kind = self._browser.kind(found.node)
            if kind == stat.S_IFDIR:
                if found.node in seen:
                    raise _FolderTwice(where=_shown(found))
                seen.add(found.node)
                inner = level.planter.folder(name)
                self._count_extras(found)
                return _Level(inner, found, iter(self._tree.children(found.node)))
            if kind == stat.S_IFLNK:
                self._link(level.planter, name, found)
            else:
                stream = self._tree.data_stream(found.node)
                if stream < 0:
                    raise _WithoutData(where=_shown(found))
                self._file(level.planter, name, found.node, stream)
            self._count_extras(found)
        except Error as error:
            self._problems += 1
            self._emit(Problem(id=error.id, where=_shown(found), text=str(error)))
        return None

    def _count_extras(self, found: Found) -> None:
        self._escaped += is_escaped(found.names[-1])
        self._streams += sum(1 for row in self._tree.streams_of(found.node) if row.kind == StreamKind.DATA and row.name)

    def _file(self, planter: HostPlanter, name: bytes, node: int, stream: int) -> None:
        row, facts = self._tree.stream(stream), self._tree.node(node)
        holes = bool(row.flags & StreamFlag.SPARSE)
        with planter.file(name, replace=self._replace) as file:
            for piece in self._contents.parts(stream):
                file.write(piece, holes=holes)
                self._phase.counter.add(len(piece))
            file.finish(to_unix_ns(facts.last_access), to_unix_ns(facts.last_write))
        self._files += 1

    def _link(self, planter: HostPlanter, name: bytes, found: Found) -> None:
        text = link_text(self._tree, found.node, found.names[:-1], top=self._top)
        if text is None:
            self._leading_out.append(_shown(found))
            return
        planter.link(name, text, replace=self._replace)
        self._links += 1

    def conclude(self, where: str) -> Extracted:
        """What was made, with notes about what was not. Raises NotAllExtracted."""
        if self._streams:
            self._emit(Note(id="streams-left-out", text=(
                f"{self._streams} named streams were left out: name one to have it (PATH:STREAM).")))
        if self._leading_out:
            self._emit(Note(id="links-left-out", text=(
                f"{len(self._leading_out):,} links were left out, for they lead out of what was extracted: "
                + ", ".join(self._leading_out[:3]) + (", ..." if len(self._leading_out) > 3 else ""))))
        if self._escaped:
            self._emit(Note(id="names-escaped", warning=True, text=(
                f"{self._escaped} names that no file of this host can have were changed: / is %2F in them.")))
        if self._problems:
            raise NotAllExtracted(where=where, problems=self._problems, files=self._files)
        return Extracted(files=self._files, folders=self._folders, links=self._links, streams=self._streams,
                         byte_count=self._phase.counter.done, escaped=self._escaped)


class _NameTwice(Damaged):
    id = "name-twice"
    sentence = "{where} is there a second time: the volume is damaged, or the names differ in what no host tells apart"


class _FolderTwice(Damaged):
    id = "folder-twice"
    sentence = "{where} is a folder that lies in several places: the volume is damaged"


class _WithoutData(Damaged):
    id = "without-data"
    sentence = "{where} is a file without data: the volume is damaged"


def _shown(found: Found) -> str:
    return "\\" + "\\".join(name.decode("utf-16-le", "surrogatepass") for name in found.names)


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()
