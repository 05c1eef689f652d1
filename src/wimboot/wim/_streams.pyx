"""Facts of many streams of a Tree at once, for the pipeline."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from wimboot.tree._tree cimport HASHED, Stream, Tree

from array import array

cdef enum:
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
