# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""The indexes of $Extend's files: opened at the first use and kept, where the library opens, searches and closes them
for each entry, and falls over (a NULL block marked dirty) when one is damaged.
"""

from libc.errno cimport ENOENT, errno
from libc.stdint cimport uint64_t

from wimboot.ntfs._names cimport Names, close_up, removal
from wimboot.ntfs._ntfs3g cimport *


cdef class Views(Names):
    """A volume whose system indexes can be changed."""

    cdef int open_view(self, View *view, const ntfschar *name, int size, ntfschar *index) noexcept nogil:
        cdef ntfs_inode *extend
        cdef uint64_t found
        if view.index != NULL:
            return 0
        extend = self.open_file(FILE_Extend)
        if extend == NULL:
            return -1
        errno_set(0)
        found = ntfs_inode_lookup_by_name(extend, name, size)
        if found == <uint64_t> -1:
            return self.close_file(extend, self.fail(b"looking up a file of $Extend", errno))
        if self.close_file(extend, 0):
            return -1
        view.inode = self.open_file(found)
        if view.inode == NULL:
            return -1
        view.index = ntfs_index_ctx_get(view.inode, index, 2)
        if view.index == NULL:
            self.fail(b"ntfs_index_ctx_get", errno)
            self.close_view(view)
            return -1
        return 0

    cdef int close_view(self, View *view) noexcept nogil:
        cdef ntfs_inode *inode = view.inode
        if view.index != NULL:
            ntfs_index_ctx_put(view.index)
        view.index = NULL
        view.inode = NULL
        return self.close_file(inode, 0) if inode != NULL else 0

    cdef int release_all(self) noexcept nogil:
        cdef int result = self.close_view(&self.reparse_view)
        return self.close_view(&self.objects_view) | result

    cdef int view_find(self, View *view, const void *key, int size) noexcept nogil:
        """0: found, `view.index` stands at it. Else -1 and `code`, ENOENT where there is none."""
        ntfs_index_ctx_reinit(view.index)
        errno_set(0)
        return self.fail(b"ntfs_index_lookup", errno) if ntfs_index_lookup(key, size, view.index) else 0

    cdef int view_add(self, View *view, void *entry) noexcept nogil:
        close_up(self.volume)
        ntfs_index_ctx_reinit(view.index)
        errno_set(0)
        return self.tear(b"ntfs_ie_add") if ntfs_ie_add(view.index, <INDEX_ENTRY *> entry) else 0

    cdef int view_remove(self, View *view, const void *key, int size) noexcept nogil:
        """Take an entry out; that there is none is no error."""
        cdef int state = 1
        while state > 0:
            if self.view_find(view, key, size):
                if self.code == ENOENT:
                    return 0
                self.torn = True
                return -1
            state = removal(view.index)
        if not state:       # the library does not, where an entry of the root is replaced by one of its size
            ntfs_inode_mark_dirty(view.index.actx.ntfs_ino)
        return self.tear(b"ntfs_index_rm") if state else 0
