"""Files in memory that share what they have in common: thousands of crash states of one disk cost what
differs.

An `Image` is the content of one file: pages of its own over a read-only `Ground`. `copy` takes the page
table, not the pages.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NoReturn, Protocol

from wimboot.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.storage.protocol import Data, File

__all__ = ["BytesGround", "FileGround", "Ground", "Image", "MemoryFile", "MemoryFolder"]

PAGE = 4096
_ZEROS = bytes(PAGE)
_CHUNK = 1 << 20


class Ground(Protocol):
    """Bytes that never change under an image."""

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes; zeros past the end."""
        ...


class BytesGround:
    """Content given as bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, offset: int, size: int) -> bytes:
        return self._data[offset:offset + size].ljust(size, b"\0")


class FileGround:
    """What a file held before it was changed: whoever changes it puts each page into `saved` first."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._size = file.size()
        self.saved: dict[int, bytes] = {}

    def save(self, offset: int, size: int) -> None:
        """Keep the pages that a write of `size` bytes at `offset` is about to change."""
        end = min(offset + size, self._size)
        if offset >= end:
            return
        for page in range(offset // PAGE, -(-end // PAGE)):
            if page not in self.saved:
                self.saved[page] = self._cut(page * PAGE, self._file.pread(page * PAGE, PAGE), PAGE)

    def close(self) -> None:
        self._file.close()

    def _cut(self, offset: int, data: bytes, size: int) -> bytes:
        return data[:max(0, self._size - offset)].ljust(size, b"\0")

    def read(self, offset: int, size: int) -> bytes:
        data = self._cut(offset, self._file.pread(offset, size), size)
        touched = [page for page in range(offset // PAGE, -(-(offset + size) // PAGE)) if page in self.saved]
        if not touched:
            return data
        out = bytearray(data)
        for page in touched:
            start, end = max(offset, page * PAGE), min(offset + size, page * PAGE + PAGE)
            out[start - offset:end - offset] = self.saved[page][start - page * PAGE:end - page * PAGE]
        return bytes(out)


class Image:
    """The content of one file, copied in no time."""

    __slots__ = ("_ground", "_ground_size", "_pages", "size")

    def __init__(self, ground: Ground | bytes = b"", size: int | None = None) -> None:
        """A file of `size` bytes over `ground`; bytes bring their own size."""
        if isinstance(ground, bytes):
            size = len(ground) if size is None else size
            ground = BytesGround(ground)
        self._ground = ground
        self.size = size or 0
        self._ground_size = self.size
        self._pages: dict[int, bytes] = {}

    def copy(self) -> Image:
        other = Image(self._ground, self.size)
        other._ground_size = self._ground_size
        other._pages = self._pages.copy()
        return other

    def read(self, offset: int, size: int) -> bytes:
        """Fewer bytes only where the file ends."""
        size = max(0, min(size, self.size - offset))
        parts = []
        end = offset + size
        while offset < end:
            page, inside = divmod(offset, PAGE)
            own = self._pages.get(page)
            if own is not None:
                parts.append(own[inside:inside + end - offset])
                offset += len(parts[-1])
                continue
            stop = page + 1
            while stop * PAGE < end and stop not in self._pages:
                stop += 1
            parts.append(self._read_ground(offset, min(end, stop * PAGE) - offset))
            offset += len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_ground(self, offset: int, size: int) -> bytes:
        kept = max(0, min(size, self._ground_size - offset))
        if not kept:
            return bytes(size)
        return self._ground.read(offset, kept).ljust(size, b"\0")

    def write(self, offset: int, data: Data) -> None:
        view = memoryview(data).cast("B")
        self.size = max(self.size, offset + len(view)) if len(view) else self.size
        while view:
            page, inside = divmod(offset, PAGE)
            part = view[:PAGE - inside]
            if len(part) == PAGE:
                self._pages[page] = bytes(part)
            else:
                old = self._pages.get(page)
                if old is None:
                    old = self._read_ground(page * PAGE, PAGE)
                self._pages[page] = b"".join((old[:inside], part, old[inside + len(part):]))
            offset += len(part)
            view = view[len(part):]

    def truncate(self, size: int) -> None:
        if size < self.size:
            for page in [page for page in self._pages if page * PAGE >= size]:
                del self._pages[page]
            self._ground_size = min(self._ground_size, size)
            page, inside = divmod(size, PAGE)
            if inside and page in self._pages:
                self._pages[page] = self._pages[page][:inside].ljust(PAGE, b"\0")
        self.size = size

    def save(self, path: Path) -> None:
        """Write the content to a host file for programs that need a path; runs of zeros become holes."""
        with path.open("wb") as out:
            zeros = bytes(_CHUNK)
            for offset in range(0, self.size, _CHUNK):
                chunk = self.read(offset, _CHUNK)
                if chunk != zeros[:len(chunk)]:
                    out.seek(offset)
                    out.write(chunk)
            out.truncate(self.size)


class MemoryFile:
    """A handle on an image; writes change it in place."""

    def __init__(self, image: Image | None = None, name: str = "a file in memory") -> None:
        self.image = Image() if image is None else image
        self.name = name

    def pread(self, offset: int, size: int) -> bytes:
        return self.image.read(offset, size)

    def pwrite(self, offset: int, data: Data) -> None:
        self.image.write(offset, data)

    def truncate(self, size: int) -> None:
        self.image.truncate(size)

    def sync(self) -> None:
        pass

    def size(self) -> int:
        return self.image.size

    def close(self) -> None:
        pass


def _fail(what: str, where: str, code: int, why: str) -> NoReturn:
    raise HostError(what=what, where=where, why=why, errno=code)


class MemoryFolder:
    """A directory in memory. Two handles of one name share its image, as on a host."""

    def __init__(self, images: dict[str, Image] | None = None, *, free: int = 1 << 40) -> None:
        self.images = {} if images is None else images
        self._free = free

    def open(self, name: str, *, write: bool = False) -> MemoryFile:  # noqa: ARG002 - the protocol's
        if name not in self.images:
            _fail("opening", name, errno.ENOENT, "No such file or directory")
        return MemoryFile(self.images[name], name)

    def create(self, name: str) -> MemoryFile:
        if name in self.images:
            _fail("creating", name, errno.EEXIST, "File exists")
        self.images[name] = Image()
        return MemoryFile(self.images[name], name)

    def replace(self, old: str, new: str) -> None:
        if old not in self.images:
            _fail("renaming", old, errno.ENOENT, "No such file or directory")
        self.images[new] = self.images.pop(old)

    def rename_new(self, old: str, new: str) -> None:
        if new in self.images:
            _fail("renaming", old, errno.EEXIST, "File exists")
        self.replace(old, new)

    def remove(self, name: str) -> None:
        if self.images.pop(name, None) is None:
            _fail("removing", name, errno.ENOENT, "No such file or directory")

    def exists(self, name: str) -> bool:
        return name in self.images

    def free_size(self) -> int:
        return self._free

    def sync(self) -> None:
        pass
