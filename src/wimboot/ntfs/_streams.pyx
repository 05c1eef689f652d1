"""From a file's attributes to its streams; see `_streams.pxd`."""

from libc.string cimport memcmp, memcpy, memset

from wimboot.ntfs._extents cimport u16, u32
from wimboot.ntfs._problems cimport BAD_EXTENTS, BAD_REPARSE, BAD_SIZES, BAD_WOF, SAME_ATTRIBUTE
from wimboot.tree._tree cimport (
    BY_LIBRARY, COMPACT, COMPRESSED, DATA, ENCRYPTED, HASHED, POINTER, REPARSE, RESIDENT, SPARSE, Node, Run, Stream,
    compare_names,
)

cdef extern from "<stdlib.h>" nogil:
    void qsort_r(void *base, size_t count, size_t size,
                 int (*compare)(const void *, const void *, void *) noexcept nogil, void *argument)

cdef enum:
    DIRECTORY = 0x10
    NORMAL = 0x80
    SPARSE_FILE = 0x200
    REPARSE_POINT = 0x400
    INTERNAL = 0x30000000       # "has an index": $FILE_NAME's and $STANDARD_INFORMATION's own bits

cdef extern from *:
    """
    #define WIMBOOT_WOF_TAG 0x80000017u
    static const char WIMBOOT_WOF_NAME[] = "W\\0o\\0f\\0C\\0o\\0m\\0p\\0r\\0e\\0s\\0s\\0e\\0d\\0D\\0a\\0t\\0a";
    #define WIMBOOT_WOF_NAME_SIZE 34
    """
    const uint32_t WOF_TAG "WIMBOOT_WOF_TAG"
    const char *WOF_NAME "WIMBOOT_WOF_NAME"
    const uint16_t WOF_NAME_SIZE "WIMBOOT_WOF_NAME_SIZE"


cdef int _order(const void *a, const void *b, void *names) noexcept nogil:
    cdef const Attr *x = <const Attr *> a
    cdef const Attr *y = <const Attr *> b
    cdef int order = <int> x.kind - <int> y.kind
    if order == 0 and (x.name_size or y.name_size):
        order = compare_names(<uint8_t *> names + x.name_offset, x.name_size,
                              <uint8_t *> names + y.name_offset, y.name_size)
        if order == 0:
            order = memcmp(<uint8_t *> names + x.name_offset, <uint8_t *> names + y.name_offset, x.name_size)
    if order == 0:
        order = 1 if x.lowest_vcn > y.lowest_vcn else -1 if x.lowest_vcn < y.lowest_vcn else 0
    return order


cdef bint _same(Tree tree, const Attr *x, const Attr *y) noexcept nogil:
    return (x.name_size == y.name_size
            and memcmp(tree.names + x.name_offset, tree.names + y.name_offset, x.name_size) == 0)


cdef int _wof(const uint8_t *value, uint32_t size) noexcept nogil:
    """POINTER, COMPACT, 0 where it is of a kind not known; -1 where it is cut short.

    8 u32 version 1, 12 u32 provider, then of WIM (1) 16 u32 version 1 or 2, 32 the hash; of FILE (2) 16 u32 version 1,
    20 u32 algorithm.
    """
    cdef uint32_t version
    if size < 20:
        return -1
    version = u32(value + 16)
    if u32(value + 8) != 1:
        return 0
    if u32(value + 12) == 1 and (version == 1 or version == 2):
        return POINTER if size >= (52 if version == 1 else 96) else -1
    if u32(value + 12) == 2 and version == 1:
        return COMPACT if size >= 24 else -1
    return 0


cdef int _join(Tree tree, Attr *rows, uint32_t count) noexcept nogil:
    """Makes the first of `count` extents, in VCN order, the whole attribute."""
    cdef uint64_t clusters = 0, occupied = 0
    cdef uint32_t i, k, first = tree.run_count
    cdef Run *runs = tree.runs
    for i in range(count):
        if rows[i].resident or rows[i].lowest_vcn != clusters or rows[i].clusters == 0:
            return BAD_EXTENTS
        clusters += rows[i].clusters
        occupied += rows[i].occupied
        for k in range(rows[i].first, rows[i].first + rows[i].count):
            if runs[k].clusters:
                runs[tree.run_count] = runs[k]
                tree.run_count += 1
    if rows[0].initialized < rows[0].size:
        runs[tree.run_count].lcn = rows[0].initialized
        runs[tree.run_count].clusters = 0
        tree.run_count += 1
    rows[0].clusters = clusters
    rows[0].occupied = occupied
    rows[0].first = first
    rows[0].count = tree.run_count - first
    return 0


cdef Stream *_append(Tree tree, uint32_t node, const Attr *row) noexcept nogil:
    cdef Stream *stream = &tree.streams[tree.stream_count]
    memset(stream, 0, sizeof(Stream))
    if tree.nodes[node].stream_count == 0:
        tree.nodes[node].first_stream = tree.stream_count
    tree.nodes[node].stream_count += 1
    tree.stream_count += 1
    stream.node = node
    stream.size = row.size
    stream.allocated = row.occupied * tree.cluster_size
    stream.name_offset = row.name_offset
    stream.name_size = row.name_size
    stream.first_run = row.first
    stream.run_count = row.count
    if row.resident:
        stream.flags |= RESIDENT
    if row.flags & ATTRIBUTE_SPARSE:
        stream.flags |= SPARSE
    if row.flags & ATTRIBUTE_ENCRYPTED:
        stream.flags |= ENCRYPTED | BY_LIBRARY
    if row.flags & ATTRIBUTE_COMPRESSED:
        stream.flags |= COMPRESSED if row.resident else COMPRESSED | BY_LIBRARY
    return stream


