"""Values of many reparse points at once, in C."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from wimboot.ntfs._contents cimport Contents

cdef struct Change:             # one file's new value
    uint64_t file_id
    const uint8_t *value


cdef class Refresh(Contents):
    cdef uint64_t refused       # the file worked on last

    cdef int patch(self, uint8_t *record, const Change *change, uint32_t size) noexcept nogil
    cdef int patch_value(self, uint8_t *record, const Change *change, uint32_t size) noexcept nogil
    cdef int patch_all(self, Change *changes, uint64_t count, uint32_t size, uint8_t *room, uint64_t *left) \
        noexcept nogil
    cdef int read_records(self, uint64_t first, uint32_t count, uint8_t *records) noexcept nogil
    cdef int write_pages(self, uint8_t *records, uint64_t first, uint8_t *changed, uint32_t count, uint32_t together) \
        noexcept nogil
    cdef int change_one(self, const Change *change, uint32_t size) noexcept nogil
