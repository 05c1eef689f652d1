"""Streams marked as sparse, in C."""

from wimboot.ntfs._names cimport Names
from wimboot.ntfs._ntfs3g cimport ntfs_inode, ntfschar


cdef int mark_sparse(Names volume, ntfs_inode *inode, ntfschar *name, int size) noexcept nogil
