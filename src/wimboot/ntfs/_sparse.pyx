# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""Streams that are sparse without having a hole.

To Windows that is a property: it stays until it is taken away, whatever the data. The library has it follow the holes,
sets it with the first and clears it with the last; so it is set here when all data is written.

offset size field of an attribute outside of its record
0x0A   2    offset of the name, 8 more in a sparse one
0x0C   2    flags, 0x8000 sparse, in each extent
0x20   2    offset of the mapping pairs, 8 more in a sparse one
0x22   1    log2 of the clusters of a compression unit: 4, as Windows and the library set it
0x40   8    bytes of its clusters, only in a sparse or compressed one; what comes after stands 8 bytes further
"""

from libc.errno cimport ENOENT, ENOSPC, errno
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memmove

from wimboot.ntfs._names cimport Names
from wimboot.ntfs._ntfs3g cimport *

cdef enum:
    UNIT_BITS = 4
    SHORT_HEADER = 0x40     # of an attribute outside of its record
    FIELD = 8


cdef int make_room(Names volume, ntfs_inode *inode, ntfs_attr_search_ctx *context) noexcept nogil:
    """In a full record: let the attribute move to another. The context is to be used for a new search then."""
    errno_set(0)
    if not NInoAttrList(inode):
        return volume.tear(b"ntfs_inode_add_attrlist") if ntfs_inode_add_attrlist(inode) else 0
    return volume.tear(b"ntfs_attr_record_move_away") if ntfs_attr_record_move_away(context, FIELD) else 0


cdef bint widen(ntfs_attr_search_ctx *context) noexcept nogil:
    """Give an attribute outside of its record the field of sparse ones; False where there is no room for it."""
    cdef ATTR_RECORD *attribute = context.attr
    cdef uint32_t size = attribute.length
    if ntfs_attr_record_resize(context.mrec, attribute, size + FIELD):
        return False
    memmove(<uint8_t *> attribute + SHORT_HEADER + FIELD, <uint8_t *> attribute + SHORT_HEADER, size - SHORT_HEADER)
    if attribute.name_offset >= SHORT_HEADER:
        attribute.name_offset += FIELD
    attribute.mapping_pairs_offset += FIELD
    attribute.compression_unit = UNIT_BITS
    attribute.compressed_size = attribute.allocated_size
    return True


cdef int mark_first(Names volume, ntfs_inode *inode, ntfschar *name, int size, bint *again) noexcept nogil:
    """Mark the stream's first extent; `again` where it has moved and has to be looked for once more."""
    cdef ntfs_attr_search_ctx *context = ntfs_attr_get_search_ctx(inode, NULL)
    cdef int result = 0
    again[0] = False
    if context == NULL:
        return volume.tear(b"ntfs_attr_get_search_ctx")
    errno_set(0)
    if ntfs_attr_lookup(AT_DATA, name, size, CASE_SENSITIVE, 0, NULL, 0, context):
        result = volume.tear(b"ntfs_attr_lookup")
    elif (context.attr.flags & (ATTR_IS_SPARSE | ATTR_IS_COMPRESSED) or not context.attr.non_resident
            or widen(context)):
        context.attr.flags |= ATTR_IS_SPARSE
        ntfs_inode_mark_dirty(context.ntfs_ino)
    elif errno != ENOSPC:
        result = volume.tear(b"ntfs_attr_record_resize")
    else:
        result = make_room(volume, inode, context)
        again[0] = not result
    ntfs_attr_put_search_ctx(context)
    return result


cdef int mark_others(Names volume, ntfs_inode *inode, ntfschar *name, int size) noexcept nogil:
    """Mark what extents the stream has in other records."""
    cdef ntfs_attr_search_ctx *context = ntfs_attr_get_search_ctx(inode, NULL)
    cdef int result = 0
    if context == NULL:
        return volume.tear(b"ntfs_attr_get_search_ctx")
    errno_set(0)
    while not ntfs_attr_lookup(AT_DATA, name, size, CASE_SENSITIVE, 0, NULL, 0, context):
        if not context.attr.flags & ATTR_IS_SPARSE:
            context.attr.flags |= ATTR_IS_SPARSE
            ntfs_inode_mark_dirty(context.ntfs_ino)
        errno_set(0)
    if errno != ENOENT:
        result = volume.tear(b"ntfs_attr_lookup")
    ntfs_attr_put_search_ctx(context)
    return result


cdef int mark_sparse(Names volume, ntfs_inode *inode, ntfschar *name, int size) noexcept nogil:
    """Mark a stream, which nobody has open, and its file as sparse. The file's names are the caller's to bring up."""
    cdef bint again = True
    while again:        # an attribute list is made once, and the attribute moves once
        if mark_first(volume, inode, name, size, &again):
            return -1
    inode.flags |= FILE_ATTR_SPARSE_FILE
    ntfs_inode_mark_dirty(inode)
    return mark_others(volume, inode, name, size)
