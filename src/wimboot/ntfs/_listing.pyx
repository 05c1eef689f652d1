# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""The names in one folder of a mounted volume, without a scan of the whole of it."""

from libc.errno cimport ENOTDIR, errno
from libc.stdint cimport int64_t, uint64_t
from cpython.bytes cimport PyBytes_FromStringAndSize

from wimboot.ntfs._library cimport Mount
from wimboot.ntfs._ntfs3g cimport *


cdef extern from *:
    """
    #include "dir.h"
    """
    ctypedef int (*filldir "ntfs_filldir_t")(void *out, const ntfschar *name, const int size, const int kind,
                                             const int64_t place, const uint64_t file, const unsigned type) noexcept
    int ntfs_readdir(ntfs_inode *folder, int64_t *place, void *out, filldir take)


cdef enum:
    DOS_NAME = 2
    DOT = 0x2E
    USER_RECORDS = 16       # the records before are NTFS' own, which are not listed


cdef class _Taken:
    cdef list names
    cdef Py_ssize_t limit
    cdef bint full


cdef int take(void *out, const ntfschar *name, const int size, const int kind, const int64_t place,
              const uint64_t file, const unsigned type) noexcept:
    cdef _Taken taken = <_Taken> out
    if kind == DOS_NAME or MREF(file) < USER_RECORDS:
        return 0
    if name[0] == DOT and (size == 1 or (size == 2 and name[1] == DOT)):    # made up by the library
        return 0
    if len(taken.names) >= taken.limit:
        taken.full = True
        return -1
    try:
        taken.names.append((PyBytes_FromStringAndSize(<const char *> name, 2 * size), file))
    except MemoryError:
        taken.full = True
        return -1
    return 0


def list_folder(Mount volume not None, uint64_t file_id, Py_ssize_t limit):
    """(name in UTF-16LE, file reference) of each entry, short names left out, at most `limit`; whether there are more.

    Raises FileNotFound, NotAFolder, VolumeDamaged.
    """
    cdef _Taken taken = _Taken()
    cdef ntfs_inode *inode
    cdef int64_t place = 0
    cdef int result = 0
    taken.names = []
    taken.limit = limit
    volume.ready(False)
    result = volume.release()
    inode = NULL if result else volume.open_file(file_id)
    if inode == NULL:
        result = -1
    elif not inode.mrec.flags & MFT_RECORD_IS_DIRECTORY:
        result = volume.close_file(inode, volume.fail(b"listing", ENOTDIR))
    else:
        errno_set(0)
        if ntfs_readdir(inode, &place, <void *> taken, take) and not taken.full:
            result = volume.fail(b"ntfs_readdir", errno)
        result = volume.close_file(inode, result)
    volume.settle(result, file_id)
    return taken.names, bool(taken.full)
