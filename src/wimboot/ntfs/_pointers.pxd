"""Pointers and new files, in C."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from wimboot.ntfs._ntfs3g cimport FILE_NAME_ATTR, ntfs_inode
from wimboot.ntfs._names cimport Name
from wimboot.ntfs._objectids cimport ObjectIds

cdef enum:
    PLAIN_BITS = 0x1A3127       # what can simply be set: READONLY, HIDDEN, SYSTEM, ARCHIVE, TEMPORARY, OFFLINE,
                                # NOT_CONTENT_INDEXED, NO_SCRUB_DATA, PINNED, UNPINNED


cdef struct Facts:          # of a new file
    uint32_t attributes     # as Windows shows them
    uint32_t security       # id in $Secure
    int64_t creation, write, access
    int64_t size            # of a pointer, or of `data`
    const uint8_t *data     # of a small file; NULL: empty
    const uint8_t *reparse  # NULL: no reparse point
    int64_t reparse_size
    bint is_folder
    bint is_pointer


cdef class Pointers(ObjectIds):
    cdef int hole(self, ntfs_inode *inode, int64_t size) noexcept nogil
    cdef int hole_by_library(self, ntfs_inode *inode, int64_t size) noexcept nogil
    cdef int empty_data(self, ntfs_inode *inode) noexcept nogil
    cdef int point_at(self, uint64_t file_id, const uint8_t *value, int64_t value_size, int64_t size) noexcept nogil
    cdef int make(self, uint64_t parent, Name name, Name short, Facts *facts, uint64_t *file_id) noexcept nogil
    cdef int enter_both(self, ntfs_inode *folder, FILE_NAME_ATTR *name, FILE_NAME_ATTR *short,
                        uint64_t reference) noexcept nogil
    cdef int furnish(self, ntfs_inode *inode, Facts *facts, FILE_NAME_ATTR *name, FILE_NAME_ATTR *short) noexcept nogil
    cdef int furnish_content(self, ntfs_inode *inode, Facts *facts) noexcept nogil
    cdef object make_checked(self, uint64_t parent, bytes name, bytes short, Facts *facts)
