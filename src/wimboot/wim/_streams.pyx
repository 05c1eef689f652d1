"""Facts of many streams of a Tree at once, for the pipeline."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from wimboot.formats._hashindex cimport HashIndex
from wimboot.tree._stored cimport blob_key
from wimboot.tree._tree cimport HASHED, Stream, Tree

from array import array

cdef enum:
    BLOB_ROW = 50
    BLOB_SOLID = 0x10
    IS_NEW = 0
    IS_HASHED = 1
    IS_EMPTY = 2

NEW, KNOWN, EMPTY = IS_NEW, IS_HASHED, IS_EMPTY


def facts(Tree tree not None, streams):
    """(array('Q') of sizes, a byte each: NEW, KNOWN where the hash is known, EMPTY)."""
    cdef const unsigned int[::1] row = streams
    cdef Py_ssize_t count = row.shape[0], i
    sizes, states = array("Q", bytes(8 * count)), bytearray(count)
    cdef unsigned long long[::1] size = sizes
    cdef unsigned char[::1] state = states
    cdef Stream *stream
    for i in range(count):
        if row[i] >= tree.stream_count:
            raise IndexError(row[i])
        stream = &tree.streams[row[i]]
        size[i] = stream.size
        state[i] = IS_EMPTY if stream.size == 0 else IS_HASHED if stream.flags & HASHED else IS_NEW
    return sizes, states


def set_hashes(Tree tree not None, streams, Py_ssize_t first, list hashes):
    """Note the hashes of the streams from number `first` of `streams` on."""
    cdef const unsigned int[::1] row = streams
    cdef Py_ssize_t i
    cdef bytes digest
    cdef Stream *stream
    if first < 0 or first + len(hashes) > row.shape[0]:
        raise IndexError(first)
    for i in range(len(hashes)):
        digest = hashes[i]
        if row[first + i] >= tree.stream_count or len(digest) != 20:
            raise IndexError(row[first + i])
        stream = &tree.streams[row[first + i]]
        memcpy(stream.hash, <const char *> digest, 20)
        stream.flags |= HASHED


def fill_sizes(Tree tree not None, list indexes not None, bint solid_version):
    """Set the streams' sizes from the tables of a WIM's parts, given by their indexes.

    Returns the indices of the streams whose blob is missing, left at size 0.
    """
    cdef uint32_t i
    cdef int64_t row = -1
    cdef Stream *stream
    cdef HashIndex index
    missing = []
    for i in range(tree.stream_count):
        stream = &tree.streams[i]
        stream.size = 0
        if not stream.flags & HASHED or blob_key(stream.hash) == NULL:
            continue
        for index in indexes:
            row = index.find(stream.hash)
            if row >= 0:
                stream.size = _blob_size(index.raw + row * BLOB_ROW, solid_version)
                break
        else:
            missing.append(i)
    return missing


cdef inline uint64_t _blob_size(const uint8_t *row, bint solid_version) noexcept nogil:
    """The uncompressed size; a blob in a solid resource has it where others have that in the WIM."""
    cdef uint64_t value = 0
    if solid_version and row[7] & BLOB_SOLID:
        memcpy(&value, row, 7)
    else:
        memcpy(&value, row + 16, 8)
    return value
