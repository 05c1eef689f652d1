"""One snapshot as data: every file, name and stream of a volume or of an image, in columns.

The scan of a volume and the metadata of an image both become a `Tree`, so that everything above compares and plans
without knowing which it has. 130,000 files take about 20 MB. Rows are C structs (`_tree.pxd`) for the modules that walk
all of them; Python reads single rows through the methods here. A Tree is filled once and then only its hashes change.
Not for writing from several threads.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from wimboot.errors import FormatError
from wimboot.formats.upcase import upcase_table
from wimboot.tree.rows import Extra, LinkRow, NodeRow, StreamRow

cdef extern from "<stdlib.h>" nogil:
    void qsort_r(void *base, size_t count, size_t size,
                 int (*compare)(const void *, const void *, void *) noexcept nogil, void *argument)

HOLE = 0xFFFFFFFFFFFFFFFF
MAX_DEPTH = 4096    # of folders: a path of NTFS has at most 32,767 units; a cycle is found much earlier


cdef uint16_t *_fold = NULL


cdef uint16_t *fold_table() except NULL:
    """Upper case of each UTF-16 unit, as NTFS' $UpCase has it."""
    global _fold
    cdef const uint16_t[::1] units
    if _fold == NULL:
        table = <uint16_t *> malloc(65536 * sizeof(uint16_t))
        if table == NULL:
            raise MemoryError
        units = upcase_table()
        memcpy(table, &units[0], 65536 * sizeof(uint16_t))
        _fold = table
    return _fold


cdef int compare_names(const uint8_t *a, uint32_t a_size, const uint8_t *b, uint32_t b_size) noexcept nogil:
    """Order of two UTF-16LE names with case folded. fold_table() must have been called once."""
    cdef uint32_t i, both = min(a_size, b_size) & ~1u
    cdef int x, y
    i = 0
    while i < both:
        x = _fold[a[i] | a[i + 1] << 8]
        y = _fold[b[i] | b[i + 1] << 8]
        if x != y:
            return -1 if x < y else 1
        i += 2
    return 0 if a_size == b_size else (-1 if a_size < b_size else 1)


cdef int _by_name(const void *a, const void *b, void *argument) noexcept nogil:
    cdef Link *links = (<Link **> argument)[0]
    cdef uint8_t *names = (<uint8_t **> argument)[1]
    cdef Link *x = &links[(<uint32_t *> a)[0]]
    cdef Link *y = &links[(<uint32_t *> b)[0]]
    cdef int order = compare_names(names + x.name_offset, x.name_size, names + y.name_offset, y.name_size)
    if order:
        return order
    order = memcmp(names + x.name_offset, names + y.name_offset, min(x.name_size, y.name_size))
    return order if order else (-1 if (<uint32_t *> a)[0] < (<uint32_t *> b)[0] else 1)


cdef bint _is_sorted(const uint32_t *links, uint32_t count, void **argument) noexcept nogil:
    """Whether links are in the order of their names already: an image's folders mostly are."""
    cdef uint32_t i
    for i in range(1, count):
        if _by_name(&links[i - 1], &links[i], argument) > 0:
            return False
    return True


def fold(bytes name):
    """A UTF-16LE name in the case in which names compare equal."""
    cdef uint16_t *table = fold_table()
    cdef bytearray out = bytearray(name)
    cdef Py_ssize_t i
    cdef uint16_t unit
    for i in range(0, len(name) - 1, 2):
        unit = table[name[i] | name[i + 1] << 8]
        out[i] = unit & 0xFF
        out[i + 1] = unit >> 8
    return bytes(out)


cdef void *_grown(void *array, uint64_t *room, uint64_t need, size_t item) except NULL:
    cdef uint64_t size
    if need <= room[0] and array != NULL:
        return array
    size = max(need, room[0] * 2, 64)
    array = realloc(array, size * item)
    if array == NULL:
        raise MemoryError
    room[0] = size
    return array


