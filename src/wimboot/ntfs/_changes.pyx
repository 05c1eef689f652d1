# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""A file's facts: times, attributes, security, reparse points, extended attributes."""

from libc.errno cimport EIO, ENOENT, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from cpython.bytes cimport PyBytes_AS_STRING

from wimboot.ntfs._links cimport Links
from wimboot.ntfs._ntfs3g cimport *
from wimboot.ntfs._pointers cimport PLAIN_BITS
from wimboot.ntfs._reparse cimport checked_reparse

from wimboot.errors import FormatError
from wimboot.ntfs import refusals

cdef enum:
    STANDARD_SIZE = 72          # $STANDARD_INFORMATION of NTFS 3
    DESCRIPTOR_LIMIT = 64 << 10 # Windows' limit is lower
    EA_LIMIT = 64 << 10


cdef class Changes(Links):
    """A volume whose files can get other facts."""

    def __cinit__(self):
        self._security_ids = {}

    cdef ntfs_inode *open_changed(self, uint64_t file_id) except NULL:
        cdef ntfs_inode *inode
        self.changing()
        with nogil:
            inode = self.open_target(file_id)
        if inode == NULL:
            self.settle(-1, file_id)
        return inode

    def is_folder(self, uint64_t file_id):
        cdef ntfs_inode *inode
        cdef bint answer = False
        cdef int result = 0
        self.ready(False)
        with nogil:
            result = self.release()
            inode = NULL if result else self.open_file(file_id)
            if inode == NULL:
                result = -1
            else:
                answer = (inode.mrec.flags & MFT_RECORD_IS_DIRECTORY) != 0
                result = self.close_file(inode, 0)
        self.settle(result, file_id)
        return bool(answer)

    # facts --------------------------------------------------------------------------------------------------------

    def set_times(self, uint64_t file_id, int64_t creation, int64_t write, int64_t access):
        """Set three times; the record's change time stays. A folder's do not change by what is done in it."""
        cdef ntfs_inode *inode
        if creation < 0 or write < 0 or access < 0:
            raise refusals.TimeNotPossible(name=f"record {MREF(file_id)}")
        inode = self.open_changed(file_id)
        cdef int result
        with nogil:
            self.times.creation, self.times.write, self.times.access = creation, write, access
            result = self.finish(inode, 0)
        self.settle(result, file_id)

    def set_attributes(self, uint64_t file_id, uint32_t attributes):
        """Set what can simply be set (READONLY, HIDDEN, ...; a folder's COMPRESSED and SPARSE); the rest follows the
        data.
        """
        cdef ntfs_inode *inode = self.open_changed(file_id)
        cdef uint32_t mask = PLAIN_BITS
        cdef int result = 0
        with nogil:
            if inode.mrec.flags & MFT_RECORD_IS_DIRECTORY:
                mask |= FILE_ATTR_COMPRESSED | FILE_ATTR_SPARSE_FILE
                if ((inode.flags ^ attributes) & FILE_ATTR_COMPRESSED
                        and ntfs_attr_set_flags(inode, AT_INDEX_ROOT, NTFS_INDEX_I30, 4,
                                                ATTR_IS_COMPRESSED if attributes & FILE_ATTR_COMPRESSED else 0,
                                                ATTR_IS_COMPRESSED)):
                    result = self.tear(b"ntfs_attr_set_flags")
            inode.flags = inode.flags & ~mask | attributes & mask
            result = self.finish(inode, result)
        self.settle(result, file_id)

    cdef int give_security(self, ntfs_inode *inode, uint32_t security) noexcept nogil:
        cdef ntfs_attr *standard
        cdef int result = 0
        if not has_v3_extensions(inode):        # with its own descriptor, as NTFS 1.2 and mkntfs write it
            standard = ntfs_attr_open(inode, AT_STANDARD_INFORMATION, AT_UNNAMED, 0)
            if standard == NULL:
                return self.fail(b"ntfs_attr_open", errno)
            if ntfs_attr_truncate(standard, STANDARD_SIZE):
                result = self.tear(b"ntfs_attr_truncate")
            ntfs_attr_close(standard)
            inode.owner_id = 0
            inode.quota_charged = inode.usn = 0
            set_v3_extensions(inode)
            if not result and ntfs_attr_exist(inode, AT_SECURITY_DESCRIPTOR, AT_UNNAMED, 0):
                if ntfs_attr_remove(inode, AT_SECURITY_DESCRIPTOR, AT_UNNAMED, 0):
                    result = self.tear(b"ntfs_attr_remove")
        inode.security_id = security
        return result

    def set_security(self, uint64_t file_id, uint32_t security):
        """Set a file's security descriptor by its id, from `security_id`."""
        cdef ntfs_inode *inode = self.open_changed(file_id)
        cdef int result
        with nogil:
            result = self.finish(inode, self.give_security(inode, security))
        self.settle(result, file_id)

    cdef int try_secure(self, const char *value, size_t size) noexcept nogil:
        """Make the look-ups that the library is going to make: where an index is damaged it would fall over."""
        cdef uint32_t last = 0xFFFFFFFF
        cdef uint32_t[2] key
        key[0], key[1] = ntfs_security_hash(<const SECURITY_DESCRIPTOR_RELATIVE *> value, size), 0
        if self.volume.secure_xsdh == NULL or self.volume.secure_xsii == NULL:
            return self.fail(b"looking for $Secure", EIO)
        ntfs_index_ctx_reinit(self.volume.secure_xsdh)
        errno_set(0)
        if ntfs_index_lookup(key, 8, self.volume.secure_xsdh) and errno != ENOENT:
            return self.fail(b"looking into $Secure:$SDH", errno)
        ntfs_index_ctx_reinit(self.volume.secure_xsii)
        errno_set(0)
        if ntfs_index_lookup(&last, 4, self.volume.secure_xsii) and errno != ENOENT:
            return self.fail(b"looking into $Secure:$SII", errno)
        return 0

    cdef int describe(self, const char *value, size_t size, uint32_t *security) noexcept nogil:
        """Let the library look a descriptor up in $Secure, or add it, for a record that is only there for this."""
        cdef SECURITY_CONTEXT context
        cdef uint8_t[STANDARD_SIZE] standard
        cdef ntfs_inode *inode
        cdef int result = 0
        if self.release() or self.try_secure(value, size):
            return -1
        errno_set(0)
        inode = ntfs_mft_record_alloc(self.volume, NULL)
        if inode == NULL:
            return self.fail(b"ntfs_mft_record_alloc", errno)
        ntfs_inode_invalidate(self.volume, inode.mft_no)
        memset(&context, 0, sizeof(SECURITY_CONTEXT))
        context.vol = self.volume
        memset(standard, 0, STANDARD_SIZE)
        set_v3_extensions(inode)
        inode.security_id = 0
        if ntfs_attr_add(inode, AT_STANDARD_INFORMATION, AT_UNNAMED, 0, standard, STANDARD_SIZE):
            result = self.tear(b"ntfs_attr_add")
        elif ntfs_set_ntfs_acl(&context, inode, value, size, 0) or not inode.security_id:
            result = self.fail(b"ntfs_set_ntfs_acl", errno)
        security[0] = inode.security_id
        NInoFileNameClearDirty(inode)
        if ntfs_mft_record_free(self.volume, inode):
            result = self.tear(b"ntfs_mft_record_free")
        return result

    def security_id(self, bytes descriptor not None):
        """The id of a self-relative security descriptor in $Secure, where it is added if it is new."""
        cdef const char *value = PyBytes_AS_STRING(descriptor)
        cdef size_t size = len(descriptor)
        cdef uint32_t security = 0
        cdef int result
        known = self._security_ids.get(descriptor)
        if known is not None:
            return known
        self.changing()
        if not 20 <= size <= DESCRIPTOR_LIMIT:
            raise FormatError("the security descriptor", 0, f"{size:,} bytes is no possible size")
        with nogil:
            result = self.describe(value, size, &security)
        self.settle(result, 0)
        self._security_ids[descriptor] = security
        return security

    def set_eas(self, uint64_t file_id, bytes value not None):
        """Set the extended attributes: an $EA value, entries each with the offset of the next; b"" removes them."""
        cdef const char *raw = PyBytes_AS_STRING(value)
        cdef size_t size = len(value)
        cdef int result = 0
        checked_eas(value)
        cdef ntfs_inode *inode = self.open_changed(file_id)
        with nogil:
            errno_set(0)
            if size:
                if ntfs_set_ntfs_ea(inode, raw, size, 0):
                    result = self.tear(b"ntfs_set_ntfs_ea")
            elif ntfs_attr_exist(inode, AT_EA_INFORMATION, AT_UNNAMED, 0) and ntfs_remove_ntfs_ea(inode):
                result = self.tear(b"ntfs_remove_ntfs_ea")
            result = self.finish(inode, result)
        self.settle(result, file_id)

    # reparse points -----------------------------------------------------------------------------------------------

    def set_reparse(self, uint64_t file_id, bytes value not None):
        """Make a file or folder a reparse point, or give it another value (with its 8-byte header). Its data stays."""
        put_reparse(self, file_id, value, False)

    def replace_reparse(self, uint64_t file_id, bytes value not None):
        """Give a reparse point another value; its data, size and times stay. Raises FileNotFound where it is none."""
        put_reparse(self, file_id, value, True)

    def remove_reparse(self, uint64_t file_id):
        """Make a reparse point a plain file or folder. The data of one that was a pointer is zeros until written."""
        cdef ntfs_inode *inode = self.open_changed(file_id)
        cdef int result
        with nogil:
            result = self.finish(inode, self.drop_reparse(inode))
        self.settle(result, file_id)


