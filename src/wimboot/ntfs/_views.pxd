"""The indexes of $Extend's files, kept open, in C."""

from wimboot.ntfs._names cimport Names
from wimboot.ntfs._ntfs3g cimport ntfs_index_context, ntfs_inode, ntfschar


cdef struct View:
    ntfs_inode *inode
    ntfs_index_context *index


cdef class Views(Names):
    cdef View reparse_view      # $Reparse:$R
    cdef View objects_view      # $ObjId:$O

    cdef int open_view(self, View *view, const ntfschar *name, int size, ntfschar *index) noexcept nogil
    cdef int close_view(self, View *view) noexcept nogil
    cdef int view_add(self, View *view, void *entry) noexcept nogil
    cdef int view_find(self, View *view, const void *key, int size) noexcept nogil
    cdef int view_remove(self, View *view, const void *key, int size) noexcept nogil
