"""The overlay as C sees it, and the hash that the log's records use."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from wimboot.storage._device cimport Device, FileDevice


cdef inline uint64_t fold(const unsigned char *data, int64_t size) noexcept nogil:
    # A multiplicative fold of 64-bit words in the machine's order: each step is a bijection, so one changed word
    # always changes the result. It tells accidents, not attackers. `size` is a multiple of 8.
    cdef uint64_t state = <uint64_t> 0x9E3779B97F4A7C15 ^ <uint64_t> size
    cdef uint64_t word
    cdef int64_t i
    for i in range(size // 8):
        memcpy(&word, data + i * 8, 8)
        state = (state ^ word) * <uint64_t> 0xD6E8FEB86659FD93
        state ^= state >> 32
    return state


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
    cdef uint32_t **leaves
    cdef int64_t leaf_count
    cdef int64_t *pages
    cdef uint64_t *old
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

    cdef uint32_t slot_of(self, int64_t page) noexcept nogil
    cdef bint is_free(self, int64_t page) noexcept nogil
    cdef int spill(self) noexcept nogil
    cdef int log_run(self, int64_t page, int64_t count) noexcept nogil
    cdef int write_slot(self, const void *buffer, int64_t size, int64_t slot, int64_t inside) noexcept nogil
    cdef int write_pages(self, const unsigned char *buffer, int64_t size, int64_t offset) noexcept nogil
