# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""Reparse points, and their index $Extend\\$Reparse."""

from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from wimboot.ntfs._ntfs3g cimport *
from wimboot.ntfs._views cimport Views

from wimboot.errors import FormatError

cdef enum:
    REPARSE_LIMIT = 16 << 10    # MAXIMUM_REPARSE_DATA_BUFFER_SIZE
    REPARSE_KEY_SIZE = 12

cdef ntfschar *REPARSE_NAME = [0x24, 0x52, 0x65, 0x70, 0x61, 0x72, 0x73, 0x65]     # $Reparse


cdef packed struct ReparseEntry:    # of $Extend\$Reparse:$R
    uint16_t data_offset, data_size
    uint32_t reserved_view
    uint16_t size, key_size, flags, reserved
    uint32_t tag
    uint64_t file_id
    uint32_t filling


cdef ReparseEntry reparse_entry(ntfs_inode *inode, uint32_t tag) noexcept nogil:
    cdef ReparseEntry entry
    memset(&entry, 0, sizeof(ReparseEntry))
    entry.data_offset = 16 + REPARSE_KEY_SIZE
    entry.size = sizeof(ReparseEntry)
    entry.key_size = REPARSE_KEY_SIZE
    entry.tag = tag
    entry.file_id = MK_MREF(inode.mft_no, inode.mrec.sequence_number)
    return entry


cdef int checked_reparse(bytes value) except -1:
    """A reparse value with its header: u32 tag, u16 size of what follows, u16 reserved. Raises FormatError."""
    if not 8 <= len(value) <= REPARSE_LIMIT:
        raise FormatError("the reparse value", 0, f"{len(value):,} bytes is no possible size")
    tag = int.from_bytes(value[:4], "little")
    if not tag:
        raise FormatError("the reparse value", 0, "it has no tag")
    header = 8 if tag & 0x80000000 else 24      # a tag not Microsoft's is followed by a GUID
    if int.from_bytes(value[4:6], "little") + header != len(value):
        raise FormatError("the reparse value", 4, "its size field does not agree with its size")
    return 0


cdef class Reparse(Views):
    """A volume whose files can become reparse points and cease to be."""

    cdef int open_reparse_index(self) noexcept nogil:
        return self.open_view(&self.reparse_view, REPARSE_NAME, 8, NTFS_INDEX_R)

    cdef int index_reparse(self, ntfs_inode *inode, uint32_t tag) noexcept nogil:
        cdef ReparseEntry entry = reparse_entry(inode, tag)
        return self.view_add(&self.reparse_view, &entry)

    cdef int unindex_reparse(self, ntfs_inode *inode, uint32_t tag) noexcept nogil:
        cdef ReparseEntry entry = reparse_entry(inode, tag)
        return self.view_remove(&self.reparse_view, &entry.tag, REPARSE_KEY_SIZE)

    cdef int add_reparse(self, ntfs_inode *inode, const uint8_t *value, int64_t size) noexcept nogil:
        """Make a file that is none a reparse point. One call adds the value, so that it is resident where it can be."""
        if self.open_reparse_index():
            self.torn = True
            return -1
        errno_set(0)
        if ntfs_attr_add(inode, AT_REPARSE_POINT, AT_UNNAMED, 0, value, size):
            return self.tear(b"ntfs_attr_add")
        inode.flags |= FILE_ATTR_REPARSE_POINT
        return self.index_reparse(inode, (<const uint32_t *> value)[0])

    cdef int drop_reparse(self, ntfs_inode *inode) noexcept nogil:
        """Make a reparse point a plain file or folder again; nothing where it is none."""
        cdef uint32_t tag
        if not inode.flags & FILE_ATTR_REPARSE_POINT:
            return 0
        if self.open_reparse_index() or self.find_tag(inode, &tag) or self.unindex_reparse(inode, tag):
            return -1
        errno_set(0)
        if ntfs_attr_remove(inode, AT_REPARSE_POINT, AT_UNNAMED, 0):
            return self.tear(b"ntfs_attr_remove")
        inode.flags &= ~<uint32_t> FILE_ATTR_REPARSE_POINT
        return 0

    cdef int replace_value(self, ntfs_inode *inode, const uint8_t *value, int64_t size) noexcept nogil:
        """A value of the same tag and size in place, where it lies in a record; else out and in again."""
        cdef ntfs_attr_search_ctx *context = ntfs_attr_get_search_ctx(inode, NULL)
        cdef uint8_t *old
        cdef bint done = False
        if context == NULL:
            return self.fail(b"ntfs_attr_get_search_ctx", errno)
        if (not ntfs_attr_lookup(AT_REPARSE_POINT, AT_UNNAMED, 0, CASE_SENSITIVE, 0, NULL, 0, context)
                and not context.attr.non_resident and context.attr.value_length == size):
            old = <uint8_t *> context.attr + context.attr.value_offset
            if (<const uint32_t *> old)[0] == (<const uint32_t *> value)[0]:
                memcpy(old, value, size)
                ntfs_inode_mark_dirty(context.ntfs_ino)
                done = True
        ntfs_attr_put_search_ctx(context)
        if done:
            return 0
        return self.drop_reparse(inode) or self.add_reparse(inode, value, size)
