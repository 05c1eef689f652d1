from libc.stdint cimport int32_t, uint32_t


cdef class Securities:
    cdef readonly list descriptors
    cdef uint32_t *_ids         # open addressing: id, index + 1
    cdef uint32_t *_indexes
    cdef uint32_t _mask
    cdef _fill(self, list ids)
    cdef int32_t find(self, uint32_t security_id) noexcept nogil    # index into descriptors, -1 none
