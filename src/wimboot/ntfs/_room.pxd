"""Room for a stream that grows."""

from libc.stdint cimport int64_t

from wimboot.ntfs._ntfs3g cimport ntfs_attr

# Make a stream `wanted` bytes long, at least `size`, with clusters for all of it; 0 or an errno. Where free clusters
# lie scattered the library finds no room for many at once, says ENOSPC, and leaves everything as it was.
cdef int make_room(ntfs_attr *data, int64_t size, int64_t wanted, int64_t cluster_size) noexcept nogil
