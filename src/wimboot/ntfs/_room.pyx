# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""Room for a stream that grows; see `_room.pxd`."""

from libc.errno cimport EIO, ENOSPC, errno
from libc.stdint cimport uint8_t

from wimboot.ntfs._ntfs3g cimport errno_set, ntfs_attr_truncate_solid, ntfs_inode

cdef extern from "volume.h":
    cdef struct Zoned "_ntfs_volume":
        uint8_t full_zones

cdef extern from "attrib.h":
    cdef struct Owned "_ntfs_attr":
        ntfs_inode *ni

cdef enum:
    SCATTERED = 16          # clusters at once where they lie scattered


cdef int grow(ntfs_attr *data, int64_t size) noexcept nogil:
    """Make a stream `size` bytes long; 0 or an errno.

    The library calls a zone of the volume full when a search came to the zone's end, and looks there no more until
    something in it is freed. But a search takes only the largest piece of each part of the bitmap: the others stay
    free. So before a volume is full all of it is searched once more.
    """
    cdef Zoned *volume = <Zoned *> (<Owned *> data).ni.vol
    cdef bint partial = volume.full_zones != 0
    cdef int code = 0
    while True:
        errno_set(0)
        if not ntfs_attr_truncate_solid(data, size):
            return 0
        code = errno if errno else EIO
        if code != ENOSPC:
            return code
        volume.full_zones = 0       # what it had found is free again
        if not partial:
            return code
        partial = False


cdef int make_room(ntfs_attr *data, int64_t size, int64_t wanted, int64_t cluster_size) noexcept nogil:
    cdef int64_t step = SCATTERED * cluster_size
    cdef int code
    while wanted > size or size - data.data_size > step:
        code = grow(data, wanted)
        if not code:
            return 0
        if code != ENOSPC:
            return code
        if wanted <= size:
            break
        wanted = max(size, data.data_size + (wanted - data.data_size) // 8)
    while data.data_size < size:
        code = grow(data, min(size, (data.data_size // step + 1) * step))
        if code == ENOSPC and step > cluster_size:
            step = cluster_size     # one is found wherever it is
        elif code:
            return code
    return 0
