"""What stays of two Trees, compared: streams by kind and name, then the properties.

A file that the overlay driver backs (POINTER, COMPACT) stands for the plain file: its own reparse point, and the
attributes that a pointer cannot carry, are not compared.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp

from wimboot.tree._stored cimport (A_COMPRESSED, A_ENCRYPTED, A_NORMAL, A_REPARSE, A_SPARSE, blob_key, is_backed,
                                   is_reparse_point, is_stored)
from wimboot.tree._tree cimport DATA, EFS, HASHED, REPARSE, Node, Stream, Tree

from wimboot.errors import FormatError
from wimboot.formats.eas import from_ntfs

cdef enum:                      # changes.MetadataBit
    TIMES = 1
    ATTRIBUTES = 2
    SECURITY = 4
    REPARSE_POINT = 8
    EXTRA = 16
    NONE = 0xFFFFFFFF


def compare_pairs(Tree old not None, Tree new not None, const int32_t[::1] pairs not None, bint last_access):
    """(data, unknown, removed_streams, metadata) of `Changes` for the pairs of nodes that it has."""
    cdef uint32_t node
    work = _Comparison(old, new)
    work.last_access = last_access
    for node in range(new.node_count):
        if pairs[node] >= 0:
            work.compare_nodes(node, <uint32_t> pairs[node])
    return work.data, work.unknown, work.removed_streams, work.metadata


cdef class _Comparison:
    cdef Tree old, new
    cdef bint last_access
    cdef list data, unknown, removed_streams, metadata
    cdef uint32_t *old_security     # by index of Tree.securities: a number that equal descriptors share
    cdef uint32_t *new_security
    cdef uint32_t *old_extra        # by index of Tree.extras, likewise; 0 is that of no extra
    cdef uint32_t *new_extra

    def __cinit__(self, Tree old not None, Tree new not None):
        self.old, self.new = old, new
        self.data, self.unknown, self.removed_streams, self.metadata = [], [], [], []
        self.intern()

    def __dealloc__(self):
        free(self.old_security)
        free(self.new_security)
        free(self.old_extra)
        free(self.new_extra)

    cdef int compare_nodes(self, uint32_t new, uint32_t old) except -1:
        cdef Node *a = &self.old.nodes[old]
        cdef Node *b = &self.new.nodes[new]
        cdef bint backed = is_backed(self.old, a) or is_backed(self.new, b)
        cdef uint32_t mask = 0, left_out = A_NORMAL | A_REPARSE
        if backed:
            left_out |= A_SPARSE | A_COMPRESSED
        if a.creation != b.creation or a.last_write != b.last_write or (
                self.last_access and a.last_access != b.last_access):
            mask |= TIMES
        if (a.attributes ^ b.attributes) & ~left_out:
            mask |= ATTRIBUTES
        if b.security >= 0 and (a.security < 0 or self.old_security[a.security] != self.new_security[b.security]):
            mask |= SECURITY
        if (self.old_extra[a.extra] if a.extra >= 0 else 0) != (self.new_extra[b.extra] if b.extra >= 0 else 0):
            mask |= EXTRA
        if self.compare_streams(b, old, a):
            mask |= REPARSE_POINT
        if mask:
            self.metadata.append((new, old, mask))
        return 0

    cdef bint compare_streams(self, Node *b, uint32_t old, Node *a) except? True:
        """Fill data, unknown and removed_streams; true if the reparse points differ."""
        cdef bint reparse = False
        cdef uint32_t i, j
        cdef int same
        cdef bint new_link = is_reparse_point(self.new, b), old_link = is_reparse_point(self.old, a)
        if new_link != old_link or (new_link and a.reparse_tag != b.reparse_tag):
            reparse = True
        for j in range(b.first_stream, b.first_stream + b.stream_count):
            if not is_stored(self.new, j):
                continue
            i = self.find_stream(a, j)
            if i != NONE:
                same = self.same_content(i, j)
            else:       # of an encrypted file nothing can be kept but its raw form
                same = self.is_nothing(j) and not a.attributes & A_ENCRYPTED
            if same < 0:
                self.unknown.append((j, i))
            elif same == 0 and self.new.streams[j].kind == REPARSE:
                reparse = True
            elif same == 0:
                self.data.append((j, -1 if i == NONE else i))
        for i in range(a.first_stream, a.first_stream + a.stream_count):
            if self.old.streams[i].name_size and is_stored(self.old, i) and not self.kept(b, i):
                self.removed_streams.append((old, i))
        return reparse

    cdef uint32_t find_stream(self, Node *a, uint32_t new) noexcept:
        """The stream of an old node with the kind and name of a new stream; NONE."""
        cdef Stream *t = &self.new.streams[new]
        cdef Stream *s
        cdef uint32_t i
        for i in range(a.first_stream, a.first_stream + a.stream_count):
            s = &self.old.streams[i]
            if s.kind == t.kind and s.name_size == t.name_size and is_stored(self.old, i) and memcmp(
                    self.old.names + s.name_offset, self.new.names + t.name_offset, t.name_size) == 0:
                return i
        return NONE

    cdef bint kept(self, Node *b, uint32_t old) noexcept:
        """Whether a new node has the named stream of an old one."""
        cdef Stream *s = &self.old.streams[old]
        cdef Stream *t
        cdef uint32_t j
        if b.attributes & A_ENCRYPTED:
            return True     # its raw form replaces all
        for j in range(b.first_stream, b.first_stream + b.stream_count):
            t = &self.new.streams[j]
            if s.kind == t.kind and s.name_size == t.name_size and memcmp(
                    self.old.names + s.name_offset, self.new.names + t.name_offset, t.name_size) == 0:
                return True
        return False

    cdef int is_nothing(self, uint32_t new) noexcept:
        """Whether a stream that old lacks is an empty unnamed one, which is the same."""
        cdef Stream *t = &self.new.streams[new]
        return (t.name_size == 0 and t.kind == DATA and t.size == 0
                and not (t.flags & HASHED and blob_key(t.hash) != NULL))

    cdef int same_content(self, uint32_t old, uint32_t new) noexcept:
        """1 the same, 0 not, -1 not known."""
        cdef Stream *s = &self.old.streams[old]
        cdef Stream *t = &self.new.streams[new]
        cdef const uint8_t *x
        cdef const uint8_t *y
        if s.flags & HASHED and t.flags & HASHED:
            x, y = blob_key(s.hash), blob_key(t.hash)
            if x == NULL or y == NULL:
                return x == y
            return memcmp(x, y, 20) == 0
        if s.kind == EFS:
            return -1       # its size is known only when it has been read
        if s.size != t.size:
            return 0
        return 1 if s.size == 0 else -1

    cdef int intern(self) except -1:
        """Numbers for the security descriptors and extras of both trees, the same for the same content."""
        cdef dict numbers = {}
        self.old_security = _numbers(self.old.securities, numbers)
        self.new_security = _numbers(self.new.securities, numbers)
        numbers = {_extra_key((b"", b"")): 0}
        cache = {}
        self.old_extra = _numbers([_cached_key(cache, extra) for extra in self.old.extras], numbers)
        self.new_extra = _numbers([_cached_key(cache, extra) for extra in self.new.extras], numbers)
        return 0


cdef uint32_t *_numbers(list keys, dict numbers) except NULL:
    cdef uint32_t *out = <uint32_t *> malloc((len(keys) + 1) * 4)
    cdef Py_ssize_t i
    if out == NULL:
        raise MemoryError
    for i in range(len(keys)):
        out[i] = numbers.setdefault(keys[i], len(numbers))
    return out


def _cached_key(cache, extra):
    key = cache.get(extra)
    if key is None:
        key = cache[extra] = _extra_key(extra)
    return key


def _extra_key(extra):
    """What of an Extra has to be equal; the same attributes may be packed in more than one way."""
    try:
        eas = tuple(from_ntfs(extra[1]))
    except FormatError:
        eas = extra[1]
    return extra[0].ljust(64, b"\0"), eas