cdef class Tree:
    """Nodes (files and folders), their streams, their names, and where their bytes lie."""

    def __cinit__(self):
        self.securities = []
        self.extras = []

    def __dealloc__(self):
        free(self.nodes)
        free(self.streams)
        free(self.links)
        free(self.runs)
        free(self.names)
        free(self.pool)
        self._drop_index()

    cdef _drop_index(self):
        free(self.child_start)
        free(self.child_links)
        free(self.name_start)
        free(self.name_links)
        self.child_start = self.child_links = self.name_start = self.name_links = NULL
        self.indexed = False

    cdef uint32_t add_node(self) except? 0xFFFFFFFF:
        self.nodes = <Node *> _grown(self.nodes, &self._node_room, <uint64_t> self.node_count + 1, sizeof(Node))
        cdef Node *node = &self.nodes[self.node_count]
        memset(node, 0, sizeof(Node))
        node.security = node.extra = -1
        node.first_stream = self.stream_count
        self.node_count += 1
        return self.node_count - 1

    cdef uint32_t add_stream(self, uint32_t node) except? 0xFFFFFFFF:
        self.streams = <Stream *> _grown(self.streams, &self._stream_room, <uint64_t> self.stream_count + 1,
                                         sizeof(Stream))
        memset(&self.streams[self.stream_count], 0, sizeof(Stream))
        self.streams[self.stream_count].node = node
        if self.nodes[node].stream_count == 0:
            self.nodes[node].first_stream = self.stream_count
        self.nodes[node].stream_count += 1
        self.stream_count += 1
        return self.stream_count - 1

    cdef uint32_t add_link(self, uint32_t parent, uint32_t node) except? 0xFFFFFFFF:
        self.links = <Link *> _grown(self.links, &self._link_room, <uint64_t> self.link_count + 1, sizeof(Link))
        memset(&self.links[self.link_count], 0, sizeof(Link))
        self.links[self.link_count].parent = parent
        self.links[self.link_count].node = node
        self.link_count += 1
        self.indexed = False
        return self.link_count - 1

    cdef uint32_t add_run(self, uint64_t lcn, uint64_t clusters) except? 0xFFFFFFFF:
        self.runs = <Run *> _grown(self.runs, &self._run_room, <uint64_t> self.run_count + 1, sizeof(Run))
        self.runs[self.run_count].lcn = lcn
        self.runs[self.run_count].clusters = clusters
        self.run_count += 1
        return self.run_count - 1

    cdef uint32_t add_name(self, const void *utf16, uint32_t size) except? 0xFFFFFFFF:
        if self.name_bytes + size > 0xFFFFFFFE:
            raise MemoryError("names over 4 GiB")
        self.names = <uint8_t *> _grown(self.names, &self._name_room, self.name_bytes + size, 1)
        memcpy(self.names + self.name_bytes, utf16, size)
        self.name_bytes += size
        return <uint32_t> (self.name_bytes - size)

    cdef uint32_t add_bytes(self, const void *data, uint32_t size) except? 0xFFFFFFFF:
        if self.pool_bytes + size > 0xFFFFFFFE:
            raise MemoryError("resident data over 4 GiB")
        self.pool = <uint8_t *> _grown(self.pool, &self._pool_room, self.pool_bytes + size, 1)
        memcpy(self.pool + self.pool_bytes, data, size)
        self.pool_bytes += size
        return <uint32_t> (self.pool_bytes - size)

    cdef int reserve(self, uint64_t nodes, uint64_t streams, uint64_t links, uint64_t runs, uint64_t names,
                     uint64_t pool) except -1:
        nodes += self.node_count
        streams += self.stream_count
        links += self.link_count
        runs += self.run_count
        if max(nodes, streams, links, runs) > 0xFFFFFFFE or max(names + self.name_bytes,
                                                                pool + self.pool_bytes) > 0xFFFFFFFE:
            raise MemoryError("over 4 billion rows or bytes")
        self.nodes = <Node *> _grown(self.nodes, &self._node_room, nodes, sizeof(Node))
        self.streams = <Stream *> _grown(self.streams, &self._stream_room, streams, sizeof(Stream))
        self.links = <Link *> _grown(self.links, &self._link_room, links, sizeof(Link))
        self.runs = <Run *> _grown(self.runs, &self._run_room, runs, sizeof(Run))
        self.names = <uint8_t *> _grown(self.names, &self._name_room, names + self.name_bytes, 1)
        self.pool = <uint8_t *> _grown(self.pool, &self._pool_room, pool + self.pool_bytes, 1)
        return 0

    cpdef index(self):
        """Build the look-up by folder and name, and from node to names. Done once, when first needed."""
        cdef uint32_t i, node
        cdef int64_t k
        cdef void *argument[2]
        if self.indexed:
            return
        fold_table()
        self._drop_index()
        for node in range(self.node_count):
            self.nodes[node].link_count = 0
        self.child_start = <uint32_t *> calloc(self.node_count + 2, sizeof(uint32_t))
        self.name_start = <uint32_t *> calloc(self.node_count + 2, sizeof(uint32_t))
        self.child_links = <uint32_t *> malloc((self.link_count + 1) * sizeof(uint32_t))
        self.name_links = <uint32_t *> malloc((self.link_count + 1) * sizeof(uint32_t))
        if not (self.child_start and self.name_start and self.child_links and self.name_links):
            self._drop_index()
            raise MemoryError
        # counting sort: after the second pass start[n] is where n's links begin
        for i in range(self.link_count):
            self.nodes[self.links[i].node].link_count += 1
            self.name_start[self.links[i].node + 1] += 1
            if i != ROOT:
                self.child_start[self.links[i].parent + 1] += 1
        for node in range(self.node_count):
            self.name_start[node + 1] += self.name_start[node]
            self.child_start[node + 1] += self.child_start[node]
        for k in range(<int64_t> self.link_count - 1, -1, -1):
            i = <uint32_t> k
            node = self.links[i].node
            self.name_start[node + 1] -= 1
            self.name_links[self.name_start[node + 1]] = i
            if i != ROOT:
                node = self.links[i].parent
                self.child_start[node + 1] -= 1
                self.child_links[self.child_start[node + 1]] = i
        for node in range(self.node_count):    # the pass above left each start one place late
            self.name_start[node] = self.name_start[node + 1]
            self.child_start[node] = self.child_start[node + 1]
        self.name_start[self.node_count] = self.link_count
        self.child_start[self.node_count] = self.link_count - 1 if self.link_count else 0
        argument[0] = self.links
        argument[1] = self.names
        for node in range(self.node_count):
            if not _is_sorted(&self.child_links[self.child_start[node]],
                              self.child_start[node + 1] - self.child_start[node], argument):
                qsort_r(&self.child_links[self.child_start[node]], self.child_start[node + 1] - self.child_start[node],
                        sizeof(uint32_t), _by_name, argument)
        self.indexed = True

    cdef int64_t find_child(self, uint32_t folder, const uint8_t *name, uint32_t size) noexcept:
        """The link of that name, ignoring case, an exact spelling first; -1 if none. index() must have run."""
        cdef uint32_t low = self.child_start[folder], high = self.child_start[folder + 1], middle, i
        cdef int64_t found = -1
        cdef Link *link
        while low < high:
            middle = (low + high) // 2
            link = &self.links[self.child_links[middle]]
            if compare_names(self.names + link.name_offset, link.name_size, name, size) < 0:
                low = middle + 1
            else:
                high = middle
        high = self.child_start[folder + 1]
        for i in range(low, high):
            link = &self.links[self.child_links[i]]
            if compare_names(self.names + link.name_offset, link.name_size, name, size) != 0:
                break
            if found < 0 or memcmp(self.names + link.name_offset, name, size) == 0:
                found = self.child_links[i]
        return found

    # ---- single rows, for Python

    def node(self, uint32_t node):
        """The row of a node."""
        self._check(node, self.node_count)
        cdef Node *n = &self.nodes[node]
        return NodeRow(n.file_id, n.creation, n.last_write, n.last_access, n.attributes, n.security, n.reparse_tag,
                       n.reparse_extra, n.extra, n.link_count)

    def attributes(self, uint32_t node):
        """FILE_ATTRIBUTE_* of a node."""
        self._check(node, self.node_count)
        return self.nodes[node].attributes

    def file_id(self, uint32_t node):
        """MFT reference (volume) or hard-link group (image) of a node."""
        self._check(node, self.node_count)
        return self.nodes[node].file_id

    def stream(self, uint32_t stream):
        """The row of a stream."""
        self._check(stream, self.stream_count)
        cdef Stream *s = &self.streams[stream]
        return StreamRow(stream, s.kind, s.flags, (<char *> self.names + s.name_offset)[:s.name_size] if s.name_size
                         else b"", s.size, s.allocated, (<char *> s.hash)[:20])

    def streams_of(self, uint32_t node):
        """The rows of a node's streams, unnamed data first."""
        self._check(node, self.node_count)
        cdef uint32_t first = self.nodes[node].first_stream
        return [self.stream(i) for i in range(first, first + self.nodes[node].stream_count)]

    def data_size(self, uint32_t node):
        """Bytes of all data of a node, named streams included."""
        self._check(node, self.node_count)
        cdef uint32_t i, first = self.nodes[node].first_stream
        cdef uint64_t size = 0
        for i in range(first, first + self.nodes[node].stream_count):
            if self.streams[i].kind == DATA:
                size += self.streams[i].size
        return size

    def data_stream(self, uint32_t node):
        """Index of the unnamed data stream of a node, -1 if it has none."""
        self._check(node, self.node_count)
        cdef uint32_t i, first = self.nodes[node].first_stream
        for i in range(first, first + self.nodes[node].stream_count):
            if self.streams[i].kind == DATA and self.streams[i].name_size == 0:
                return i
        return -1

    def stream_node(self, uint32_t stream):
        """The node that a stream belongs to."""
        self._check(stream, self.stream_count)
        return self.streams[stream].node

    def stream_bytes(self, uint32_t stream):
        """The bytes kept in the tree: a resident stream's content, or a pointer's whole reparse value."""
        self._check(stream, self.stream_count)
        cdef Stream *s = &self.streams[stream]
        if not s.flags & (RESIDENT | POINTER | COMPACT):
            raise ValueError("this stream's bytes are on the volume")
        return (<char *> self.pool + s.first_run)[:s.run_count] if s.run_count else b""

    def stream_runs(self, uint32_t stream):
        """(lcn, clusters) of a stream that lies on the volume; lcn is HOLE where it is sparse."""
        self._check(stream, self.stream_count)
        cdef Stream *s = &self.streams[stream]
        if s.flags & (RESIDENT | POINTER | COMPACT):
            return []
        return [(self.runs[i].lcn, self.runs[i].clusters) for i in range(s.first_run, s.first_run + s.run_count)
                if self.runs[i].clusters]

    def set_hash(self, uint32_t stream, bytes hash):
        """Note the SHA-1 of a stream's content."""
        self._check(stream, self.stream_count)
        if len(hash) != 20:
            raise ValueError("a SHA-1 has 20 bytes")
        memcpy(self.streams[stream].hash, <const char *> hash, 20)
        self.streams[stream].flags |= HASHED

    def link(self, uint32_t link):
        """The row of a name."""
        self._check(link, self.link_count)
        cdef Link *k = &self.links[link]
        return LinkRow(k.parent, k.node, (<char *> self.names + k.name_offset)[:k.name_size] if k.name_size else b"",
                       (<char *> self.names + k.short_offset)[:k.short_size] if k.short_size else b"")

    def link_node(self, uint32_t link):
        """The node that a name is of."""
        self._check(link, self.link_count)
        return self.links[link].node

    def links_of(self, uint32_t node):
        """The links that are a node's names."""
        self._check(node, self.node_count)
        self.index()
        return [self.name_links[i] for i in range(self.name_start[node], self.name_start[node + 1])]

    def children(self, uint32_t folder):
        """The links in a folder, in order of folded name."""
        self._check(folder, self.node_count)
        self.index()
        return [self.child_links[i] for i in range(self.child_start[folder], self.child_start[folder + 1])]

    def lookup(self, uint32_t folder, bytes name):
        """The link of that UTF-16LE name in a folder, ignoring case; -1 if none."""
        self._check(folder, self.node_count)
        self.index()
        return self.find_child(folder, <const uint8_t *> <const char *> name, len(name))

    def find(self, str path):
        """The node at a path such as "\\\\Windows\\\\System32" (either slash), ignoring case; -1 if none."""
        cdef uint32_t node = ROOT
        cdef int64_t link
        for part in path.replace("/", "\\").split("\\"):
            if part:
                link = self.lookup(node, part.encode("utf-16-le", "surrogatepass"))
                if link < 0:
                    return -1
                node = self.links[link].node
        return node

    def path(self, uint32_t link):
        """The path of a name, "\\\\Windows\\\\notepad.exe"; unpaired surrogates stay as they are.

        Raises FormatError.
        """
        self._check(link, self.link_count)
        self.index()
        parts = []
        cdef uint32_t at = link
        while at != ROOT:
            if len(parts) > MAX_DEPTH:
                raise FormatError("folder", at, "it lies in itself")
            parts.append((<char *> self.names + self.links[at].name_offset)[:self.links[at].name_size]
                         .decode("utf-16-le", "surrogatepass"))
            if self.name_start[self.links[at].parent] == self.name_start[self.links[at].parent + 1]:
                raise FormatError("folder", self.links[at].parent, "it has no name")
            at = self.name_links[self.name_start[self.links[at].parent]]
        return "\\" + "\\".join(reversed(parts))

    def add_security(self, bytes descriptor):
        """Index of a security descriptor, added where it is new. Keeps a dict only while filling: see securities."""
        try:
            return self.securities.index(descriptor)
        except ValueError:
            self.securities.append(descriptor)
            return len(self.securities) - 1

    cdef _check(self, uint32_t row, uint32_t count):
        if row >= count:
            raise IndexError(row)
