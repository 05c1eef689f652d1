"""A file's data and facts, in C."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from wimboot.ntfs._links cimport Links
from wimboot.ntfs._ntfs3g cimport ntfs_attr, ntfs_inode, ntfschar


cdef class Changes(Links):
    cdef dict _security_ids         # descriptor: its id

    cdef ntfs_inode *open_changed(self, uint64_t file_id) except NULL
    cdef int give_security(self, ntfs_inode *inode, uint32_t security) noexcept nogil
    cdef int try_secure(self, const char *value, size_t size) noexcept nogil
    cdef int describe(self, const char *value, size_t size, uint32_t *security) noexcept nogil
    cdef int drop_overlay(self, ntfs_inode *inode) noexcept nogil
    cdef int prepare_stream(self, ntfs_inode *inode, bytes name) except -1
    cdef int add_stream(self, ntfs_inode *inode, ntfschar *name, int size, bint compressed) noexcept nogil
    cdef int fill_stream(self, ntfs_inode *inode, bytes name, object parts, int64_t size, bint sparse,
                         bint compressed) except -1
    cdef int put(self, ntfs_attr *data, const uint8_t *buffer, int64_t offset, int64_t size, bint sparse) noexcept nogil
