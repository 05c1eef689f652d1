"""A small write-back cache of a device's pages."""

from libc.stdint cimport int64_t, uint8_t

ctypedef int (*Reader)(void *, void *, int64_t, int64_t) noexcept nogil
ctypedef int (*Writer)(void *, const void *, int64_t, int64_t) noexcept nogil

cdef enum:
    PAGE = 4096
    SLOTS = 4096            # 16 MiB; the memory is taken as it is used
    DIRECT = 32 << 10       # larger reads and writes go past the cache


cdef struct Pages:
    void *device
    int64_t size            # of the device
    Reader read
    Writer write
    int64_t *page           # which page a slot holds, -1 none
    uint8_t *dirty
    uint8_t *bytes


cdef int pages_open(Pages *pages, void *device, int64_t size, Reader read, Writer write) noexcept nogil
cdef void pages_free(Pages *pages) noexcept nogil
# Each returns 0 or the device's errno.
cdef int pages_read(Pages *pages, uint8_t *buffer, int64_t size, int64_t offset) noexcept nogil
cdef int pages_write(Pages *pages, const uint8_t *data, int64_t size, int64_t offset) noexcept nogil
cdef int pages_flush(Pages *pages) noexcept nogil
