"""Which streams make up a file: the one choice behind an image's metadata, its counts and references, and the diff.

DISM stores (wimlib dentry.c): of an encrypted file only its raw form; else the reparse data of a reparse point, the
unnamed data of what is not a folder, and all named data. A file that the overlay driver backs stands for the plain
file: neither its reparse point nor the stream with its compressed data is part of it.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp

from wimboot.tree._tree cimport COMPACT, DATA, EFS, POINTER, REPARSE, Node, Stream, Tree

cdef enum:
    A_DIRECTORY = 0x10
    A_NORMAL = 0x80
    A_SPARSE = 0x200
    A_REPARSE = 0x400
    A_COMPRESSED = 0x800
    A_ENCRYPTED = 0x4000


cdef inline bint is_backed(Tree tree, const Node *node) noexcept nogil:
    """Whether the overlay driver backs the file's data."""
    cdef uint32_t i
    for i in range(node.first_stream, node.first_stream + node.stream_count):
        if tree.streams[i].kind == DATA and tree.streams[i].name_size == 0:
            return tree.streams[i].flags & (POINTER | COMPACT) != 0
    return False


cdef inline bint is_reparse_point(Tree tree, const Node *node) noexcept nogil:
    """Whether the file itself is one, not only what backs it."""
    return node.attributes & A_REPARSE != 0 and not is_backed(tree, node)


cdef inline bint is_stored(Tree tree, uint32_t stream) noexcept nogil:
    """Whether a stream is part of its file."""
    cdef Stream *s = &tree.streams[stream]
    cdef Node *node = &tree.nodes[s.node]
    if node.attributes & A_ENCRYPTED:
        return s.kind == EFS
    if s.kind == DATA and s.name_size == 0:
        return node.attributes & A_DIRECTORY == 0
    if s.kind == DATA:
        return not (s.name_size == 34 and is_backed(tree, node) and memcmp(
            tree.names + s.name_offset, <const char *> b"W\0o\0f\0C\0o\0m\0p\0r\0e\0s\0s\0e\0d\0D\0a\0t\0a\0", 34) == 0)
    return s.kind == REPARSE and is_reparse_point(tree, node)


cdef inline const uint8_t *blob_key(const uint8_t *hash) noexcept nogil:
    """The SHA-1 under which a blob is found; NULL for zeros and for the SHA-1 of nothing: there is no blob then."""
    cdef int i
    if memcmp(hash, <const char *> b"\xda\x39\xa3\xee\x5e\x6b\x4b\x0d\x32\x55\xbf\xef\x95\x60\x18\x90\xaf\xd8\x07\x09",
              20) == 0:
        return NULL
    for i in range(20):
        if hash[i]:
            return hash
    return NULL
