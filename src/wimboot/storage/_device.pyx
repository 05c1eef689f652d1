"""The byte protocol for C callers; see `_device.pxd`.

A `Device` is also a `File` of `storage.protocol`, so one chain serves Python and C: host file -> transaction's overlay
-> partition slice -> libntfs-3g. Where the file has a descriptor the calls go straight to the kernel; where it is a
wrapper (a recorder, a fault source) they go through its Python methods, so that a test sees every byte.
"""

from libc.errno cimport EIO, EINTR, errno
from libc.string cimport memcpy, memset
from posix.types cimport off_t

from wimboot.errors import HostError
from wimboot.storage.host import OutOfSpace

cdef extern from "<unistd.h>" nogil:
    ssize_t c_pread "pread"(int descriptor, void *buffer, size_t size, off_t offset)
    ssize_t c_pwrite "pwrite"(int descriptor, const void *buffer, size_t size, off_t offset)
    int c_fsync "fsync"(int descriptor)

cdef extern from "<string.h>" nogil:
    char *strerror(int code)

cdef extern from "<errno.h>" nogil:
    int ENOSPC


cdef class Device:
    """Bytes that C code can reach. Not for threads that write at once; any number may read."""

    cdef int read(self, void *buffer, int64_t size, int64_t offset) noexcept nogil:
        return EIO

    cdef int write(self, const void *buffer, int64_t size, int64_t offset) noexcept nogil:
        return EIO

    cdef int flush(self) noexcept nogil:
        return EIO

    cpdef check(self, int code, str what):
        """Raise for a C return code: the exception kept from Python if there is one, else a HostError."""
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        if code == ENOSPC:
            raise OutOfSpace(what=what, where="the volume")
        if code:
            raise HostError(what=what, where="the volume", why=strerror(code).decode(), errno=code)

    def pread(self, int64_t offset, int64_t size):
        if offset >= self.length:
            return b""
        size = min(size, self.length - offset)
        out = bytearray(size)
        cdef unsigned char[::1] view = out
        cdef int code = 0
        if size:
            with nogil:
                code = self.read(&view[0], size, offset)
        if code:
            self.check(code, "reading")
        return bytes(out)

    def pwrite(self, int64_t offset, data):
        cdef const unsigned char[::1] view = memoryview(data).cast("B")
        cdef int code = 0
        if view.shape[0]:
            with nogil:
                code = self.write(&view[0], view.shape[0], offset)
        if code:
            self.check(code, "writing")

    def truncate(self, int64_t size):
        raise HostError(what="resizing", where="the volume", why="its size is fixed")

    def sync(self):
        cdef int code
        with nogil:
            code = self.flush()
        if code:
            self.check(code, "syncing")

    def size(self):
        return self.length

    def close(self):
        pass


cdef class FileDevice(Device):
    """A `File` (host file, device, or a test's wrapper of one) for C callers."""

    def __init__(self, file):
        self.file = file
        self.length = file.size()
        fileno = getattr(file, "fileno", None)
        self.descriptor = fileno() if fileno is not None else -1

    cdef int read(self, void *buffer, int64_t size, int64_t offset) noexcept nogil:
        cdef ssize_t part
        if self.descriptor < 0:
            return self._slow_read(buffer, size, offset)
        while size > 0:
            part = c_pread(self.descriptor, buffer, size, offset)
            if part < 0:
                if errno == EINTR:
                    continue
                return errno
            if part == 0:
                memset(buffer, 0, size)
                return 0
            buffer = <char *> buffer + part
            size -= part
            offset += part
        return 0

    cdef int write(self, const void *buffer, int64_t size, int64_t offset) noexcept nogil:
        cdef ssize_t part
        if offset < 0 or offset + size > self.length:
            return EIO
        if self.descriptor < 0:
            return self._slow_write(buffer, size, offset)
        while size > 0:
            part = c_pwrite(self.descriptor, buffer, size, offset)
            if part < 0:
                if errno == EINTR:
                    continue
                return errno
            buffer = <const char *> buffer + part
            size -= part
            offset += part
        return 0

    cdef int flush(self) noexcept nogil:
        if self.descriptor < 0:
            return self._slow_flush()
        return errno if c_fsync(self.descriptor) else 0

    cdef int _slow_read(self, void *buffer, int64_t size, int64_t offset) noexcept with gil:
        try:
            data = self.file.pread(offset, size)
            memcpy(buffer, <const char *> data, len(data))
            memset(<char *> buffer + <int64_t> len(data), 0, size - <int64_t> len(data))
        except BaseException as error:
            self.failure = error
            return EIO
        return 0

    cdef int _slow_write(self, const void *buffer, int64_t size, int64_t offset) noexcept with gil:
        try:
            self.file.pwrite(offset, (<const char *> buffer)[:size])
        except BaseException as error:
            self.failure = error
            return EIO
        return 0

    cdef int _slow_flush(self) noexcept with gil:
        try:
            self.file.sync()
        except BaseException as error:
            self.failure = error
            return EIO
        return 0


cdef class SliceDevice(Device):
    """`size` bytes of another device from `start` on: a partition."""

    def __init__(self, Device base, int64_t start, int64_t size):
        if start < 0 or size < 0 or start + size > base.length:
            raise HostError(what="opening", where="a partition", why="it reaches past the end of its disk")
        self.base = base
        self.start = start
        self.length = size

    cdef int read(self, void *buffer, int64_t size, int64_t offset) noexcept nogil:
        if offset < 0 or offset + size > self.length:
            return EIO
        return self.base.read(buffer, size, self.start + offset)

    cdef int write(self, const void *buffer, int64_t size, int64_t offset) noexcept nogil:
        if offset < 0 or offset + size > self.length:
            return EIO
        return self.base.write(buffer, size, self.start + offset)

    cdef int flush(self) noexcept nogil:
        return self.base.flush()

    cpdef check(self, int code, str what):
        self.base.check(code, what)
