"""Trees row by row from Python: small ones, such as tests and plans by hand need. Scans and images fill C rows."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from wimboot.tree._tree cimport COMPACT, HASHED, POINTER, RESIDENT, ROOT, Link, Node, Stream, Tree

from wimboot.tree._tree import Extra

__all__ = ["Builder"]


cdef class Builder:
    """Fills `tree`. Row 0 of nodes and links is the root folder. A node's streams are added before the next node's."""

    cdef readonly Tree tree

    def __init__(self, uint32_t cluster_size=0, **root):
        self.tree = Tree()
        self.tree.cluster_size = cluster_size
        self.node(**{"attributes": 0x10, **root})
        self.tree.add_link(ROOT, ROOT)

    def node(self, *, uint64_t file_id=0, uint64_t creation=0, uint64_t last_write=0, uint64_t last_access=0,
             uint32_t attributes=0x80, uint32_t reparse_tag=0, uint32_t reparse_extra=0, bytes security=None,
             extra=None):
        """Add a file or folder; its index."""
        cdef uint32_t row = self.tree.add_node()
        cdef Node *n = &self.tree.nodes[row]
        n.file_id = file_id
        n.creation = creation
        n.last_write = last_write
        n.last_access = last_access
        n.attributes = attributes
        n.reparse_tag = reparse_tag
        n.reparse_extra = reparse_extra
        if security is not None:
            n.security = self.tree.add_security(security)
        if extra is not None:
            n.extra = len(self.tree.extras)
            self.tree.extras.append(Extra(*extra))
        return row

    def stream(self, uint32_t node, *, bytes name=b"", uint8_t kind=0, uint8_t flags=0, uint64_t size=0,
               uint64_t allocated=0, bytes hash=None, bytes content=None, runs=()):
        """Add a stream; its index. A hash sets HASHED; `content` are the bytes kept in the tree itself."""
        self.tree._check(node, self.tree.node_count)
        cdef uint32_t row = self.tree.add_stream(node)
        cdef Stream *s = &self.tree.streams[row]
        s.kind = kind
        s.flags = flags
        s.size = size
        s.allocated = allocated
        s.name_offset = self.tree.add_name(<const char *> name, len(name))
        s.name_size = len(name)
        if hash is not None:
            self.tree.set_hash(row, hash)
        if content is not None:
            if not flags & (POINTER | COMPACT):
                s.flags |= RESIDENT
                s.size = len(content)
            s.first_run = self.tree.add_bytes(<const char *> content, len(content))
            s.run_count = len(content)
        else:
            s.first_run = self.tree.run_count
            for lcn, clusters in runs:
                self.tree.add_run(lcn, clusters)
            self.tree.streams[row].run_count = len(runs)
        return row

    def forget(self, uint32_t stream):
        """Take back that a stream's hash is known; the bytes stay."""
        self.tree._check(stream, self.tree.stream_count)
        self.tree.streams[stream].flags &= ~<uint8_t> HASHED

    def link(self, uint32_t parent, uint32_t node, bytes name not None, bytes short_name=b""):
        """Add a name in UTF-16LE; its index."""
        self.tree._check(parent, self.tree.node_count)
        self.tree._check(node, self.tree.node_count)
        cdef uint32_t row = self.tree.add_link(parent, node)
        cdef Link *k = &self.tree.links[row]
        k.name_offset = self.tree.add_name(<const char *> name, len(name))
        k.name_size = len(name)
        k.short_offset = self.tree.add_name(<const char *> short_name, len(short_name))
        k.short_size = len(short_name)
        return row
