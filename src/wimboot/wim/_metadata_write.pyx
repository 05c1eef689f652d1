"""A `Tree` into the metadata resource of an image, and the figures about it that go beside it.

A tree scanned from a volume holds what the volume holds; what an image stores of it, `tree/_stored.pxd` says, for the
metadata, the counts and the references alike. A pointer is written as the plain file that it stands for.

`excluded` has one byte for each link: non-zero leaves the name out, and everything below it if it is a folder.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from array import array

from wimboot.tree._stored cimport (A_DIRECTORY, A_ENCRYPTED, A_NORMAL, A_REPARSE, A_SPARSE, blob_key, is_backed,
                                   is_reparse_point, is_stored)
from wimboot.tree._tree cimport HASHED, REPARSE, ROOT, Link, Node, Stream, Tree
from wimboot.wim._dentry cimport (ATTRIBUTES, CREATION, FIXED, LAST_ACCESS, LAST_WRITE, LENGTH, LINK_GROUP,
                                  MAIN_HASH, NAME_SIZE, REPARSE_EXTRA, REPARSE_TAG, SECURITY, SHORT_SIZE,
                                  STREAM_FIXED, STREAM_HASH, STREAM_NAME_SIZE, STREAMS, SUBDIR, align8,
                                  name_problem, put16, put32, put64)

from wimboot.errors import FormatError, Internal, Unsupported
from wimboot.wim.tagged import pack_items

__all__ = ["NotStorable", "image_counts", "reference_columns", "references", "serialise"]

cdef enum:
    NOT_FIXED = 0x10000     # in reparse_extra: the link's target is as the volume had it


class NotStorable(Unsupported):
    """A file that the format of images cannot hold."""

    id = "not-storable"
    sentence = "{path} cannot be stored in an image: {why}"
    advice = "Rename it, or exclude it with the list."


def serialise(Tree tree not None, const uint8_t[::1] excluded=None):
    """The image's metadata, uncompressed. Raises NotStorable; Internal if a stream's hash is not known yet."""
    writer = _Writer(tree)
    writer.choose(excluded)
    return writer.write()


def image_counts(Tree tree not None, const uint8_t[::1] excluded=None):
    """(folders with the root, names of files, bytes of all streams of all names, the part of them in further names).

    A junction counts as a file, as for wimlib.
    """
    cdef uint64_t folders = 0, files = 0, total = 0, further = 0, size
    cdef uint32_t node, i
    writer = _Writer(tree)
    writer.choose(excluded)
    for node in range(tree.node_count):
        if writer.names[node] == 0:
            continue
        size = 0
        for i in range(tree.nodes[node].first_stream, tree.nodes[node].first_stream + tree.nodes[node].stream_count):
            if is_stored(tree, i):
                size += tree.streams[i].size
        if tree.nodes[node].attributes & A_DIRECTORY and not is_reparse_point(tree, &tree.nodes[node]):
            folders += 1
        else:
            files += writer.names[node]
        total += size * writer.names[node]
        further += size * (writer.names[node] - 1)
    return folders, files, total, further


def reference_columns(Tree tree not None, const uint8_t[::1] excluded=None):
    """(SHA-1s one behind the other, array('I') of how many names refer to each), as the blob table counts them.

    A hash comes once for each stream that has it. Raises Internal if one is not known.
    """
    cdef uint32_t node, i
    cdef bytearray digests = bytearray()
    cdef object counts = array("I")
    writer = _Writer(tree)
    writer.choose(excluded)
    for node in range(tree.node_count):
        if writer.names[node] == 0:
            continue
        for i in range(tree.nodes[node].first_stream, tree.nodes[node].first_stream + tree.nodes[node].stream_count):
            if is_stored(tree, i) and writer.hash_of(i) != NULL:
                digests += (<char *> tree.streams[i].hash)[:20]
                counts.append(writer.names[node])
    return bytes(digests), counts


def references(Tree tree not None, const uint8_t[::1] excluded=None):
    """{SHA-1: how many names refer to it}. Raises Internal if a hash is not known."""
    cdef dict found = {}
    digests, counts = reference_columns(tree, excluded)
    for at, count in enumerate(counts):
        key = digests[20 * at:20 * at + 20]
        found[key] = found.get(key, 0) + count
    return found


cdef class _Writer:
    cdef Tree tree
    cdef uint8_t *kept          # by link
    cdef uint32_t *names        # by node: links that are kept
    cdef uint32_t *groups       # by node: number of its hard-link group, 0 not numbered yet
    cdef uint64_t *entries      # by node: a folder's entry in the output
    cdef uint32_t *folders      # kept folders in the order of their blocks
    cdef uint32_t folder_count, group_count
    cdef int32_t *securities    # by old index: index in the image
    cdef dict descriptors       # the image's: bytes -> index
    cdef list items             # by index of Tree.extras: tagged items
    cdef uint8_t *out

    def __cinit__(self, Tree tree not None):
        cdef uint64_t nodes = <uint64_t> tree.node_count + 1
        self.tree = tree
        self.kept = <uint8_t *> calloc(<uint64_t> tree.link_count + 1, 1)
        self.names = <uint32_t *> calloc(nodes, 4)
        self.groups = <uint32_t *> calloc(nodes, 4)
        self.entries = <uint64_t *> calloc(nodes, 8)
        self.folders = <uint32_t *> malloc(nodes * 4)
        self.securities = <int32_t *> malloc((len(tree.securities) + 1) * 4)
        if not (self.kept and self.names and self.groups and self.entries and self.folders and self.securities):
            raise MemoryError
        memset(self.securities, 0xFF, (len(tree.securities) + 1) * 4)
        self.descriptors = {}
        self.items = [None] * len(tree.extras)

    def __dealloc__(self):
        free(self.kept)
        free(self.names)
        free(self.groups)
        free(self.entries)
        free(self.folders)
        free(self.securities)

    cdef int choose(self, const uint8_t[::1] excluded) except -1:
        """Mark the links that are kept, and put their folders in the order in which their blocks are written."""
        cdef Tree tree = self.tree
        cdef uint32_t *stack = <uint32_t *> malloc((<uint64_t> tree.node_count + 1) * 4)
        cdef uint32_t height = 1, folder, link, node
        cdef bint empty
        cdef int64_t i
        if stack == NULL:
            raise MemoryError
        try:
            if excluded is not None and excluded.shape[0] != tree.link_count:
                raise Internal(what=f"a mask of {excluded.shape[0]:,} bytes for {tree.link_count:,} names")
            if tree.node_count == 0 or tree.link_count == 0:
                raise Internal(what="a tree without a root")
            tree.index()
            self.kept[ROOT] = 1
            self.names[ROOT] = 1
            stack[0] = ROOT
            while height:
                height -= 1
                folder = stack[height]
                empty = True
                for i in range(<int64_t> tree.child_start[folder + 1] - 1, <int64_t> tree.child_start[folder] - 1, -1):
                    link = tree.child_links[i]
                    node = tree.links[link].node
                    if excluded is not None and excluded[link]:
                        continue
                    empty = False
                    self.kept[link] = 1
                    self.names[node] += 1
                    if tree.nodes[node].attributes & A_DIRECTORY:
                        if self.names[node] > 1 or node == ROOT:
                            raise FormatError("folder", link, "it has two names")
                        stack[height] = node
                        height += 1
                if not (empty and is_reparse_point(tree, &tree.nodes[folder])):     # a junction has no list at all
                    self.folders[self.folder_count] = folder
                    self.folder_count += 1
        finally:
            free(stack)
        return 0

    # ---- what is stored of a file

    cdef uint32_t attributes_of(self, Node *node) noexcept:
        """As the image has them. A pointer's own REPARSE and SPARSE are not the file's."""
        cdef uint32_t attributes = node.attributes & ~<uint32_t> A_NORMAL
        if attributes & A_REPARSE and is_backed(self.tree, node):
            attributes &= ~<uint32_t> (A_REPARSE | A_SPARSE)
        return attributes if attributes else A_NORMAL

    cdef const uint8_t *hash_of(self, uint32_t stream) except? NULL:
        """The stream's SHA-1, NULL if it is empty."""
        cdef Stream *s = &self.tree.streams[stream]
        if not s.flags & HASHED:
            if s.size == 0:
                return NULL
            raise Internal(what=f"stream {stream} has no hash yet")
        if blob_key(s.hash) == NULL and s.size:
            raise Internal(what=f"stream {stream} has {s.size:,} bytes and the hash of none")
        return blob_key(s.hash)

    # ---- writing

    cdef bytes write(self):
        cdef uint64_t size = 8, at, security_size
        cdef uint32_t i
        cdef bytes out
        for i in range(self.tree.link_count):
            if self.kept[i]:
                self.prepare(i)
                size += self.entry_size(i)
        size += 8 * <uint64_t> self.folder_count
        # in the tree's order: what was read is written as it was
        for i in range(<uint32_t> len(self.tree.securities)):
            if self.securities[i] == 0:
                self.securities[i] = self.descriptors.setdefault(self.tree.securities[i], len(self.descriptors))
        security_size = align8(8 + sum([8 + len(descriptor) for descriptor in self.descriptors]))
        out = PyBytes_FromStringAndSize(NULL, security_size + size)
        self.out = <uint8_t *> PyBytes_AS_STRING(out)
        memset(self.out, 0, security_size + size)
        self.write_securities(security_size)
        at = self.write_entry(ROOT, security_size) + 8
        for i in range(self.folder_count):
            at = self.write_block(self.folders[i], at)
        if at != security_size + size:
            raise Internal(what=f"image metadata of {at:,} bytes, {security_size + size:,} expected")
        return out

    cdef int prepare(self, uint32_t link) except -1:
        """Check the names; note the security descriptor; convert the extended attributes."""
        cdef Link *k = &self.tree.links[link]
        cdef Node *node = &self.tree.nodes[k.node]
        cdef const char *problem = NULL
        if link != ROOT:
            problem = name_problem(self.tree.names + k.name_offset, k.name_size, False)
            if problem == NULL and k.short_size:
                problem = name_problem(self.tree.names + k.short_offset, k.short_size, False)
            if problem != NULL:
                raise NotStorable(path=self.tree.path(link), why=f"its name {problem.decode()}")
        if node.security >= 0:
            self.securities[node.security] = 0
        if node.extra >= 0 and self.items[node.extra] is None:
            self.items[node.extra] = pack_items(self.tree.extras[node.extra])
        return 0

    cdef uint32_t entry_streams(self, Node *node, bint *only_main) except? 0xFFFFFFFF:
        """How many streams are stored; whether the hash of a single unnamed one goes into the entry itself."""
        cdef uint32_t i, count = 0, named = 0
        for i in range(node.first_stream, node.first_stream + node.stream_count):
            if is_stored(self.tree, i):
                count += 1
                named += self.tree.streams[i].name_size != 0
        only_main[0] = named == 0 and count <= 1
        return count

    cdef uint64_t entry_size(self, uint32_t link) except? 0:
        """Bytes of the entry with its stream entries."""
        cdef Link *k = &self.tree.links[link]
        cdef Node *node = &self.tree.nodes[k.node]
        cdef uint64_t size
        cdef uint32_t i, count
        cdef bint only_main
        size = self.names_size(link)
        if node.extra >= 0:
            size += len(<bytes> self.items[node.extra])
        count = self.entry_streams(node, &only_main)
        if only_main:
            return size
        if count > 0xFFFF:
            raise NotStorable(path=self.tree.path(link), why=f"it has {count:,} streams")
        for i in range(node.first_stream, node.first_stream + node.stream_count):
            if is_stored(self.tree, i):
                size += self.stream_size(i)
        return size

    cdef uint64_t names_size(self, uint32_t link) noexcept:
        cdef Link *k = &self.tree.links[link]
        if link == ROOT:
            return align8(FIXED)
        return align8(FIXED + (k.name_size + 2 if k.name_size else 0) + (k.short_size + 2 if k.short_size else 0))

    cdef uint64_t stream_size(self, uint32_t stream) noexcept:
        cdef uint32_t size = self.tree.streams[stream].name_size
        return align8(STREAM_FIXED + (size + 2 if size else 0))

    cdef int write_securities(self, uint64_t size) except -1:
        cdef uint64_t at = 8 + 8 * <uint64_t> len(self.descriptors)
        cdef uint32_t i = 0
        if size > 0xFFFFFFFF:
            raise Internal(what=f"{size:,} bytes of security descriptors")
        put32(self.out, <uint32_t> size)
        put32(self.out + 4, len(self.descriptors))
        for descriptor in self.descriptors:
            put64(self.out + 8 + 8 * i, len(descriptor))
            memcpy(self.out + at, <const char *> <bytes> descriptor, len(descriptor))
            at += len(descriptor)
            i += 1
        return 0

    cdef uint64_t write_block(self, uint32_t folder, uint64_t at) except? 0:
        """A folder's entries at that offset, which goes into the folder's own entry; the offset behind them."""
        cdef uint32_t i, link
        put64(self.out + self.entries[folder] + SUBDIR, at)
        for i in range(self.tree.child_start[folder], self.tree.child_start[folder + 1]):
            link = self.tree.child_links[i]
            if self.kept[link]:
                at = self.write_entry(link, at)
        return at + 8

    cdef uint64_t write_entry(self, uint32_t link, uint64_t at) except? 0:
        """A name's entry and its stream entries into zeroed memory; the offset behind them."""
        cdef Link *k = &self.tree.links[link]
        cdef Node *node = &self.tree.nodes[k.node]
        cdef uint8_t *p = self.out + at
        cdef uint32_t attributes = self.attributes_of(node)
        cdef uint64_t size = self.names_size(link), name_end = FIXED
        put32(p + ATTRIBUTES, attributes)
        put32(p + SECURITY, <uint32_t> self.securities[node.security] if node.security >= 0 else 0xFFFFFFFF)
        put64(p + CREATION, node.creation)
        put64(p + LAST_ACCESS, node.last_access)
        put64(p + LAST_WRITE, node.last_write)
        if attributes & A_REPARSE:
            put32(p + REPARSE_TAG, node.reparse_tag)
            put32(p + REPARSE_EXTRA, node.reparse_extra if node.reparse_extra or not self.tree.cluster_size
                  else NOT_FIXED)
        elif self.names[k.node] > 1:
            if self.groups[k.node] == 0:
                self.group_count += 1
                self.groups[k.node] = self.group_count
            put64(p + LINK_GROUP, self.groups[k.node])
        if link != ROOT:
            put16(p + SHORT_SIZE, k.short_size)
            put16(p + NAME_SIZE, k.name_size)
            memcpy(p + FIXED, self.tree.names + k.name_offset, k.name_size)
            memcpy(p + FIXED + k.name_size + 2, self.tree.names + k.short_offset, k.short_size)
        if node.extra >= 0:
            memcpy(p + size, <const char *> <bytes> self.items[node.extra], len(<bytes> self.items[node.extra]))
            size += len(<bytes> self.items[node.extra])
        put64(p + LENGTH, size)
        if attributes & A_DIRECTORY:
            self.entries[k.node] = at
        return self.write_streams(k.node, at, at + size)

    cdef uint64_t write_streams(self, uint32_t row, uint64_t entry, uint64_t at) except? 0:
        """Reparse data first, unnamed data, then the named ones in the tree's order."""
        cdef Node *node = &self.tree.nodes[row]
        cdef bint only_main, reparse = False
        cdef uint32_t i, count = self.entry_streams(node, &only_main)
        cdef int step
        if not only_main:
            put16(self.out + entry + STREAMS, count)
        for step in range(3):
            for i in range(node.first_stream, node.first_stream + node.stream_count):
                if is_stored(self.tree, i) and self.step_of(i) == step:
                    reparse |= self.tree.streams[i].kind == REPARSE
                    if only_main:
                        self.put_hash(entry + MAIN_HASH, i)
                    else:
                        at = self.write_stream(i, at)
        if node.attributes & A_ENCRYPTED:
            if count == 0 and not node.attributes & A_DIRECTORY:
                raise Internal(what=f"node {row} is encrypted and its raw form is not known")
        elif self.attributes_of(node) & A_REPARSE and not reparse:
            raise Internal(what=f"node {row} is a reparse point without data")
        return at

    cdef int step_of(self, uint32_t stream) noexcept:
        cdef Stream *s = &self.tree.streams[stream]
        return 0 if s.kind == REPARSE else 1 if s.name_size == 0 else 2

    cdef uint64_t write_stream(self, uint32_t stream, uint64_t at) except? 0:
        cdef Stream *s = &self.tree.streams[stream]
        cdef const char *problem = NULL
        if s.name_size:
            problem = name_problem(self.tree.names + s.name_offset, s.name_size, True)
        if problem != NULL:
            raise NotStorable(path=self.tree.path(self.tree.links_of(s.node)[0]),
                              why=f"the name of a stream {problem.decode()}")
        put64(self.out + at, self.stream_size(stream))
        self.put_hash(at + STREAM_HASH, stream)
        put16(self.out + at + STREAM_NAME_SIZE, s.name_size)
        memcpy(self.out + at + STREAM_FIXED, self.tree.names + s.name_offset, s.name_size)
        return at + self.stream_size(stream)

    cdef int put_hash(self, uint64_t at, uint32_t stream) except -1:
        cdef const uint8_t *hash = self.hash_of(stream)
        if hash != NULL:
            memcpy(self.out + at, hash, 20)
        return 0
