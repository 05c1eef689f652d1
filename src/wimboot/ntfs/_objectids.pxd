"""Object ids and their index, in C."""

from libc.stdint cimport int64_t, uint8_t

from wimboot.ntfs._ntfs3g cimport ntfs_inode
from wimboot.ntfs._reparse cimport Reparse


cdef class ObjectIds(Reparse):
    cdef int open_objects(self) noexcept nogil
    cdef int give_object_id(self, ntfs_inode *inode, const uint8_t *value, int64_t size) noexcept nogil
    cdef int drop_object_id(self, ntfs_inode *inode) noexcept nogil