cdef int checked_eas(bytes value) except -1:
    """An $EA value: at 0 u32 offset of the next entry, 4 u8 flags, 5 u8 name size, 6 u16 value size, 8 name, NUL,
    value. Each entry, the last too, leads to its own end, rounded up to 4 bytes, as ntfs-3g writes it.
    """
    cdef int64_t offset = 0, next_offset, end
    if len(value) > EA_LIMIT:
        raise FormatError("the extended attributes", 0, f"{len(value):,} bytes is no possible size")
    while offset < len(value):
        if len(value) - offset < 9:
            raise FormatError("the extended attributes", offset, "an entry is cut off")
        next_offset = offset + int.from_bytes(value[offset:offset + 4], "little")
        end = offset + 9 + value[offset + 5] + int.from_bytes(value[offset + 6:offset + 8], "little")
        if not value[offset + 5] or next_offset > len(value) or next_offset != (end + 3 & ~3):
            raise FormatError("the extended attributes", offset, "an entry does not lead to its end")
        if value[offset + 8 + value[offset + 5]]:
            raise FormatError("the extended attributes", offset + 8, "a name is not ended")
        offset = next_offset
    return 0


cdef object put_reparse(Changes volume, uint64_t file_id, bytes value, bint only_there):
    cdef const uint8_t *raw = <const uint8_t *> PyBytes_AS_STRING(value)
    cdef int64_t size = len(value)
    cdef int result
    checked_reparse(value)
    cdef ntfs_inode *inode = volume.open_changed(file_id)
    with nogil:
        if inode.flags & FILE_ATTR_REPARSE_POINT:
            result = volume.replace_value(inode, raw, size)
        elif only_there:
            result = volume.fail(b"looking for a reparse point", ENOENT)
        else:
            result = volume.add_reparse(inode, raw, size)
        result = volume.finish(inode, result)
    volume.settle(result, file_id)
