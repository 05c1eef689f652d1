"""One pass over the raw bytes of a blob table; the loops of blobtable.py that run for every blob."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from wimboot.formats._hashindex cimport HashIndex

from array import array

from wimboot.errors import FormatError

cdef enum:
    ROW = 50
    HASH = 20
    FREE = 0x01
    METADATA = 0x02
    COMPRESSED = 0x04
    SPANNED = 0x08
    SOLID = 0x10

cdef uint8_t NO_HASH[20]


cdef inline uint64_t number(const uint8_t *data, int size) noexcept nogil:
    cdef uint64_t value = 0
    memcpy(&value, data, size)
    return value


def scan(bytes table, uint32_t part_number, bint solid_version, uint64_t file_size):
    """Index a table: (index of its hashes, rows of metadata in order, rows with the solid flag, end of the last
    resource).

    Rows that readers skip (no hash, no size, another part, free, metadata that nothing refers to) and later rows of a
    hash are left out. Raises FormatError where a row cannot be right.
    """
    cdef const uint8_t *raw = table
    cdef Py_ssize_t count = len(table) // ROW, row
    cdef const uint8_t *entry
    cdef uint64_t in_wim, offset, size, end = 0
    cdef uint32_t flags, references
    cdef bint solid
    cdef HashIndex index = HashIndex(table)
    cdef list metadata = [], solids = []
    if len(table) % ROW:
        raise FormatError("blob table", len(table), "its last entry is cut short")
    for row in range(count):
        entry = raw + row * ROW
        in_wim = number(entry, 7)
        flags = entry[7]
        offset = number(entry + 8, 8)
        size = number(entry + 16, 8)
        references = <uint32_t> number(entry + 26, 4)
        solid = solid_version and flags & SOLID
        if number(entry + 24, 2) != part_number:
            continue
        if solid:
            solids.append(row)
            if flags & METADATA:
                raise FormatError("blob table", row * ROW, "an image's metadata lies in a solid resource")
            if size != 0x100000000 and memcmp(entry + 30, NO_HASH, 20) != 0:
                index.add(<uint32_t> row)
            continue
        if memcmp(entry + 30, NO_HASH, 20) == 0 or size == 0 or flags & FREE:
            continue
        if flags & METADATA and references == 0:
            continue
        if in_wim == 0 or offset > file_size or in_wim > file_size - offset:
            raise FormatError("blob table", row * ROW, f"a blob ends at {offset + in_wim:,}, the file at {file_size:,}")
        if not flags & COMPRESSED and in_wim != size:
            raise FormatError("blob table", row * ROW, f"a raw blob of {size:,} bytes takes {in_wim:,}")
        if flags & SPANNED:
            raise FormatError("blob table", row * ROW, "a blob spans the parts of a split WIM")
        if offset + in_wim > end:
            end = offset + in_wim
        if flags & METADATA:
            if references > 1:
                raise FormatError("blob table", row * ROW, f"an image's metadata has {references} references")
            metadata.append(row)
        else:
            index.add(<uint32_t> row)
    return index, metadata, solids, end


def add_references(bytearray table, const uint8_t[::1] digests, const unsigned int[::1] counts):
    """Add counts to the reference counts of the rows with these hashes of 20 bytes, one behind the other."""
    cdef bytes copy = bytes(table)
    cdef HashIndex index = HashIndex(copy)
    cdef uint8_t *raw = table
    cdef Py_ssize_t row, i
    cdef int64_t found
    cdef uint64_t total
    cdef uint32_t kept
    if digests.shape[0] != HASH * counts.shape[0]:
        raise ValueError("a count for each hash")
    for row in range(len(copy) // ROW):
        index.add(<uint32_t> row)
    for i in range(counts.shape[0]):
        found = index.find(&digests[i * HASH])
        if found >= 0:
            total = number(raw + found * ROW + 26, 4) + counts[i]
            kept = <uint32_t> min(total, <uint64_t> 0xFFFFFFFF)
            memcpy(raw + found * ROW + 26, &kept, 4)


def kept_rows(bytes table, HashIndex index):
    """The indexed rows one behind the other, in their order, with a reference count of at least 1."""
    cdef bytearray out = bytearray(ROW * index.count)
    cdef uint8_t *to = out
    cdef Py_ssize_t row
    rows = index.rows()
    for row in rows:
        memcpy(to, index.raw + row * ROW, ROW)
        if number(to + 26, 4) == 0:
            to[26] = 1
        to += ROW
    return bytes(out)


def sizes(bytes table, uint64_t least):
    """The set of uncompressed sizes from `least` on."""
    cdef const uint8_t *raw = table
    cdef Py_ssize_t row
    cdef uint64_t size
    cdef set found = set()
    for row in range(len(table) // ROW):
        size = number(raw + row * ROW + 16, 8)
        if size >= least:
            found.add(size)
    return found


def in_file_order(bytes table, rows):
    """The rows sorted by where their blobs lie."""
    cdef const uint8_t *raw = table
    cdef Py_ssize_t limit = len(table) // ROW, row
    cdef list keyed = []
    for found in rows:
        row = found
        if not 0 <= row < limit:
            raise IndexError(row)
        keyed.append((number(raw + row * ROW + 8, 8), row))
    keyed.sort()
    return [row for _, row in keyed]


cdef bint takes(const uint8_t *entry, uint64_t size_limit) noexcept nogil:
    """Whether a pointer can lead to the blob of a row.

    Windows' driver takes a blob for compressed exactly where its two sizes differ, so a blob flagged as compressed must
    have shrunk and one that is not must not have.
    """
    cdef uint64_t in_wim = number(entry, 7), size = number(entry + 16, 8)
    if entry[7] & SOLID or size > size_limit:
        return False
    return in_wim < size if entry[7] & COMPRESSED else in_wim == size


def pointer_places(bytes table, HashIndex index, hashes, uint64_t size_limit):
    """For each hash (offset, size in the WIM), as a pointer carries them; None where none can lead to that blob."""
    cdef const uint8_t *raw = table
    cdef const uint8_t *entry
    cdef int64_t row
    cdef list out = []
    for sha1 in hashes:
        row = index.row_of(sha1)
        if row < 0:
            out.append(None)
            continue
        entry = raw + row * ROW
        out.append((number(entry + 8, 8), number(entry, 7)) if takes(entry, size_limit) else None)
    return out


def place_columns(bytes table, HashIndex index, hashes, uint64_t size_limit):
    """`pointer_places` in numbers: for each 20 bytes of `hashes` an offset and a size in the WIM; both 0 for None."""
    cdef const uint8_t *raw = table
    cdef const uint8_t *entry
    cdef const uint8_t[::1] view = hashes
    cdef Py_ssize_t count = view.shape[0] // HASH, i
    cdef int64_t row
    out = array("Q", bytes(16 * count))
    cdef uint64_t[::1] numbers = out
    for i in range(count):
        row = index.find(&view[i * HASH])
        if row >= 0:
            entry = raw + row * ROW
            if takes(entry, size_limit):
                numbers[2 * i], numbers[2 * i + 1] = number(entry + 8, 8), number(entry, 7)
    return out
