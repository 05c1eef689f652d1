# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""Object ids: 16 bytes in a file's $OBJECT_ID, and in the index $Extend\\$ObjId with the birth ids."""

from libc.errno cimport EEXIST, ENOENT, errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from cpython.bytes cimport PyBytes_AS_STRING

from wimboot.ntfs._ntfs3g cimport *
from wimboot.ntfs._reparse cimport Reparse

from wimboot.errors import FormatError
from wimboot.ntfs import refusals

cdef enum:
    GUID_SIZE = 16
    FULL_SIZE = 64      # object id, birth volume id, birth object id, domain id

cdef ntfschar *OBJECTS_NAME = [0x24, 0x4F, 0x62, 0x6A, 0x49, 0x64]     # $ObjId


cdef packed struct ObjectEntry:     # of $Extend\$ObjId:$O
    uint16_t data_offset, data_size
    uint32_t reserved_view
    uint16_t size, key_size, flags, reserved
    uint8_t object_id[16]
    uint64_t file_id
    uint8_t birth_ids[48]


cdef class ObjectIds(Reparse):
    """A volume whose files can have object ids."""

    cdef int open_objects(self) noexcept nogil:
        return self.open_view(&self.objects_view, OBJECTS_NAME, 6, NTFS_INDEX_O)

    cdef int drop_object_id(self, ntfs_inode *inode) noexcept nogil:
        """Remove a file's object id; nothing where it has none."""
        cdef uint8_t old[GUID_SIZE]
        cdef ntfs_attr *value
        cdef int64_t size
        errno_set(0)
        value = ntfs_attr_open(inode, AT_OBJECT_ID, AT_UNNAMED, 0)
        if value == NULL:
            return 0 if errno == ENOENT else self.fail(b"ntfs_attr_open", errno)
        size = ntfs_attr_pread(value, 0, GUID_SIZE, old)
        ntfs_attr_close(value)
        if size != GUID_SIZE:
            return self.fail(b"ntfs_attr_pread", errno)
        if self.open_objects():
            return -1
        if self.view_find(&self.objects_view, old, GUID_SIZE) == 0:
            # Only this file's entry: a damaged volume may have one id twice.
            if ((<ObjectEntry *> self.objects_view.index.entry).file_id
                    == MK_MREF(inode.mft_no, inode.mrec.sequence_number)
                    and self.view_remove(&self.objects_view, old, GUID_SIZE)):
                return -1
        elif self.code != ENOENT:
            return -1
        errno_set(0)
        return self.tear(b"ntfs_attr_remove") if ntfs_attr_remove(inode, AT_OBJECT_ID, AT_UNNAMED, 0) else 0

    cdef int give_object_id(self, ntfs_inode *inode, const uint8_t *value, int64_t size) noexcept nogil:
        cdef uint64_t own = MK_MREF(inode.mft_no, inode.mrec.sequence_number)
        cdef ObjectEntry entry
        if self.open_objects():
            return -1
        if self.view_find(&self.objects_view, value, GUID_SIZE):
            if self.code != ENOENT:
                return -1
        elif (<ObjectEntry *> self.objects_view.index.entry).file_id != own:
            return self.fail(b"looking up an object id", EEXIST)
        if self.drop_object_id(inode):
            return -1
        memset(&entry, 0, sizeof(ObjectEntry))
        entry.data_offset = 16 + GUID_SIZE
        entry.data_size = sizeof(ObjectEntry) - entry.data_offset
        entry.size = sizeof(ObjectEntry)
        entry.key_size = GUID_SIZE
        entry.file_id = own
        memcpy(entry.object_id, value, GUID_SIZE)
        if size == FULL_SIZE:
            memcpy(entry.birth_ids, value + GUID_SIZE, FULL_SIZE - GUID_SIZE)
        errno_set(0)
        if ntfs_attr_add(inode, AT_OBJECT_ID, AT_UNNAMED, 0, value, GUID_SIZE):
            return self.tear(b"ntfs_attr_add")
        return self.view_add(&self.objects_view, &entry)

    def set_object_id(self, uint64_t file_id, bytes value not None):
        """Set the object id: 16 bytes, or 64 with the birth ids; b"" removes it. Raises ObjectIdTaken."""
        cdef const uint8_t *raw = <const uint8_t *> PyBytes_AS_STRING(value)
        cdef int64_t size = len(value)
        cdef ntfs_inode *inode
        cdef int result
        if size not in (0, GUID_SIZE, FULL_SIZE):
            raise FormatError("the object id", 0, f"{size:,} bytes is no possible size")
        self.changing()
        with nogil:
            inode = self.open_target(file_id)
            if inode == NULL:
                result = -1
            else:
                result = self.give_object_id(inode, raw, size) if size else self.drop_object_id(inode)
                result = self.finish(inode, result)
        if result and self.code == EEXIST and not self.bridge.code:
            raise refusals.ObjectIdTaken(where=self.where, object_id=value[:GUID_SIZE].hex())
        self.settle(result, file_id)
