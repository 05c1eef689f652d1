"""Reparse points and their index, in C."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from wimboot.ntfs._ntfs3g cimport ntfs_inode
from wimboot.ntfs._views cimport Views


cdef class Reparse(Views):
    cdef int open_reparse_index(self) noexcept nogil
    cdef int index_reparse(self, ntfs_inode *inode, uint32_t tag) noexcept nogil
    cdef int unindex_reparse(self, ntfs_inode *inode, uint32_t tag) noexcept nogil
    cdef int add_reparse(self, ntfs_inode *inode, const uint8_t *value, int64_t size) noexcept nogil
    cdef int drop_reparse(self, ntfs_inode *inode) noexcept nogil
    cdef int replace_value(self, ntfs_inode *inode, const uint8_t *value, int64_t size) noexcept nogil


cdef int checked_reparse(bytes value) except -1
