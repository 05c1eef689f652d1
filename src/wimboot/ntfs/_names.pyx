# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""Changing files with few calls a file: names and their index entries.

The library's own ways are not taken where they cost or lose something:

- closing an inode looks up each name's index entry again, opening its folder. Here the folder worked in last stays
  open (`folder`), a new file's entry is made once with its final facts, and an inode is closed with nothing left to
  tell.
- the tag it writes to index entries is wrong for a reparse value that is not resident, and it wipes the size of
  extended attributes that stands in the tag's place for other files.
- setting a DOS name makes four names of one; a file that has links in other folders cannot have one at all.

What is kept: after each method, sizes, attributes, tag and times of every index entry agree with the file, and no
time changes that was not asked for. An inode never reaches the library's close with its names marked dirty, for
that would open a folder twice.
"""

from libc.errno cimport EIO, ENOENT, ENOTDIR, EPERM, errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from cpython.bytes cimport PyBytes_AS_STRING

from wimboot.ntfs._library cimport Mount
from wimboot.ntfs._ntfs3g cimport *

from wimboot.ntfs import refusals

cdef enum:
    DIRECTORY_BITS = 0x30000000 # in index entries: has an $I30 index, has a view index
    GAP = 4096                  # NTFS_LCNALLOC_SKIP of lcnalloc.c, in clusters

cdef Name checked_name(bytes name, bint short) except *:
    """A name that Windows can hold. Raises NameNotPossible."""
    cdef Name out = Name(text=<const ntfschar *> PyBytes_AS_STRING(name), size=len(name) // 2)
    cdef int i
    cdef uint16_t unit
    why = None
    if len(name) & 1 or out.size > (12 if short else NAME_MAX) or (not out.size and not short):
        why = "its length is not possible"
    elif (out.size == 1 and out.text[0] == 0x2E) or (out.size == 2 and out.text[0] == 0x2E and out.text[1] == 0x2E):
        why = "it means a folder itself"
    else:
        for i in range(out.size):
            unit = out.text[i]
            if unit < 0x20 or (unit < 0x80 and FORBIDDEN[unit]):
                why = f"it holds the character U+{unit:04X}"
                break
    if why is not None:
        raise refusals.NameNotPossible(name=name.decode("utf-16-le", "replace"), why=why)
    return out


cdef bint[128] FORBIDDEN
memset(FORBIDDEN, 0, sizeof(FORBIDDEN))
for _character in '"*/:<>?\\|':
    FORBIDDEN[ord(_character)] = True


cdef void fill_name(FILE_NAME_ATTR *entry, ntfs_inode *folder, ntfs_inode *inode, Name name, int kind,
                    uint32_t tag) noexcept nogil:
    memset(entry, 0, sizeof(FILE_NAME_ATTR))
    entry.parent_directory = MK_MREF(folder.mft_no, folder.mrec.sequence_number)
    entry.file_name_length = name.size
    entry.file_name_type = kind
    memcpy(<uint8_t *> entry + sizeof(FILE_NAME_ATTR), name.text, 2 * name.size)
    if inode.mrec.flags & MFT_RECORD_IS_DIRECTORY:
        entry.file_attributes = FILE_ATTR_I30_INDEX_PRESENT
    stamp(entry, inode, tag)


cdef void stamp(FILE_NAME_ATTR *entry, ntfs_inode *inode, uint32_t tag) noexcept nogil:
    """The facts of a file that its index entry repeats."""
    entry.file_attributes = entry.file_attributes & DIRECTORY_BITS | inode.flags & ~<uint32_t> DIRECTORY_BITS
    if inode.mrec.flags & MFT_RECORD_IS_DIRECTORY:
        entry.data_size = entry.allocated_size = 0
    else:
        entry.data_size = inode.data_size
        entry.allocated_size = inode.allocated_size
    entry.reparse_point_tag = tag
    entry.creation_time = inode.creation_time
    entry.last_data_change_time = inode.last_data_change_time
    entry.last_mft_change_time = inode.last_mft_change_time
    entry.last_access_time = inode.last_access_time


cdef int own_short_name(Names volume, Name name, Name short) noexcept nogil:
    """Whether a name is its own DOS name."""
    return short.size == name.size and ntfs_names_are_equal(
        name.text, name.size, short.text, short.size, IGNORE_CASE, volume.volume.upcase, volume.volume.upcase_len)


cdef ntfs_volume *moved = NULL      # the volume that was changed last, and where its next clusters are to come from
cdef int64_t moved_to = 0


cdef void close_up(ntfs_volume *volume) noexcept nogil:
    """Let the next clusters follow those that were taken last.

    The library leaves a gap after each allocation, for files that grow while others are written. Ours are written
    whole, and a disk that grows as it is filled, a VHD, would get a block for every gap.
    """
    global moved, moved_to
    cdef int64_t place = volume.data1_zone_pos
    if (volume != moved or place != moved_to) and place - GAP >= volume.mft_zone_end:
        volume.data1_zone_pos = place - GAP
    moved, moved_to = volume, volume.data1_zone_pos


cdef class Names(Mount):
    """A volume whose files can be changed, with their names kept in step."""

    # state --------------------------------------------------------------------------------------------------------

    cdef int tear(self, const char *call) noexcept nogil:
        """`fail` after something was changed: the volume is not what was asked for any more."""
        self.torn = True
        return self.fail(call, errno)

    cdef int changing(self) except -1:
        self.ready(True)
        if self.torn:
            raise refusals.VolumeTorn(where=self.where)
        close_up(self.volume)
        return 0

    cdef int release(self) noexcept nogil:
        cdef ntfs_inode *folder = self.folder
        self.folder = NULL
        return self.close_file(folder, 0) if folder != NULL else 0

    cdef int release_all(self) noexcept nogil:
        """Close what else is kept open until the end."""
        return 0

    def unmount(self, *, bint discard=False):
        """Write what is left and close; see Mount. Raises VolumeTorn where a change failed half-way."""
        cdef int result = 0
        if self.volume == NULL:
            return
        if discard or self.torn:
            self.bridge.writable = False
        with nogil:
            result = self.release()
            result |= self.release_all()
        if self.torn and not discard:
            Mount.unmount(self, discard=True)
            raise refusals.VolumeTorn(where=self.where)
        try:
            if not discard:
                self.settle(result, 0)
        except BaseException:
            Mount.unmount(self, discard=True)
            raise
        Mount.unmount(self, discard=discard)

    cdef ntfs_inode *folder_of(self, uint64_t reference) noexcept nogil:
        """The folder with this reference, kept open; it stays ours. NULL where there is none."""
        cdef ntfs_inode *inode = self.folder
        if inode != NULL and MK_MREF(inode.mft_no, inode.mrec.sequence_number) == reference:
            return inode
        if self.release():
            return NULL
        inode = self.open_file(reference)
        if inode != NULL and not inode.mrec.flags & MFT_RECORD_IS_DIRECTORY:
            self.close_file(inode, -1)
            self.fail(b"opening a folder", ENOTDIR)
            return NULL
        self.folder = inode
        return inode

    cdef ntfs_inode *open_target(self, uint64_t file_id) noexcept nogil:
        """A file to be changed; never one of NTFS' own. `finish` closes it."""
        cdef ntfs_inode *inode
        if MREF(file_id) < FILE_first_user and MREF(file_id) != FILE_root:
            self.fail(b"opening a file", EPERM)
            return NULL
        if self.folder != NULL and self.folder.mft_no == MREF(file_id) and self.release():
            return NULL
        inode = self.open_file(file_id)
        if inode != NULL:
            self.times = Times(creation=inode.creation_time, write=inode.last_data_change_time,
                               change=inode.last_mft_change_time, access=inode.last_access_time)
        return inode

    cdef int finish(self, ntfs_inode *inode, int result) noexcept nogil:
        """Make the names agree and close; a failed change is only closed."""
        inode.creation_time = self.times.creation
        inode.last_data_change_time = self.times.write
        inode.last_mft_change_time = self.times.change
        inode.last_access_time = self.times.access
        if not result:
            ntfs_inode_mark_dirty(inode)
            result = self.measure(inode) or self.sync_names(inode)
        NInoFileNameClearDirty(inode)
        return self.close_file(inode, result)

    cdef int measure(self, ntfs_inode *inode) noexcept nogil:
        """The sizes of the unnamed data as its record has them: making room may have moved it to clusters."""
        cdef ntfs_attr_search_ctx *context
        cdef ATTR_RECORD *data
        if inode.mrec.flags & MFT_RECORD_IS_DIRECTORY:
            return 0
        context = ntfs_attr_get_search_ctx(inode, NULL)
        if context == NULL or ntfs_attr_lookup(AT_DATA, AT_UNNAMED, 0, CASE_SENSITIVE, 0, NULL, 0, context):
            ntfs_attr_put_search_ctx(context)
            return self.tear(b"ntfs_attr_lookup")
        data = context.attr
        if not data.non_resident:
            inode.data_size = data.value_length
            inode.allocated_size = data.value_length + 7 & ~7
        else:
            inode.data_size = data.data_size
            inode.allocated_size = (data.compressed_size if data.flags & (ATTR_IS_COMPRESSED | ATTR_IS_SPARSE)
                                    else data.allocated_size)
        ntfs_attr_put_search_ctx(context)
        return 0

    # names --------------------------------------------------------------------------------------------------------

    cdef int find_tag(self, ntfs_inode *inode, uint32_t *tag) noexcept nogil:
        """What an index entry keeps beside the flags: the reparse tag, else the packed size of extended attributes."""
        cdef ntfs_attr *value
        cdef uint32_t type = AT_REPARSE_POINT if inode.flags & FILE_ATTR_REPARSE_POINT else AT_EA_INFORMATION
        cdef int64_t size = 4 if inode.flags & FILE_ATTR_REPARSE_POINT else 2
        tag[0] = 0
        errno_set(0)
        value = ntfs_attr_open(inode, type, AT_UNNAMED, 0)
        if value == NULL:
            return 0 if errno == ENOENT else self.fail(b"ntfs_attr_open", errno)
        if ntfs_attr_pread(value, 0, size, tag) != size:
            self.fail(b"ntfs_attr_pread", errno)
            size = -1
        ntfs_attr_close(value)
        return 0 if size > 0 else -1

    cdef int sync_names(self, ntfs_inode *inode) noexcept nogil:
        """Write a file's facts into the index entry of each of its names."""
        cdef ntfs_attr_search_ctx *context
        cdef uint32_t tag
        cdef int result
        if self.find_tag(inode, &tag):
            return -1
        context = ntfs_attr_get_search_ctx(inode, NULL)
        if context == NULL:
            return self.fail(b"ntfs_attr_get_search_ctx", errno)
        result = 0
        while not result:
            errno_set(0)
            if ntfs_attr_lookup(AT_FILE_NAME, AT_UNNAMED, 0, CASE_SENSITIVE, 0, NULL, 0, context):
                if errno != ENOENT:
                    result = self.tear(b"ntfs_attr_lookup")
                break
            result = self.sync_entry(inode, attribute_name(context), tag)
        ntfs_attr_put_search_ctx(context)
        return result

    cdef int sync_entry(self, ntfs_inode *inode, FILE_NAME_ATTR *name, uint32_t tag) noexcept nogil:
        cdef ntfs_inode *folder = inode
        cdef ntfs_index_context *index
        cdef int result = 0
        if MREF(name.parent_directory) != inode.mft_no:     # the root is in itself
            folder = self.folder_of(name.parent_directory)
            if folder == NULL:
                self.torn = True
                return -1
        index = ntfs_index_ctx_get(folder, NTFS_INDEX_I30, 4)
        if index == NULL:
            return self.tear(b"ntfs_index_ctx_get")
        errno_set(0)
        if ntfs_index_lookup(name, sizeof(FILE_NAME_ATTR), index):
            if errno == ENOENT:
                errno_set(EIO)      # a name without an entry: the volume is damaged
            result = self.tear(b"ntfs_index_lookup")
        elif index.entry.indexed_file != MK_MREF(inode.mft_no, inode.mrec.sequence_number):
            errno_set(EIO)
            result = self.tear(b"comparing an index entry")
        else:
            stamp(<FILE_NAME_ATTR *> index.data, inode, tag)
            name.allocated_size = (<FILE_NAME_ATTR *> index.data).allocated_size
            ntfs_index_entry_mark_dirty(index)
        ntfs_index_ctx_put(index)
        return result

    cdef int enter(self, ntfs_inode *folder, FILE_NAME_ATTR *name, uint64_t reference) noexcept nogil:
        """Add an index entry. EEXIST where the folder has that very name."""
        close_up(self.volume)       # other indexes may have grown for the same file
        errno_set(0)
        if ntfs_index_add_filename(folder, name, reference):
            return self.fail(b"ntfs_index_add_filename", errno)
        return 0

    cdef int leave(self, ntfs_inode *folder, FILE_NAME_ATTR *name) noexcept nogil:
        """Remove an index entry."""
        cdef ntfs_index_context *index = ntfs_index_ctx_get(folder, NTFS_INDEX_I30, 4)
        cdef int state = 1
        if index == NULL:
            return self.tear(b"ntfs_index_ctx_get")
        while state > 0:
            errno_set(0)
            state = -1 if ntfs_index_lookup(name, sizeof(FILE_NAME_ATTR), index) else removal(index)
            if state > 0:
                ntfs_index_ctx_reinit(index)
        if not state:
            ntfs_inode_mark_dirty(index.actx.ntfs_ino)
        ntfs_index_ctx_put(index)
        return self.tear(b"removing an index entry") if state else 0


cdef FILE_NAME_ATTR *attribute_name(ntfs_attr_search_ctx *context) noexcept nogil:
    return <FILE_NAME_ATTR *> (<uint8_t *> context.attr + context.attr.value_offset)


cdef int removal(ntfs_index_context *index) noexcept nogil:
    """Remove the entry found: 0 done, 1 the tree was rearranged and has to be searched again, -1 failed."""
    cdef int state = ntfs_index_rm(index)
    if state == STATUS_KEEP_SEARCHING:
        ntfs_inode_mark_dirty(index.actx.ntfs_ino)
        return 1
    return -1 if state else 0
