"""A file's facts, in C."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from wimboot.ntfs._links cimport Links
from wimboot.ntfs._ntfs3g cimport ntfs_attr, ntfs_inode, ntfschar


cdef class Changes(Links):
    cdef dict _security_ids         # descriptor: its id

    cdef ntfs_inode *open_changed(self, uint64_t file_id) except NULL
    cdef int give_security(self, ntfs_inode *inode, uint32_t security) noexcept nogil
    cdef int try_secure(self, const char *value, size_t size) noexcept nogil
    cdef int describe(self, const char *value, size_t size, uint32_t *security) noexcept nogil
