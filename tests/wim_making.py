"""WIMs made by our own writer from a dictionary of files, in memory or on the host; and what wimlib says of them."""

from __future__ import annotations

import subprocess
from array import array
from pathlib import Path

from wimboot.events import Counter
from wimboot.formats.wimxml import ImageXml
from wimboot.storage import Folder, HostFolder
from wimboot.tree import Tree
from wimboot.tree._builder import Builder
from wimboot.wim import Append, CreateOptions

__all__ = ["SAMPLES", "Source", "add_image", "applied", "contents", "make_tree", "verified", "wimlib", "write"]

SAMPLES = Path(__file__).parents[1].parent / "shared" / "samples" / "wim"


class Source:
    """A `BlobSource` over a dictionary."""

    def __init__(self, files: dict[int, bytes]) -> None:
        self.files = files
        self.reads: list[int] = []

    def in_disk_order(self, streams: array[int]) -> array[int]:
        return streams

    def fill(self, streams: array[int], first: int, buffer: bytearray) -> list[int]:
        ends: list[int] = []
        at = 0
        for stream in streams[first:]:
            data = self.files[stream]
            if at + len(data) > len(buffer):
                break
            self.reads.append(stream)
            buffer[at:at + len(data)] = data
            at += len(data)
            ends.append(at)
        return ends

    def read_into(self, stream: int, offset: int, into: memoryview) -> int:
        part = self.files[stream][offset:offset + len(into)]
        self.reads.append(stream)
        into[:len(part)] = part
        return len(part)


def make_tree(files: dict[str, bytes]) -> tuple[Tree, Source, array[int]]:
    """A flat image of these files, where their bytes come from, and their streams."""
    builder = Builder()
    contents: dict[int, bytes] = {}
    for name, data in files.items():
        node = builder.node()
        contents[builder.stream(node, size=len(data))] = data
        builder.link(0, node, name.encode("utf-16-le"))
    return builder.tree, Source(contents), array("I", contents)


def add_image(append: Append, files: dict[str, bytes], name: str, *, threads: int = 2) -> Tree:
    """Add one image of these files."""
    tree, source, streams = make_tree(files)
    append.add_streams(tree, source, streams, counter=Counter(), threads=threads)
    append.add_image(tree, ImageXml(name=name))
    return tree


def write(folder: Folder, name: str, files: dict[str, bytes], *, image: str = "one",
          create: CreateOptions | None = None) -> None:
    """Make or extend a WIM by one image."""
    with Append(folder, name, create=create or CreateOptions(), where=name) as append:
        add_image(append, files, image)
        append.finish()


def wimlib(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run wimlib-imagex."""
    return subprocess.run(["wimlib-imagex", *map(str, arguments)], capture_output=True, text=True, check=False,
                          timeout=120)


def verified(path: Path) -> bool:
    """Whether wimlib reads every blob of it right."""
    return wimlib("verify", path).returncode == 0


def applied(path: Path, image: int, into: Path) -> dict[str, bytes]:
    """The files of an image as wimlib extracts them."""
    done = wimlib("apply", path, str(image), into)
    assert done.returncode == 0, done.stderr
    return contents(into)


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a flat folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def host(path: Path) -> HostFolder:
    """The folder of a path."""
    return HostFolder(path.parent)
