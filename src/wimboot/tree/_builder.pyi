from collections.abc import Sequence

from wimboot.tree._tree import Tree

__all__ = ["Builder"]

class Builder:
    tree: Tree
    def __init__(
        self, cluster_size: int = 0, *, file_id: int = 0, creation: int = 0, last_write: int = 0,
        last_access: int = 0, attributes: int = 0x10, security: bytes | None = None,
        extra: tuple[bytes, ...] | None = None,
    ) -> None: ...
    def node(
        self, *, file_id: int = 0, creation: int = 0, last_write: int = 0, last_access: int = 0,
        attributes: int = 0x80, reparse_tag: int = 0, reparse_extra: int = 0, security: bytes | None = None,
        extra: tuple[bytes, ...] | None = None,
    ) -> int: ...
    def stream(
        self, node: int, *, name: bytes = b"", kind: int = 0, flags: int = 0, size: int = 0,
        allocated: int = 0, hash: bytes | None = None, content: bytes | None = None,  # noqa: A002 - a SHA-1 is a hash
        runs: Sequence[tuple[int, int]] = (),
    ) -> int: ...
    def forget(self, stream: int) -> None: ...
    def link(self, parent: int, node: int, name: bytes, short_name: bytes = b"") -> int: ...
