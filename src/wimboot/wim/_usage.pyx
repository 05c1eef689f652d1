"""Which blobs of a WIM are used by whom: marks, a byte for each row of its table, and their sums."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from array import array

from wimboot.formats._hashindex cimport HashIndex
from wimboot.tree._stored cimport blob_key
from wimboot.tree._tree cimport HASHED, POINTER, Stream, Tree

cdef enum:
    ROW = 50
    SOLID = 0x10
    SOURCE_OFFSET = 0x18    # u64 of a reparse value, as formats.reparse.WimPointer has it
    VALUE_SIZE = 0x34       # of the shortest value that has a hash


cdef inline uint64_t _number(const uint8_t *data, int size) noexcept nogil:
    cdef uint64_t value = 0
    memcpy(&value, data, size)
    return value


cdef int _mark(const uint8_t *digest, list indexes, list marks, uint64_t *in_wim) except -1:
    """Mark the blob in the first part that has it; 0 where none does. `in_wim` is its size there."""
    cdef HashIndex index
    cdef int64_t row
    cdef Py_ssize_t part
    cdef bytearray mark
    cdef uint8_t *byte
    for part in range(len(indexes)):
        index = indexes[part]
        row = index.find(digest)
        if row >= 0:
            mark = marks[part]
            byte = mark
            byte[row] = 1
            in_wim[0] = _number(index.raw + row * ROW, 7)
            return 1
    return 0


def _check(list indexes, list marks):
    cdef HashIndex index
    cdef bytearray mark
    if len(indexes) != len(marks):
        raise ValueError("marks for each part")
    for index, mark in zip(indexes, marks):
        if len(mark) != len(index.table) // ROW:
            raise ValueError("one byte a row")


def mark_pointers(Tree tree not None, list indexes not None, list marks not None, uint64_t data_source_id):
    """Mark the blobs that the pointers of a data source name.

    Returns (pointers, bytes as Windows sees them, bytes in the WIM were each pointer to have its own, pointers whose
    blob is missing).
    """
    cdef uint64_t pointers = 0, seen = 0, apart = 0, missing = 0, source, in_wim = 0
    cdef Py_ssize_t i
    cdef Stream *stream
    _check(indexes, marks)
    for i in range(tree.stream_count):
        stream = &tree.streams[i]
        if not stream.flags & POINTER or stream.run_count < VALUE_SIZE:
            continue
        memcpy(&source, tree.pool + stream.first_run + SOURCE_OFFSET, 8)
        if source != data_source_id:
            continue
        pointers += 1
        seen += stream.size
        if _mark(stream.hash, indexes, marks, &in_wim):
            apart += in_wim
        else:
            missing += 1
    return pointers, seen, apart, missing


def mark_streams(Tree tree not None, list indexes not None, list marks not None):
    """Mark the blobs of an image's streams; the number of those that are missing."""
    cdef uint64_t missing = 0, in_wim = 0
    cdef Py_ssize_t i
    cdef Stream *stream
    _check(indexes, marks)
    for i in range(tree.stream_count):
        stream = &tree.streams[i]
        if stream.flags & HASHED and blob_key(stream.hash) != NULL and not _mark(stream.hash, indexes, marks, &in_wim):
            missing += 1
    return missing


def tally(HashIndex index not None, list marks not None, bint solid_version):
    """What users' blobs amount to: one tuple a user, one for those that any of them marks, one for all blobs.

    Each is (blobs, bytes, bytes in the WIM, and the same three of blobs that only this user marks). A solid blob has no
    size of its own in the WIM: it counts with its real size, and 0 there.
    """
    cdef Py_ssize_t users = len(marks), rows = len(index.table) // ROW, row, user, last = 0, marked
    sums = array("Q", bytes(8 * 6 * (users + 2)))
    cdef uint64_t[::1] total = sums
    cdef uint64_t size, in_wim
    cdef const uint8_t *entry
    cdef bytearray mark
    cdef bytearray pointers = bytearray(sizeof(void *) * max(users, 1))
    cdef const uint8_t **column = <const uint8_t **> <char *> pointers
    for user in range(users):
        mark = marks[user]
        if len(mark) != rows:
            raise ValueError("one byte a row")
        column[user] = mark
    for row in index.rows():
        entry = index.raw + row * ROW
        size, in_wim = _number(entry + 16, 8), _number(entry, 7)
        if solid_version and entry[7] & SOLID:
            size, in_wim = in_wim, 0
        marked = 0
        for user in range(users):
            if column[user][row]:
                marked += 1
                last = user
                _add(&total[6 * user], size, in_wim)
        if marked:
            _add(&total[6 * users], size, in_wim)
        if marked == 1:
            _add(&total[6 * last + 3], size, in_wim)
        _add(&total[6 * (users + 1)], size, in_wim)
    return [tuple(sums[6 * user:6 * user + 6]) for user in range(users + 2)]


cdef inline void _add(uint64_t *sums, uint64_t size, uint64_t in_wim) noexcept nogil:
    sums[0] += 1
    sums[1] += size
    sums[2] += in_wim
