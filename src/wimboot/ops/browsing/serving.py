"""The files of a volume as FUSE asks for them: one method an operation, each error an errno, and told once.

libfuse's threads call these methods, any number at a time. Nothing here writes.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from itertools import count
from typing import TYPE_CHECKING, NoReturn

from wimboot.errors import Error, Unsupported
from wimboot.ops.browsing.blocks import BlockReader
from wimboot.ops.opening.ranged import PlainStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wimboot.ntfs import VolumeFacts
    from wimboot.ops.browsing.blocks import Blocks
    from wimboot.ops.browsing.browser import Browser, Found
    from wimboot.ops.opening.contents import Contents

__all__ = ["Serving"]

_LARGEST_ATTRIBUTE = 64 << 10
"""XATTR_SIZE_MAX of linux/limits.h."""
_LONGEST_NAME = 3 * 255
_SEVERAL_TOLD = 1000


class _Opened:
    """A stream that is open, once or several times."""

    def __init__(self, reader: BlockReader | PlainStream) -> None:
        self.reader = reader
        self.times = 0


class Serving:
    """What FUSE is given. `tell` gets a line for each file that cannot be read, `ready` is called once mounted."""

    use_ns = True

    def __init__(self, browser: Browser, contents: Contents, blocks: Blocks, facts: VolumeFacts,
                 tell: Callable[[str], None]) -> None:
        self.ready: Callable[[], None] = lambda: None
        self.mounted = False
        self._browser = browser
        self._contents = contents
        self._blocks = blocks
        self._facts = facts
        self._tell = tell
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._streams: dict[int, _Opened] = {}
        self._handles: dict[int, int] = {}
        self._numbers = count(1)
        self._owner = {"st_uid": os.getuid(), "st_gid": os.getgid()}

    # ---- the mount as a whole

    def init(self, path: str) -> None:  # noqa: ARG002 - the binding's signatures, here and below
        """The kernel has taken the mount."""
        self.mounted = True
        self.ready()

    def statfs(self, path: str) -> dict[str, int]:  # noqa: ARG002
        """The volume's clusters."""
        facts, files = self._facts, self._browser.tree.node_count
        return {"f_bsize": facts.cluster_size, "f_frsize": facts.cluster_size, "f_blocks": facts.total_clusters,
                "f_bfree": facts.free_clusters, "f_bavail": facts.free_clusters, "f_files": files, "f_ffree": 0,
                "f_favail": 0, "f_namemax": _LONGEST_NAME}

    # ---- names

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:  # noqa: ARG002
        """As stat."""
        status = self._browser.status(self._found(path))
        return {"st_mode": status.mode, "st_ino": status.inode, "st_nlink": status.links, "st_size": status.size,
                "st_blocks": status.blocks, "st_atime": status.accessed_ns, "st_mtime": status.modified_ns,
                "st_ctime": status.modified_ns, **self._owner}

    def readdir(self, path: str, fh: int) -> Iterator[tuple[str, dict[str, int], int]]:  # noqa: ARG002
        """The names in a folder."""
        browser, found = self._browser, self._found(path)
        for name, node in ((".", found.node), ("..", found.node), *browser.children(found.node)):
            yield name, {"st_mode": browser.kind(node), "st_ino": browser.inode(node)}, 0

    def readlink(self, path: str) -> str:
        """Where a link leads."""
        found = self._found(path)
        if self._browser.kind(found.node) != stat.S_IFLNK:
            raise OSError(errno.EINVAL, path)
        return self._browser.target(found).decode("utf-8", "surrogateescape")

    def _found(self, path: str) -> Found:
        found = self._browser.find(path)
        if found is None:
            raise OSError(errno.ENOENT, path)
        return found

    # ---- contents

    def open(self, path: str, flags: int) -> int:
        """A handle for reading."""
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, path)
        stream = self._browser.tree.data_stream(self._found(path).node)
        if stream < 0:
            raise OSError(errno.EIO, path)      # only a damaged volume has a file without data
        with self._lock:
            opened = self._streams.get(stream)
        if opened is None:
            opened = _Opened(self._reader(stream, path))
        with self._lock:
            opened = self._streams.setdefault(stream, opened)
            opened.times += 1
            handle = next(self._numbers)
            self._handles[handle] = stream
        return handle

    def _reader(self, stream: int, path: str) -> BlockReader | PlainStream:
        try:
            source = self._contents.ranged(stream)
        except Error as error:
            self._refuse(path, error)
        return source if isinstance(source, PlainStream) else BlockReader(source, self._blocks, path)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """A part of an open file."""
        try:
            return self._streams[self._handles[fh]].reader.read(offset, size)
        except Error as error:
            self._refuse(path, error)

    def release(self, path: str, fh: int) -> int:  # noqa: ARG002
        """The handle is not needed any more."""
        with self._lock:
            stream = self._handles.pop(fh)
            opened = self._streams[stream]
            opened.times -= 1
            if opened.times == 0:
                del self._streams[stream]
                if isinstance(opened.reader, BlockReader):
                    opened.reader.close()
        return 0

    def _refuse(self, path: str, error: Error) -> NoReturn:
        """Tell the first time what the kernel is told as a number."""
        line = f"{path}: {error}"
        if line not in self._told and len(self._told) < _SEVERAL_TOLD:
            self._told.add(line)
            self._tell(line)
        raise OSError(_number(error), str(error)) from error

    # ---- extended attributes

    def listxattr(self, path: str) -> list[str]:
        """The named streams."""
        return self._browser.attribute_names(self._found(path).node)

    def getxattr(self, path: str, name: str, position: int = 0) -> bytes:  # noqa: ARG002
        """A named stream, or what the volume notes of the file."""
        node = self._found(path).node
        stream = self._browser.stream_of(node, name) if name.startswith("user.") else -1
        if stream >= 0:
            size = self._browser.tree.stream(stream).size
            if size > _LARGEST_ATTRIBUTE:
                raise OSError(errno.E2BIG, path)
            try:
                return bytes(self._contents.ranged(stream).read(0, size))
            except Error as error:
                self._refuse(f"{path}:{name}", error)
        value = self._browser.attribute(node, name) if name.startswith("system.ntfs_") else None
        if value is None:
            raise OSError(errno.ENODATA, path)
        return value


def _number(error: Error) -> int:
    if error.id == "file-encrypted":
        return errno.EACCES
    return errno.EOPNOTSUPP if isinstance(error, Unsupported) else errno.EIO
