# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""Files become pointers in place; files, folders and pointers are made. One C call a file.

A pointer's unnamed data is a hole of the file's size (sparse attribute, no clusters) whatever the size, its reparse
value the 96 bytes of wof; neither NTFS-compressed nor encrypted.
"""

from libc.errno cimport EACCES, EALREADY, EEXIST, EIO, EISDIR, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from cpython.bytes cimport PyBytes_AS_STRING

from wimboot.ntfs._ntfs3g cimport *
from wimboot.ntfs._names cimport NAME_ROOM, Name, checked_name, fill_name, own_short_name
from wimboot.ntfs._objectids cimport ObjectIds
from wimboot.ntfs._reparse cimport checked_reparse
from wimboot.ntfs._sparse cimport mark_sparse

from wimboot.ntfs import refusals

cdef enum:
    STANDARD_UNIT = 4       # a sparse attribute's compression unit, as Windows writes it: log2 of clusters
    STANDARD_SIZE = 72      # $STANDARD_INFORMATION of NTFS 3
    FILE_LIMIT_BITS = 44    # 16 TiB: NTFS' largest file with 4 KiB clusters


cdef packed struct StandardInformation:
    int64_t creation, write, change, access
    uint32_t attributes, versions, version, class_id, owner, security
    uint64_t quota, usn


cdef packed struct IndexRoot:       # of an empty folder: header of $INDEX_ROOT, header of its index, the end entry
    uint32_t type, collation, block_size
    uint32_t clusters_per_block     # one byte; three reserved
    uint32_t entries_offset, index_size, index_room, index_flags
    uint64_t end_reserved
    uint16_t end_size, end_key_size
    uint32_t end_flags


cdef class Pointers(ObjectIds):
    """A volume whose files can become pointers and which can get new ones."""

    # the hole -----------------------------------------------------------------------------------------------------

    cdef int hole(self, ntfs_inode *inode, int64_t size) noexcept nogil:
        """Give a file that has no unnamed data a hole of `size` bytes. The attribute is written as a whole."""
        cdef int64_t clusters = (size + self.volume.cluster_size - 1) >> self.volume.cluster_size_bits
        cdef ATTR_RECORD *record
        cdef uint8_t *runs
        cdef int offset, i, count
        if inode.mrec.bytes_allocated - inode.mrec.bytes_in_use < 80 or not clusters:
            return self.hole_by_library(inode, size)
        errno_set(0)
        offset = ntfs_non_resident_attr_record_add(inode, AT_DATA, AT_UNNAMED, 0, 0, 8, ATTR_IS_SPARSE)
        if offset < 0:
            return self.tear(b"ntfs_non_resident_attr_record_add")
        record = <ATTR_RECORD *> (<uint8_t *> inode.mrec + offset)
        record.compression_unit = STANDARD_UNIT
        record.highest_vcn = clusters - 1
        record.allocated_size = clusters << self.volume.cluster_size_bits
        record.data_size = size
        record.initialized_size = 0
        record.compressed_size = 0
        runs = <uint8_t *> record + record.mapping_pairs_offset
        count = 1
        while clusters >> (8 * count - 1):      # the length is signed: its top bit stays free
            count += 1
        runs[0] = count                         # no offset: a hole
        for i in range(count):
            runs[1 + i] = clusters >> 8 * i & 0xFF
        runs[1 + count] = 0
        inode.data_size = size
        inode.allocated_size = 0
        inode.flags |= FILE_ATTR_SPARSE_FILE
        return 0

    cdef int hole_by_library(self, ntfs_inode *inode, int64_t size) noexcept nogil:
        """The same in a record without room: the library moves attributes to an extension record."""
        cdef ntfs_attr *data
        cdef int result = 0
        errno_set(0)
        if ntfs_attr_add(inode, AT_DATA, AT_UNNAMED, 0, NULL, 0):
            return self.tear(b"ntfs_attr_add")
        data = ntfs_attr_open(inode, AT_DATA, AT_UNNAMED, 0)
        if data == NULL:
            return self.tear(b"ntfs_attr_open")
        if ntfs_attr_truncate(data, size):
            result = self.tear(b"ntfs_attr_truncate")
        elif data.data_size != size:        # what truncation does silently to compressed data
            errno_set(EIO)
            result = self.tear(b"ntfs_attr_truncate")
        ntfs_attr_close(data)
        return result

    cdef int empty_data(self, ntfs_inode *inode) noexcept nogil:
        """Remove a file's unnamed data, its clusters and what marks it as sparse or compressed."""
        cdef ntfs_attr *data
        cdef int result = 0
        errno_set(0)
        data = ntfs_attr_open(inode, AT_DATA, AT_UNNAMED, 0)
        if data == NULL:
            return self.fail(b"ntfs_attr_open", errno)
        if data.data_flags & ATTR_IS_ENCRYPTED:
            result = self.fail(b"removing data", EACCES)
        elif ntfs_attr_rm(data):
            result = self.tear(b"ntfs_attr_rm")
        ntfs_attr_close(data)
        if not result:
            inode.flags &= ~<uint32_t> (FILE_ATTR_SPARSE_FILE | FILE_ATTR_COMPRESSED)
        return result

    cdef int point_at(self, uint64_t file_id, const uint8_t *value, int64_t value_size, int64_t size) noexcept nogil:
        cdef ntfs_inode *inode = self.open_target(file_id)
        cdef int result = 0
        if inode == NULL:
            return -1
        if inode.mrec.flags & MFT_RECORD_IS_DIRECTORY:
            result = self.fail(b"pointing", EISDIR)
        elif inode.flags & FILE_ATTR_ENCRYPTED:
            result = self.fail(b"pointing", EACCES)
        elif inode.flags & FILE_ATTR_REPARSE_POINT:
            result = self.fail(b"pointing", EALREADY)
        elif self.open_reparse_index() or self.empty_data(inode):   # the index first: nothing is given up without it
            result = -1
        elif self.hole(inode, size) or self.add_reparse(inode, value, value_size):
            result = -1
        return self.finish(inode, result)

    def point(self, uint64_t file_id, bytes reparse not None, int64_t size):
        """Make an ordinary file a pointer in place. Names, all times, security and other streams stay.

        `reparse` has its 8-byte header; `size` is the content's. Raises FileNotFound, NotAFile, FileEncrypted,
        ReparseTaken, RecordReserved with nothing changed; after any other error the transaction has to be dropped.
        """
        cdef const uint8_t *value = <const uint8_t *> PyBytes_AS_STRING(reparse)
        cdef int64_t value_size = len(reparse)
        cdef int result
        self.changing()
        checked_reparse(reparse)
        if size <= 0 or size >> FILE_LIMIT_BITS:
            raise refusals.SizeNotPossible(size=size)
        with nogil:
            result = self.point_at(file_id, value, value_size, size)
        self.settle(result, file_id)

    # new files ----------------------------------------------------------------------------------------------------

    cdef int enter_both(self, ntfs_inode *folder, FILE_NAME_ATTR *name, FILE_NAME_ATTR *short,
                        uint64_t reference) noexcept nogil:
        if self.enter(folder, name, reference):
            return -1
        if short.file_name_length and self.enter(folder, short, reference):
            if self.leave(folder, name):
                return -1
            return self.fail(b"ntfs_index_add_filename", EEXIST)
        return 0

    cdef int make(self, uint64_t parent, Name name, Name short, Facts *facts, uint64_t *file_id) noexcept nogil:
        """A new file with all its facts. Its folder stays open for the next."""
        cdef uint8_t name_room[NAME_ROOM]
        cdef uint8_t short_room[NAME_ROOM]
        cdef FILE_NAME_ATTR *long_name = <FILE_NAME_ATTR *> name_room
        cdef FILE_NAME_ATTR *dos_name = <FILE_NAME_ATTR *> short_room
        cdef bint own = short.size and own_short_name(self, name, short)
        cdef ntfs_inode *folder = self.folder_of(parent)
        cdef ntfs_inode *inode
        cdef uint32_t tag = (<const uint32_t *> facts.reparse)[0] if facts.reparse != NULL else 0
        if folder == NULL:
            return -1
        errno_set(0)
        inode = ntfs_mft_record_alloc(self.volume, NULL)
        if inode == NULL:
            return self.fail(b"ntfs_mft_record_alloc", errno)
        ntfs_inode_invalidate(self.volume, inode.mft_no)
        inode.flags = facts.attributes & PLAIN_BITS
        if facts.is_pointer:
            inode.flags |= FILE_ATTR_SPARSE_FILE
        if facts.reparse != NULL:
            inode.flags |= FILE_ATTR_REPARSE_POINT
        if facts.attributes & FILE_ATTR_COMPRESSED and not facts.is_pointer and self.volume.cluster_size <= 4096:
            inode.flags |= FILE_ATTR_COMPRESSED
        inode.flags |= facts.attributes & FILE_ATTR_SPARSE_FILE
        inode.data_size = facts.size
        if facts.data != NULL:
            inode.allocated_size = (facts.size + 7) & ~<int64_t> 7      # what resident data takes
        inode.creation_time, inode.last_access_time = facts.creation, facts.access
        inode.last_data_change_time = inode.last_mft_change_time = facts.write
        if facts.is_folder:
            inode.mrec.flags |= MFT_RECORD_IS_DIRECTORY
        fill_name(long_name, folder, inode, name, FILE_NAME_POSIX if not short.size else
                  FILE_NAME_WIN32_AND_DOS if own else FILE_NAME_WIN32, tag)
        fill_name(dos_name, folder, inode, Name(NULL, 0) if own else short, FILE_NAME_DOS, tag)
        file_id[0] = MK_MREF(inode.mft_no, inode.mrec.sequence_number)
        if self.enter_both(folder, long_name, dos_name, file_id[0]):
            ntfs_mft_record_free(self.volume, inode)
            return -1
        return self.close_file(inode, self.furnish(inode, facts, long_name, dos_name))

    cdef int furnish(self, ntfs_inode *inode, Facts *facts, FILE_NAME_ATTR *name, FILE_NAME_ATTR *short) noexcept nogil:
        cdef StandardInformation standard
        cdef int result
        memset(&standard, 0, sizeof(StandardInformation))
        standard.creation, standard.access = facts.creation, facts.access
        standard.write = standard.change = facts.write
        standard.attributes, standard.security = inode.flags, facts.security
        inode.security_id = facts.security
        set_v3_extensions(inode)
        errno_set(0)
        if (ntfs_attr_add(inode, AT_STANDARD_INFORMATION, AT_UNNAMED, 0, <uint8_t *> &standard, STANDARD_SIZE)
                or ntfs_attr_add(inode, AT_FILE_NAME, AT_UNNAMED, 0, <uint8_t *> name,
                                 sizeof(FILE_NAME_ATTR) + 2 * name.file_name_length)
                or (short.file_name_length
                    and ntfs_attr_add(inode, AT_FILE_NAME, AT_UNNAMED, 0, <uint8_t *> short,
                                      sizeof(FILE_NAME_ATTR) + 2 * short.file_name_length))):
            result = self.tear(b"ntfs_attr_add")
        else:
            inode.mrec.link_count = 2 if short.file_name_length else 1
            result = self.furnish_content(inode, facts)
        ntfs_inode_mark_dirty(inode)
        if facts.data != NULL and not result:
            result = self.measure(inode)        # without room in the record the data went to clusters
            if not result and inode.allocated_size != <int64_t> name.allocated_size:
                result = self.sync_names(inode)
        NInoFileNameClearDirty(inode)           # the entries have the final facts
        return result

    cdef int furnish_content(self, ntfs_inode *inode, Facts *facts) noexcept nogil:
        cdef uint32_t block = self.volume.indx_record_size
        cdef IndexRoot root
        if facts.is_folder:
            memset(&root, 0, sizeof(IndexRoot))
            root.type, root.collation, root.block_size = AT_FILE_NAME, 1, block
            root.clusters_per_block = (block >> self.volume.cluster_size_bits
                                       if self.volume.cluster_size <= block else block >> 9)
            root.entries_offset, root.end_size, root.end_flags = 16, 16, 2
            root.index_size = root.index_room = 32
            if ntfs_attr_add(inode, AT_INDEX_ROOT, NTFS_INDEX_I30, 4, <uint8_t *> &root, sizeof(IndexRoot)):
                return self.tear(b"ntfs_attr_add")
        elif facts.is_pointer:
            if self.hole(inode, facts.size):
                return -1
        elif ntfs_attr_add(inode, AT_DATA, AT_UNNAMED, 0, <uint8_t *> facts.data, facts.size):
            return self.tear(b"ntfs_attr_add")
        elif facts.attributes & FILE_ATTR_SPARSE_FILE and mark_sparse(self, inode, AT_UNNAMED, 0):
            return -1
        if facts.reparse != NULL:
            return self.add_reparse(inode, facts.reparse, facts.reparse_size)
        return 0

    cdef object make_checked(self, uint64_t parent, bytes name, bytes short, Facts *facts):
        cdef Name long_name = checked_name(name, False)
        cdef Name dos_name = checked_name(short, True)
        cdef uint64_t file_id = 0
        cdef int result
        self.changing()
        if facts.creation < 0 or facts.write < 0 or facts.access < 0:
            raise refusals.TimeNotPossible(name=name.decode("utf-16-le", "replace"))
        with nogil:
            result = self.make(parent, long_name, dos_name, facts, &file_id)
        if result and self.code == EEXIST and not self.bridge.code:
            raise refusals.NameTaken(where=self.where, file=f"record {MREF(parent)}",
                                     name=name.decode("utf-16-le", "replace"))
        self.settle(result, parent)
        return file_id

    def create_pointer(self, uint64_t parent, bytes name not None, bytes short_name not None, uint32_t attributes,
                       tuple times not None, uint32_t security, int64_t size, bytes reparse not None):
        """A new pointer file; its reference. `times`: creation, last write (the change time too), last access.

        `security` is from `security_id`. Raises NameTaken, NameNotPossible with nothing changed.
        """
        cdef Facts facts = new_facts(attributes, security, times)
        checked_reparse(reparse)
        if size <= 0 or size >> FILE_LIMIT_BITS:
            raise refusals.SizeNotPossible(size=size)
        facts.size, facts.is_pointer = size, True
        facts.reparse, facts.reparse_size = <const uint8_t *> PyBytes_AS_STRING(reparse), len(reparse)
        return self.make_checked(parent, name, short_name, &facts)

    def create_file(self, uint64_t parent, bytes name not None, bytes short_name not None, uint32_t attributes,
                    tuple times not None, uint32_t security, bytes data not None=b""):
        """A new file; its reference. `data` is for small files, which find room in their record and are not compressed.
        Others are made empty and written by `write_data`.
        """
        cdef Facts facts = new_facts(attributes & ~<uint32_t> (FILE_ATTR_COMPRESSED if data else 0), security, times)
        self.changing()
        if len(data) > self.volume.mft_record_size:
            raise refusals.SizeNotPossible(size=len(data))
        if data:
            facts.data, facts.size = <const uint8_t *> PyBytes_AS_STRING(data), len(data)
        return self.make_checked(parent, name, short_name, &facts)

    def create_folder(self, uint64_t parent, bytes name not None, bytes short_name not None, uint32_t attributes,
                      tuple times not None, uint32_t security):
        """A new empty folder; its reference. What is made in it later leaves its times alone."""
        cdef Facts facts = new_facts(attributes, security, times)
        facts.is_folder = True
        return self.make_checked(parent, name, short_name, &facts)


cdef Facts new_facts(uint32_t attributes, uint32_t security, tuple times) except *:
    cdef Facts facts
    memset(&facts, 0, sizeof(Facts))
    facts.attributes, facts.security = attributes, security
    facts.creation, facts.write, facts.access = times
    return facts
