# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""Room for a stream that grows; see `_room.pxd`."""

from libc.errno cimport EIO, ENOSPC, errno

from wimboot.ntfs._ntfs3g cimport errno_set, ntfs_attr_truncate_solid

cdef enum:
    SCATTERED = 16          # clusters at once where they lie scattered


cdef int make_room(ntfs_attr *data, int64_t size, int64_t wanted, int64_t cluster_size) noexcept nogil:
    cdef int64_t step = SCATTERED * cluster_size
    while wanted > size or size - data.data_size > step:
        errno_set(0)
        if not ntfs_attr_truncate_solid(data, wanted):
            return 0
        if errno != ENOSPC:
            return errno if errno else EIO
        if wanted <= size:
            break
        wanted = max(size, data.data_size + (wanted - data.data_size) // 8)
    while data.data_size < size:
        wanted = min(size, (data.data_size // step + 1) * step)
        errno_set(0)
        if ntfs_attr_truncate_solid(data, wanted):
            return errno if errno else EIO
    return 0
