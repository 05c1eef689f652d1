"""A file's names, in C: links, short names, moves, removal."""

from libc.stdint cimport uint64_t

from wimboot.ntfs._names cimport Name
from wimboot.ntfs._ntfs3g cimport ntfs_attr_search_ctx, ntfs_inode
from wimboot.ntfs._pointers cimport Pointers


cdef class Links(Pointers):
    cdef int seek_name(self, ntfs_attr_search_ctx *context, uint64_t parent, Name name) noexcept nogil
    cdef int seek_short(self, ntfs_attr_search_ctx *context) noexcept nogil
    cdef int seek_partner(self, ntfs_attr_search_ctx *context) noexcept nogil
    cdef int long_names(self, ntfs_attr_search_ctx *context) noexcept nogil
    cdef int add_name(self, ntfs_inode *inode, uint64_t parent, Name name, int kind) noexcept nogil
    cdef int drop_name(self, ntfs_inode *inode, ntfs_attr_search_ctx *context) noexcept nogil
    cdef int set_kind(self, ntfs_inode *inode, ntfs_attr_search_ctx *context, int kind) noexcept nogil
    cdef int drop_short(self, ntfs_inode *inode, ntfs_attr_search_ctx *context) noexcept nogil
    cdef int give_short(self, ntfs_inode *inode, ntfs_attr_search_ctx *context, uint64_t parent, Name name,
                        Name short) noexcept nogil
    cdef int add_link(self, uint64_t file_id, uint64_t parent, Name name) noexcept nogil
    cdef int drop_link(self, uint64_t file_id, uint64_t parent, Name name, bint want_folder) noexcept nogil
    cdef int drop_one(self, ntfs_inode *inode, ntfs_attr_search_ctx *context, uint64_t parent, Name name) noexcept nogil
    cdef int erase(self, ntfs_inode *inode, uint64_t parent, Name name) noexcept nogil
    cdef int move(self, uint64_t file_id, uint64_t parent, Name name, uint64_t new_parent, Name new_name,
                  Name short) noexcept nogil
    cdef int move_open(self, ntfs_inode *inode, ntfs_attr_search_ctx *context, uint64_t new_parent, Name new_name,
                       Name short) noexcept nogil
    cdef int is_free(self, uint64_t parent, Name name) noexcept nogil
    cdef int is_outside(self, uint64_t folder, uint64_t file_id) noexcept nogil
    cdef int shorten(self, uint64_t file_id, uint64_t parent, Name name, Name short) noexcept nogil
    cdef int settle_name(self, int result, uint64_t file_id, uint64_t parent, bytes name) except -1