cdef int _data(Tree tree, uint32_t node, Attr *rows, uint32_t count, bint extents) noexcept nogil:
    """Appends one data stream, made of `count` extents."""
    cdef int problem
    cdef Stream *stream
    if count > 1:
        if not extents:
            return SAME_ATTRIBUTE
        problem = _join(tree, rows, count)
        if problem:
            return problem
    if not rows[0].resident and (rows[0].lowest_vcn or rows[0].size > rows[0].clusters * tree.cluster_size):
        return BAD_SIZES
    stream = _append(tree, node, &rows[0])
    stream.kind = DATA
    if stream.size == 0:
        stream.flags |= HASHED
    return 0


cdef int _reparse(Tree tree, uint32_t node, const Attr *row) noexcept nogil:
    """Appends an ordinary reparse point's data, without the header of 8 bytes."""
    cdef Stream *stream = _append(tree, node, row)
    cdef const uint8_t *value = tree.pool + row.first
    cdef uint32_t guid = 0 if u32(value) & 0x80000000u else 16
    if u16(value + 4) + 8 + guid > row.count or u32(value) == 0:
        return BAD_REPARSE
    tree.nodes[node].reparse_tag = u32(value)
    tree.nodes[node].reparse_extra = u16(value + 6)
    stream.kind = REPARSE
    stream.first_run += 8
    stream.run_count -= 8
    stream.size -= 8
    return 0


cdef int _overlay(Tree tree, uint32_t node, int kind, const Attr *value, const Attr *packed) noexcept nogil:
    """Makes the unnamed data what the overlay filter shows: a file of a WIM (POINTER) or `packed` (COMPACT)."""
    cdef Node *row = &tree.nodes[node]
    cdef Stream *stream
    cdef CompactPlace place
    if row.stream_count == 0 or (kind == COMPACT and packed == NULL):
        return BAD_WOF
    stream = &tree.streams[row.first_stream]
    if stream.kind != DATA or stream.name_size or stream.flags & (BY_LIBRARY | COMPRESSED):
        return BAD_WOF
    row.attributes &= ~<uint32_t> (SPARSE_FILE | REPARSE_POINT)
    stream.flags = kind
    stream.first_run = value.first
    stream.run_count = value.count
    if kind == POINTER:
        stream.flags |= HASHED
        memcpy(stream.hash, tree.pool + value.first + 32, 20)
        return 0
    stream.allocated += packed.occupied * tree.cluster_size
    place.size = packed.size
    place.first = packed.first
    place.count = packed.count
    place.resident = packed.resident
    stream.first_run = <uint32_t> tree.pool_bytes
    memcpy(tree.pool + tree.pool_bytes, tree.pool + value.first, value.count)
    tree.pool_bytes += value.count
    memcpy(tree.pool + tree.pool_bytes, &place, sizeof(CompactPlace))
    tree.pool_bytes += sizeof(CompactPlace)
    return 0


cdef int finish_node(Tree tree, uint32_t node, Attr *rows, uint32_t count, bint extents) noexcept nogil:
    cdef Attr *value = NULL
    cdef Attr *packed = NULL
    cdef uint32_t i = 0, j
    cdef int overlay = 0, problem = 0
    cdef Node *row = &tree.nodes[node]
    if count > 1:
        qsort_r(rows, count, sizeof(Attr), _order, tree.names)
    if count and rows[count - 1].kind == REPARSE_KIND:
        count -= 1
        value = &rows[count]
        if count and rows[count - 1].kind == REPARSE_KIND:
            return SAME_ATTRIBUTE
        if not value.resident or value.name_size or value.count < 8:
            return BAD_REPARSE
        if u32(tree.pool + value.first) == WOF_TAG and not row.attributes & DIRECTORY:
            overlay = _wof(tree.pool + value.first, value.count)
            if overlay < 0:
                return BAD_WOF
    if (value != NULL) != ((row.attributes & REPARSE_POINT) != 0):
        return BAD_REPARSE
    while i < count:
        j = i + 1
        while j < count and _same(tree, &rows[i], &rows[j]):
            j += 1
        problem = _data(tree, node, &rows[i], j - i, extents)
        if problem:
            return problem
        if overlay == COMPACT and rows[i].name_size == WOF_NAME_SIZE and not memcmp(tree.names + rows[i].name_offset,
                                                                                     WOF_NAME, WOF_NAME_SIZE):
            if rows[i].flags & (ATTRIBUTE_COMPRESSED | ATTRIBUTE_ENCRYPTED):
                return BAD_WOF
            packed = &rows[i]
            tree.stream_count -= 1      # not a stream of its own
            row.stream_count -= 1
        i = j
    if overlay:
        problem = _overlay(tree, node, overlay, value, packed)
    elif value != NULL:
        problem = _reparse(tree, node, value)
    if row.attributes & ~<uint32_t> INTERNAL == 0:
        row.attributes = NORMAL
    return problem
