"""Files of a mounted volume, changed in C: names, index entries."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from wimboot.ntfs._library cimport Mount
from wimboot.ntfs._ntfs3g cimport (
    FILE_NAME_ATTR, ntfs_attr_search_ctx, ntfs_index_context, ntfs_inode, ntfs_volume, ntfschar,
)

cdef enum:
    NAME_MAX = 255
    NAME_ROOM = 66 + 2 * NAME_MAX


cdef struct Times:
    int64_t creation, write, change, access


cdef struct Name:
    const ntfschar *text
    int size                # UTF-16 code units; 0 none


cdef class Names(Mount):
    cdef ntfs_inode *folder                 # the folder worked in last, kept open
    cdef Times times                        # of the file being changed, as found
    cdef readonly bint torn                 # a change failed half-way: nothing more is written

    cdef int release_all(self) noexcept nogil
    cdef int tear(self, const char *call) noexcept nogil
    cdef int changing(self) except -1
    cdef ntfs_inode *folder_of(self, uint64_t reference) noexcept nogil
    cdef ntfs_inode *open_target(self, uint64_t file_id) noexcept nogil
    cdef int finish(self, ntfs_inode *inode, int result) noexcept nogil
    cdef int measure(self, ntfs_inode *inode) noexcept nogil
    cdef int sync_names(self, ntfs_inode *inode) noexcept nogil
    cdef int sync_entry(self, ntfs_inode *inode, FILE_NAME_ATTR *name, uint32_t tag) noexcept nogil
    cdef int find_tag(self, ntfs_inode *inode, uint32_t *tag) noexcept nogil
    cdef int enter(self, ntfs_inode *folder, FILE_NAME_ATTR *name, uint64_t reference) noexcept nogil
    cdef int leave(self, ntfs_inode *folder, FILE_NAME_ATTR *name) noexcept nogil


cdef void close_up(ntfs_volume *volume) noexcept nogil


cdef void fill_name(FILE_NAME_ATTR *entry, ntfs_inode *folder, ntfs_inode *inode, Name name, int kind,
                    uint32_t tag) noexcept nogil
cdef int own_short_name(Names volume, Name name, Name short) noexcept nogil
cdef Name checked_name(bytes name, bint short) except *
cdef FILE_NAME_ATTR *attribute_name(ntfs_attr_search_ctx *context) noexcept nogil
cdef int removal(ntfs_index_context *index) noexcept nogil
