from typing import Final, NamedTuple

HOLE: Final[int]
MAX_DEPTH: Final[int]

class Extra(NamedTuple):
    object_id: bytes
    eas: bytes
    items: bytes = ...

class NodeRow(NamedTuple):
    file_id: int
    creation: int
    last_write: int
    last_access: int
    attributes: int
    security: int
    reparse_tag: int
    reparse_extra: int
    extra: int
    link_count: int

class StreamRow(NamedTuple):
    index: int
    kind: int
    flags: int
    name: bytes
    size: int
    allocated: int
    hash: bytes

class LinkRow(NamedTuple):
    parent: int
    node: int
    name: bytes
    short_name: bytes

def fold(name: bytes) -> bytes: ...

class Tree:
    node_count: int
    stream_count: int
    link_count: int
    run_count: int
    name_bytes: int
    pool_bytes: int
    securities: list[bytes]
    extras: list[Extra]
    cluster_size: int
    def index(self) -> None: ...
    def node(self, node: int) -> NodeRow: ...
    def attributes(self, node: int) -> int: ...
    def file_id(self, node: int) -> int: ...
    def stream(self, stream: int) -> StreamRow: ...
    def streams_of(self, node: int) -> list[StreamRow]: ...
    def data_stream(self, node: int) -> int: ...
    def stream_node(self, stream: int) -> int: ...
    def stream_bytes(self, stream: int) -> bytes: ...
    def stream_runs(self, stream: int) -> list[tuple[int, int]]: ...
    def set_hash(self, stream: int, hash: bytes) -> None: ...
    def link(self, link: int) -> LinkRow: ...
    def links_of(self, node: int) -> list[int]: ...
    def children(self, folder: int) -> list[int]: ...
    def lookup(self, folder: int, name: bytes) -> int: ...
    def find(self, path: str) -> int: ...
    def path(self, link: int) -> str: ...
    def add_security(self, descriptor: bytes) -> int: ...
