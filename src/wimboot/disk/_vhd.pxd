"""A VHD that grows, as C sees it."""

from libc.stdint cimport int64_t, uint32_t

from wimboot.disk._overlay cimport Overlay
from wimboot.storage._device cimport Device


cdef class SparseDisk(Device):
    cdef Device base
    cdef Device parent
    cdef Overlay overlay
    cdef bint parent_failed
    cdef public bint head_is_broken
    cdef public bint tail_is_broken
    cdef uint32_t *table
    cdef int64_t table_offset
    cdef int64_t blocks
    cdef int shift
    cdef int64_t block_size
    cdef int64_t bitmap_size
    cdef readonly int64_t footer_offset
    cdef unsigned char footer[512]
    cdef unsigned char **bitmaps
    cdef unsigned char *whole
    cdef unsigned char *scratch

    cdef int64_t place(self, int64_t block) noexcept nogil
    cdef int load_bitmap(self, int64_t block) noexcept nogil
    cdef int read_below(self, void *buffer, int64_t size, int64_t offset) noexcept nogil
    cdef int read_mixed(self, unsigned char *out, int64_t size, int64_t block, int64_t inside) noexcept nogil
    cdef int keep_edges(self, unsigned char *data, int64_t size, int64_t offset) noexcept nogil
    cdef int write_mixed(self, const unsigned char *data, int64_t size, int64_t block, int64_t inside) noexcept nogil
    cdef int mark(self, int64_t block, int64_t first, int64_t last) noexcept nogil
    cdef int is_nothing_new(self, const unsigned char *data, int64_t size, int64_t offset) noexcept nogil
    cdef int allocate(self, const unsigned char *data, int64_t size, int64_t block, int64_t inside) noexcept nogil
    cdef int write_blocks(self, const unsigned char *data, int64_t size, int64_t offset) noexcept nogil
