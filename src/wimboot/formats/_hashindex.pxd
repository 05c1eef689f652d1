from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef class HashIndex:
    cdef bytes table
    cdef const uint8_t *raw
    cdef uint32_t *slots        # row + 1, 0 where empty
    cdef uint64_t mask
    cdef uint64_t key[3]
    cdef readonly Py_ssize_t count

    cdef uint64_t place(self, const uint8_t *digest) noexcept nogil
    cdef int64_t row_of(self, object sha1) except -2
    cdef int64_t find(self, const uint8_t *digest) noexcept nogil
    cdef bint add(self, uint32_t row) noexcept nogil
