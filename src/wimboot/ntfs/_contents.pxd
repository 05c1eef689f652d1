"""The contents of streams, in C."""

from libc.stdint cimport int64_t, uint8_t

from wimboot.ntfs._changes cimport Changes
from wimboot.ntfs._ntfs3g cimport ntfs_attr, ntfs_inode, ntfschar


cdef class Contents(Changes):
    cdef int drop_overlay(self, ntfs_inode *inode) noexcept nogil
    cdef int prepare_stream(self, ntfs_inode *inode, bytes name) except -1
    cdef int add_stream(self, ntfs_inode *inode, ntfschar *name, int size, bint compressed) noexcept nogil
    cdef int fill_stream(self, ntfs_inode *inode, bytes name, object parts, int64_t size, bint sparse,
                         bint compressed) except -1
    cdef int put(self, ntfs_attr *data, const uint8_t *buffer, int64_t offset, int64_t size, bint sparse) noexcept nogil
