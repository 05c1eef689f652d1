"""Contents of a volume's streams, for C callers too."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from wimboot.storage._device cimport Device
from wimboot.tree._tree cimport Run, Stream, Tree


cdef enum:
    PIECES = 256


cdef struct Piece:
    uint64_t inside         # where it stands in what is read at once
    uint64_t size
    uint64_t target         # where it belongs in the buffer


cdef struct Batch:          # several streams that lie close together, read with one call
    uint8_t *buffer
    uint64_t room           # of the buffer
    uint64_t at             # end of what belongs to the streams so far
    uint64_t place          # on the device, of what is pending
    uint64_t size           # of it, gaps counted
    uint64_t start          # in the buffer
    uint32_t count
    Piece pieces[PIECES]


cdef class Reader:
    cdef readonly Device device
    cdef readonly Tree tree
    cdef object by_library
    cdef object _kept               # (stream, bytes): the last that the library read
    cdef int _flush(self, Batch *batch) noexcept nogil
    cdef int _add(self, Batch *batch, uint64_t place, uint64_t size) noexcept nogil
    cdef int _whole(self, Batch *batch, const Stream *stream) noexcept nogil
    cdef int _window(self, const Run *runs, uint32_t count, uint64_t offset, uint64_t size,
                     uint8_t *buffer) noexcept nogil
    cdef bytes _library(self, uint32_t stream)
    cdef Stream *_plain(self, uint32_t stream) except NULL
    cdef uint64_t _fill_some(self, const uint32_t *streams, uint64_t first, uint64_t count, Batch *batch,
                             uint64_t *ends, int *code) noexcept nogil
