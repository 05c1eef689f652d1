"""The byte protocol as C sees it: what libntfs-3g, the $MFT pass and the batch reader call without the GIL."""

from libc.stdint cimport int64_t
from posix.types cimport off_t

cdef extern from "<fcntl.h>" nogil:
    int sync_file_range(int descriptor, off_t offset, off_t size, unsigned int flags)
    int SYNC_FILE_RANGE_WRITE


cdef class Device:
    # Each returns 0 or an errno. `read` past the end gives zeros and sets nothing; `write` past it is EIO.
    # A Python exception behind a callback is kept in `failure` and raised by `check`.
    cdef int64_t length
    cdef public object failure
    cdef int read(self, void *buffer, int64_t size, int64_t offset) noexcept nogil
    cdef int write(self, const void *buffer, int64_t size, int64_t offset) noexcept nogil
    cdef int flush(self) noexcept nogil
    cpdef check(self, int code, str what)


cdef class FileDevice(Device):
    cdef object file
    cdef int descriptor
    cdef int _slow_read(self, void *buffer, int64_t size, int64_t offset) noexcept with gil
    cdef int _slow_write(self, const void *buffer, int64_t size, int64_t offset) noexcept with gil
    cdef int _slow_flush(self) noexcept with gil


cdef class SliceDevice(Device):
    cdef Device base
    cdef int64_t start


cdef inline void push(FileDevice device, int64_t size, int64_t offset) noexcept nogil:
    # The kernel begins to write this out, so that the next sync is short.
    if device.descriptor >= 0:
        sync_file_range(device.descriptor, offset, size, SYNC_FILE_RANGE_WRITE)
