"""The metadata resource of an image (uncompressed) into a `Tree`. `_dentry.pxd` has the layout of the entries.

    offset  size    field                    (wimlib metadata_resource.c, security.c)
    0       4       size of the security data with this header, padded to 8; 0 means 8
    4       4       number of descriptors n
    8       8 * n   their sizes; then the descriptors one after another
    padded          the root's entry, a u64 0, then for each folder a block: entries of its children and a u64 0

Everything in it is hostile until checked: each entry's bytes belong to one entry only (so neither circles nor shared
folders, and at most one entry per 104 bytes), names that could lead out of their folder are refused, and memory stays
in proportion to the input. Folders are read level by level, so that a parent's node precedes its children's.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy

from wimboot.tree._tree cimport (DATA, EFS, HASHED, REPARSE, ROOT, Link, Node, Stream, StreamKind, Tree,
                                 compare_names, fold_table)
from wimboot.tree._stored cimport A_DIRECTORY, A_ENCRYPTED, A_REPARSE, blob_key
from wimboot.wim._dentry cimport (ATTRIBUTES, CREATION, FIXED, LAST_ACCESS, LAST_WRITE, LINK_GROUP, MAIN_HASH,
                                  NAME_SIZE, REPARSE_EXTRA, REPARSE_TAG, SECURITY, SHORT_SIZE, STREAM_FIXED,
                                  STREAM_HASH, STREAM_NAME_SIZE, STREAMS, SUBDIR, align8, get16, get32, get64,
                                  name_problem)
from wimboot.wim._linkgroups cimport LinkGroups

from wimboot.errors import FormatError
from wimboot.tree._tree import MAX_DEPTH
from wimboot.wim._metadata_write import NotStorable, image_counts, reference_columns, references, serialise
from wimboot.wim.tagged import parse_items

__all__ = ["NotStorable", "image_counts", "parse", "reference_columns", "references", "serialise"]

cdef enum:
    SIZE_MAX = 0x7FFFFFFF   # bytes of metadata: some ten million files
cdef uint8_t[20] NO_HASH

cdef struct Hashes:         # of an entry's unnamed streams; NULL where it has none
    const uint8_t *data
    const uint8_t *reparse
    const uint8_t *efs


def parse(const uint8_t[::1] metadata not None):
    """The image as a Tree; sizes are not in it, see `_streams.fill_sizes`. Raises FormatError."""
    reader = _Reader()
    if metadata.shape[0] < 8:
        raise FormatError(_STRUCTURE, 0, "it is shorter than its header")
    if <uint64_t> metadata.shape[0] > SIZE_MAX:
        raise FormatError(_STRUCTURE, 0, "it is larger than 2 GiB")
    reader.open(&metadata[0], metadata.shape[0])
    reader.read_folders(reader.read_root(reader.read_securities()))
    return reader.tree


_STRUCTURE = "image metadata"
cdef uint32_t DEPTH_MAX = MAX_DEPTH


cdef int _bad(uint64_t offset, str problem) except -1:
    raise FormatError(_STRUCTURE, offset, problem)


cdef class _Reader:
    cdef Tree tree
    cdef const uint8_t *data
    cdef uint64_t size
    cdef uint64_t *taken        # one bit per 8 bytes that belong to an entry
    cdef uint32_t *blocks       # by node: offset of a folder's block
    cdef uint64_t block_room
    cdef LinkGroups groups
    cdef dict extra_rows        # raw tagged items -> index into Tree.extras

    def __dealloc__(self):
        free(self.taken)
        free(self.blocks)

    cdef int open(self, const uint8_t *data, uint64_t size) except -1:
        self.tree = Tree()
        self.data = data
        self.size = size
        self.extra_rows = {}
        self.groups = LinkGroups(self.tree)
        self.taken = <uint64_t *> calloc(size // 512 + 2, 8)
        if self.taken == NULL:
            raise MemoryError
        fold_table()
        return 0

    cdef uint64_t read_securities(self) except? 0xFFFFFFFFFFFFFFFF:
        """Fill Tree.securities; the offset of the root's entry."""
        cdef uint64_t total = align8(get32(self.data)), at, size
        cdef uint32_t count = get32(self.data + 4), i
        total = max(total, 8)
        if total > self.size:
            _bad(0, "the security data reach past the end")
        if count > (total - 8) // 8:
            _bad(4, f"{count:,} security descriptors do not fit into {total:,} bytes")
        at = 8 + <uint64_t> count * 8
        for i in range(count):
            size = get64(self.data + 8 + <uint64_t> i * 8)
            if size > total - at:
                _bad(8 + <uint64_t> i * 8, f"security descriptor {i} reaches past the security data")
            self.tree.securities.append((<const char *> self.data + at)[:size] if size else b"")
            at += size
        self.take(0, total)
        return total

    cdef uint64_t read_root(self, uint64_t at) except? 0xFFFFFFFFFFFFFFFF:
        cdef uint64_t end
        if at + 8 <= self.size and get64(self.data + at) > 8:
            end = self.read_entry(at, ROOT)
            if not self.tree.nodes[ROOT].attributes & A_DIRECTORY:
                _bad(at, "the root is not a folder")
            return end
        _bad(at, "there is no root folder")

    cdef int read_folders(self, uint64_t end) except -1:
        """Every folder's block, level by level; new folders are appended behind those of their parents' level."""
        cdef uint32_t node = 0, level_end = 1, depth = 0
        while node < self.tree.node_count:
            if node == level_end:
                level_end = self.tree.node_count
                depth += 1
                if depth > DEPTH_MAX:
                    _bad(self.blocks[node], f"folders are nested deeper than {MAX_DEPTH}")
            if self.blocks[node]:
                self.read_block(self.blocks[node], node)
            node += 1
        return 0

    cdef int read_block(self, uint64_t start, uint32_t folder) except -1:
        cdef uint64_t at = start, end
        cdef uint32_t first = self.tree.link_count
        cdef bint sorted = True
        cdef Link *before
        cdef Link *link
        while True:
            end = self.read_entry(at, folder)
            if end == 0:
                break
            at = end
            if sorted and self.tree.link_count - 1 > first:
                link = &self.tree.links[self.tree.link_count - 1]
                before = link - 1
                sorted = compare_names(self.tree.names + before.name_offset, before.name_size,
                                       self.tree.names + link.name_offset, link.name_size) < 0
        if not sorted:      # only then can two names be the same
            names = set()
            for i in range(first, self.tree.link_count):
                name = self.tree.link(i).name
                if name in names:
                    _bad(start, f"two entries of a folder have the name {name.decode('utf-16-le', 'replace')!r}")
                names.add(name)
        return 0

    cdef uint64_t read_entry(self, uint64_t at, uint32_t folder) except? 0xFFFFFFFFFFFFFFFF:
        """Add the entry at that offset; the offset behind its streams, 0 at the end of the list."""
        cdef const uint8_t *p = self.data + at
        cdef uint64_t length, end
        cdef uint32_t name_size, short_size, names
        cdef bint root = self.tree.link_count == 0
        cdef Link *link
        if at > self.size - 8:
            _bad(at, "a folder's entries reach past the end")
        length = get64(p)
        if length <= 8:
            return 0
        if length > self.size - at or align8(length) > self.size - at:
            _bad(at, "an entry reaches past the end")
        length = align8(length)
        if length < FIXED:
            _bad(at, "an entry is shorter than its fixed part")
        name_size = get16(p + NAME_SIZE)
        short_size = get16(p + SHORT_SIZE)
        names = FIXED + (name_size + 2 if name_size else 0)
        if names + (short_size + 2 if short_size else 0) > length:
            _bad(at, "the names reach past their entry")
        if not root:
            self.check_name(at, p + FIXED, name_size, False)
            if short_size:
                self.check_name(at, p + names, short_size, False)
        end = self.streams_end(at + length, get16(p + STREAMS))
        self.take(at, end)
        self.add_entry(at, align8(names + (short_size + 2 if short_size else 0)), length, folder)
        link = &self.tree.links[self.tree.link_count - 1]
        if not root:
            link.name_offset = self.tree.add_name(p + FIXED, name_size)
            link.name_size = name_size
            if short_size:
                link.short_offset = self.tree.add_name(p + names, short_size)
                link.short_size = short_size
        return end

    cdef int check_name(self, uint64_t at, const uint8_t *name, uint32_t size, bint stream) except -1:
        cdef const char *problem = name_problem(name, size, stream)
        if problem != NULL:
            shown = (<const char *> name)[:min(size, 80)].decode("utf-16-le", "replace") if size else ""
            _bad(at, f"the name {shown!r} {problem.decode()}")
        return 0

    cdef int take(self, uint64_t start, uint64_t end) except -1:
        """Note that these bytes belong to one entry. Both are multiples of 8."""
        cdef uint64_t bit = start >> 3, last = end >> 3, word, mask
        while bit < last:
            word = bit >> 6
            mask = ~<uint64_t> 0 << (bit & 63)
            if last < (word + 1) << 6:
                mask &= (<uint64_t> 1 << (last & 63)) - 1
            if self.taken[word] & mask:
                _bad(start, "an entry lies in two folders, or over another entry")
            self.taken[word] |= mask
            bit = (word + 1) << 6
        return 0

    cdef uint64_t streams_end(self, uint64_t at, uint32_t count) except? 0xFFFFFFFFFFFFFFFF:
        """Check an entry's stream entries; the offset behind them."""
        cdef uint64_t length
        cdef uint32_t i, size
        if count == 0:
            return at
        names = set()
        for i in range(count):
            if self.size - at < STREAM_FIXED:
                _bad(at, "a stream entry reaches past the end")
            length = get64(self.data + at)
            if length > self.size - at or align8(length) > self.size - at:
                _bad(at, "a stream entry reaches past the end")
            length = align8(length)
            size = get16(self.data + at + STREAM_NAME_SIZE)
            if length < STREAM_FIXED + size:
                _bad(at, "a stream entry is shorter than its content")
            if size:
                self.check_name(at, self.data + at + STREAM_FIXED, size, True)
                name = (<const char *> self.data + at + STREAM_FIXED)[:size]
                if name in names:
                    _bad(at, "two streams of a file have the same name")
                names.add(name)
            at += length
        return at

    cdef int add_entry(self, uint64_t at, uint64_t names_end, uint64_t length, uint32_t folder) except -1:
        """Add the node, or find the one of its hard-link group, and the link."""
        cdef const uint8_t *p = self.data + at
        cdef uint32_t attributes = get32(p + ATTRIBUTES), node
        cdef uint64_t group = 0
        cdef int64_t known
        cdef Hashes hashes
        self.unnamed_hashes(at, length, attributes, &hashes)
        if not attributes & (A_REPARSE | A_DIRECTORY):
            group = get64(p + LINK_GROUP)
        if group:
            known = self.groups.find(group, hashes.efs if hashes.efs else hashes.data)
            if known >= 0:
                self.tree.add_link(folder, <uint32_t> known)
                return 0
        node = self.add_node(at, attributes, group)
        if length > names_end:
            self.tree.nodes[node].extra = self.add_items(p + names_end, <uint32_t> (length - names_end))
        if hashes.data:
            self.add_stream(node, DATA, hashes.data)
        if hashes.reparse:
            self.add_stream(node, REPARSE, hashes.reparse)
        if hashes.efs:
            self.add_stream(node, EFS, hashes.efs)
        elif get16(p + STREAMS) and not attributes & A_ENCRYPTED:
            self.add_named(node, at + length, get16(p + STREAMS))
        self.tree.add_link(folder, node)
        if group:
            self.groups.add(node)
        return 0

    cdef uint32_t add_node(self, uint64_t at, uint32_t attributes, uint64_t group) except? 0xFFFFFFFF:
        cdef const uint8_t *p = self.data + at
        cdef uint32_t node = self.tree.add_node(), security = get32(p + SECURITY)
        cdef Node *n = &self.tree.nodes[node]
        cdef uint64_t block = get64(p + SUBDIR)
        cdef uint32_t *grown
        n.file_id = group
        n.attributes = attributes
        n.creation = get64(p + CREATION)
        n.last_access = get64(p + LAST_ACCESS)
        n.last_write = get64(p + LAST_WRITE)
        if attributes & A_REPARSE:
            n.reparse_tag = get32(p + REPARSE_TAG)
            n.reparse_extra = get32(p + REPARSE_EXTRA)
        if security != 0xFFFFFFFF:
            if security >= <uint32_t> len(self.tree.securities):
                _bad(at, f"there is no security descriptor {security}")
            if self.tree.securities[security]:
                n.security = <int32_t> security
        if block and not attributes & A_DIRECTORY:
            _bad(at, "a file has entries as if it were a folder")
        if block & 7 or block > self.size - 8:
            _bad(at, f"a folder's entries cannot lie at {block:,}")
        if node >= self.block_room:
            self.block_room = max(1024, self.block_room * 2)
            grown = <uint32_t *> realloc(self.blocks, self.block_room * 4)
            if grown == NULL:
                raise MemoryError
            self.blocks = grown
        self.blocks[node] = <uint32_t> block
        return node

    cdef int unnamed_hashes(self, uint64_t at, uint64_t length, uint32_t attributes, Hashes *out) except -1:
        """Which unnamed stream is which: the reparse data first where there are any, then the data.

        The hash in the entry counts only if it is not zero, or if nothing else is there (wimlib dentry.c).
        """
        cdef const uint8_t *main = self.data + at + MAIN_HASH
        cdef const uint8_t *hash = blob_key(main)
        cdef uint32_t i, count = get16(self.data + at + STREAMS)
        cdef bint folder = attributes & A_DIRECTORY, encrypted = attributes & A_ENCRYPTED
        out.data = out.reparse = out.efs = NULL
        at += length
        for i in range(count + 1):
            if i:
                hash = NULL if get16(self.data + at + STREAM_NAME_SIZE) else self.data + at + STREAM_HASH
                at += align8(get64(self.data + at))
            if hash == NULL:
                continue
            if encrypted:       # one stream in the form of the encrypting file system; the rest is not defined
                if out.efs == NULL and blob_key(hash) != NULL:
                    out.efs = hash
            elif attributes & A_REPARSE and out.reparse == NULL:
                out.reparse = hash
            elif not folder and out.data == NULL:
                out.data = hash
            elif blob_key(hash) != NULL:     # wimlib before 1.14.2 gives folders an empty one
                _bad(at, "a file has more unnamed streams than there can be")
        if encrypted:
            if out.efs == NULL and not folder:
                out.efs = NO_HASH
            return 0
        if attributes & A_REPARSE and out.reparse == NULL:
            out.reparse = NO_HASH
        if not folder and out.data == NULL:
            out.data = NO_HASH
        return 0

    cdef uint32_t add_stream(self, uint32_t node, StreamKind kind, const uint8_t *hash) except? 0xFFFFFFFF:
        cdef uint32_t stream = self.tree.add_stream(node)
        self.tree.streams[stream].kind = kind
        self.tree.streams[stream].flags = HASHED
        if blob_key(hash) != NULL:      # some writers hash even nothing
            memcpy(self.tree.streams[stream].hash, hash, 20)
        return stream

    cdef int add_named(self, uint32_t node, uint64_t at, uint32_t count) except -1:
        cdef uint32_t i, stream, size
        for i in range(count):
            size = get16(self.data + at + STREAM_NAME_SIZE)
            if size:
                stream = self.add_stream(node, DATA, self.data + at + STREAM_HASH)
                self.tree.streams[stream].name_offset = self.tree.add_name(self.data + at + STREAM_FIXED, size)
                self.tree.streams[stream].name_size = size
            at += align8(get64(self.data + at))
        return 0

    # ---- tagged items

    cdef int32_t add_items(self, const uint8_t *p, uint32_t size) except? -2:
        """Index of the row for these tagged items, -1 where there is nothing in them."""
        cdef bytes raw = (<const char *> p)[:size]
        row = self.extra_rows.get(raw)
        if row is None:
            extra = parse_items(raw)
            if any(extra) or extra.items:
                row = len(self.tree.extras)
                self.tree.extras.append(extra)
            else:
                row = -1
            self.extra_rows[raw] = row
        return row
