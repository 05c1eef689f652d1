# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""libntfs-3g's device calls on one of our Devices, through a cache of its pages."""

from libc.errno cimport EINVAL, EIO, EOPNOTSUPP, EROFS
from libc.stdint cimport int64_t, uint8_t
from libc.stdio cimport SEEK_END

from wimboot.ntfs._ntfs3g cimport *
from wimboot.ntfs._pages cimport Reader, Writer, pages_flush, pages_free, pages_open, pages_read, pages_write
from wimboot.storage._device cimport Device

# The device calls. They run without the GIL, where Cython gives no way from a pointer to an object; so a Device is
# handed through as what it is in C, a pointer, by functions whose address the Bridge keeps.

cdef int device_read(Device device, void *buffer, int64_t size, int64_t offset) noexcept nogil:
    return device.read(buffer, size, offset)


cdef int device_write(Device device, const void *buffer, int64_t size, int64_t offset) noexcept nogil:
    return device.write(buffer, size, offset)


cdef int device_flush(Device device) noexcept nogil:
    return device.flush()


cdef int told(Bridge *bridge, int code) noexcept nogil:
    """Keep a failure and set errno; a success leaves it, for the library sets it early and returns late."""
    if not code:
        return 0
    if not bridge.code:
        bridge.code = code
    errno_set(code)
    return -1


cdef int op_open(ntfs_device *device, int flags) noexcept nogil:
    NDevSetOpen(device)
    if not (<Bridge *> device.d_private).writable:
        NDevSetReadOnly(device)
    return 0


cdef int op_close(ntfs_device *device) noexcept nogil:
    NDevClearOpen(device)
    NDevClearDirty(device)
    return 0


cdef int64_t op_seek(ntfs_device *device, int64_t offset, int whence) noexcept nogil:
    return (<Bridge *> device.d_private).pages.size + offset if whence == SEEK_END else offset


cdef int64_t op_pread(ntfs_device *device, void *buffer, int64_t size, int64_t offset) noexcept nogil:
    cdef Bridge *bridge = <Bridge *> device.d_private
    if offset < 0 or size < 0:
        errno_set(EINVAL)
        return -1
    size = max(min(size, bridge.pages.size - offset), 0)
    if told(bridge, pages_read(&bridge.pages, <uint8_t *> buffer, size, offset)):
        return -1
    return size


cdef int64_t op_pwrite(ntfs_device *device, const void *buffer, int64_t size, int64_t offset) noexcept nogil:
    cdef Bridge *bridge = <Bridge *> device.d_private
    if not bridge.writable:
        errno_set(EROFS)
        return -1
    if offset < 0 or size < 0 or size > bridge.pages.size - offset:
        told(bridge, EIO)
        return -1
    NDevSetDirty(device)
    if told(bridge, pages_write(&bridge.pages, <const uint8_t *> buffer, size, offset)):
        return -1
    return size


cdef int op_sync(ntfs_device *device) noexcept nogil:
    cdef Bridge *bridge = <Bridge *> device.d_private
    if not bridge.writable:
        return 0
    NDevClearDirty(device)
    if told(bridge, pages_flush(&bridge.pages)):
        return -1
    return told(bridge, bridge.flush(bridge.pages.device))


cdef int64_t op_read(ntfs_device *device, void *buffer, int64_t size) noexcept nogil:
    errno_set(EOPNOTSUPP)   # the library reads and writes by position only
    return -1


cdef int64_t op_write(ntfs_device *device, const void *buffer, int64_t size) noexcept nogil:
    errno_set(EOPNOTSUPP)
    return -1


cdef int op_stat(ntfs_device *device, stat_t *buffer) noexcept nogil:
    errno_set(EOPNOTSUPP)
    return -1


cdef int op_ioctl(ntfs_device *device, unsigned long request, void *argument) noexcept nogil:
    errno_set(EOPNOTSUPP)   # asked once, to set a block size: nothing to do here
    return -1


cdef ntfs_device_operations OPERATIONS
OPERATIONS.open = op_open
OPERATIONS.close = op_close
OPERATIONS.seek = op_seek
OPERATIONS.read = op_read
OPERATIONS.write = op_write
OPERATIONS.pread = op_pread
OPERATIONS.pwrite = op_pwrite
OPERATIONS.sync = op_sync
OPERATIONS.stat = op_stat
OPERATIONS.ioctl = op_ioctl


cdef int bridge_open(Bridge *bridge, Device device, bint writable) except -1:
    """The caller keeps the device alive."""
    bridge.code, bridge.writable, bridge.flush = 0, writable, <Flusher> device_flush
    if pages_open(&bridge.pages, <void *> device, device.length, <Reader> device_read, <Writer> device_write):
        raise MemoryError
    return 0


cdef void bridge_free(Bridge *bridge) noexcept:
    pages_free(&bridge.pages)


cdef ntfs_device *bridge_device(Bridge *bridge) except NULL:
    """What the library mounts; it frees it, once mounted."""
    cdef ntfs_device *device = ntfs_device_alloc(b"volume", 0, &OPERATIONS, bridge)
    if device == NULL:
        raise MemoryError
    return device
