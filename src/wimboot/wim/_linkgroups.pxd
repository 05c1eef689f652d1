"""The hard-link groups of an image while it is read."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from wimboot.tree._tree cimport Tree


cdef class LinkGroups:
    cdef Tree tree
    cdef uint32_t *slots        # node + 1, 0 free
    cdef uint64_t mask, count, seed
    cdef uint64_t slot(self, uint64_t group, const uint8_t *hash) noexcept
    cdef int64_t find(self, uint64_t group, const uint8_t *hash) noexcept
    cdef int add(self, uint32_t node) except -1
    cdef int grow(self) except -1
