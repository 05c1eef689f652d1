"""The overlay as C sees it."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from wimboot.storage._device cimport Device, FileDevice


cdef enum:
    PAGE = 4096
    SECTOR = 512
    LEAF = 1024          # pages a leaf of the map covers
    TAIL = 256           # slots kept in memory
    UNKNOWN = 0          # in `fresh`: the slot has to be hashed anew; of a page that hashes to this that is so, too


cdef struct FreeMap:
    int64_t start
    int64_t unit_size
    int64_t count
    const unsigned char *bits


cdef class Appender(FileDevice):
    pass


cdef class Overlay(Device):
    cdef Device base
    cdef Appender log
    cdef int64_t data_offset
    cdef readonly int broken
    cdef bint log_failed
    cdef public str where
    cdef public str log_where
    cdef uint32_t **leaves
    cdef int64_t leaf_count
    cdef int64_t *pages
    cdef uint64_t *old
    cdef uint64_t *fresh
    cdef readonly int64_t logged_pages
    cdef readonly int64_t straight_size
    cdef int64_t room
    cdef int64_t written
    cdef unsigned char *tail
    cdef int64_t runs
    cdef int64_t witnesses[64]
    cdef FreeMap maps[8]
    cdef int map_count
    cdef object bitmaps
    cdef int64_t grown_from
    cdef public object before_growth

    cdef uint32_t slot_of(self, int64_t page) noexcept nogil
    cdef bint is_free(self, int64_t page) noexcept nogil
    cdef int spill(self) noexcept nogil
    cdef int log_run(self, int64_t page, int64_t count) noexcept nogil
    cdef int write_slot(self, const void *buffer, int64_t size, int64_t slot, int64_t inside) noexcept nogil
    cdef int write_pages(self, const unsigned char *buffer, int64_t size, int64_t offset) noexcept nogil
    cdef int begin_growth(self) noexcept with gil
    cdef int widen(self, int64_t length) noexcept nogil
    cdef int grow(self, int64_t length) noexcept nogil
    cdef void spoil(self, int code) noexcept nogil
