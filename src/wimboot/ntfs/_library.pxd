"""One mounted volume as C sees it."""

from libc.stdint cimport int64_t, uint64_t

from wimboot.ntfs._bridge cimport Bridge
from wimboot.ntfs._ntfs3g cimport ntfs_attr, ntfs_inode, ntfs_volume, ntfschar
from wimboot.storage._device cimport Device


cdef class Mount:
    cdef Device device
    cdef Bridge bridge
    cdef ntfs_volume *volume
    cdef readonly str where
    cdef readonly bint writable
    cdef const char *call           # the function that failed last, and its errno
    cdef int code

    # C helpers return 0 or -1; a failure's function and errno are kept for `error`.
    cdef int fail(self, const char *call, int code) noexcept nogil
    cdef ntfs_inode *open_file(self, uint64_t file_id) noexcept nogil
    cdef int close_file(self, ntfs_inode *inode, int result) noexcept nogil
    cdef int release(self) noexcept nogil
    cdef int ready(self, bint change) except -1
    cdef int settle(self, int result, uint64_t file_id) except -1
    cdef object error(self, uint64_t file_id)
    cdef bytes _read(self, ntfs_attr *data, int64_t offset, int64_t size, uint64_t file_id)


cdef ntfschar *stream_name(bytes name)
