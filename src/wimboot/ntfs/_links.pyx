# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""A file's names: links, short names, moves, removal. The file's reference and the times of its folders stay.

A name without a DOS name lies in the POSIX namespace, as Windows makes it; one with it is a Win32 and DOS pair; one
that is its own DOS name is both at once. A file has one DOS name at most, whatever number of links.
"""

from libc.errno cimport EEXIST, EINVAL, EIO, EISDIR, EMLINK, ENOENT, ENOTDIR, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from wimboot.ntfs._names cimport NAME_ROOM, Name, Times, attribute_name, checked_name, fill_name, own_short_name
from wimboot.ntfs._ntfs3g cimport *
from wimboot.ntfs._pointers cimport Pointers

from wimboot.ntfs import refusals

cdef enum:
    LINK_LIMIT = 1024       # as Windows has it, DOS names not counted
    DEPTH_LIMIT = 16384     # folders above a file: more than a path can name


cdef class Links(Pointers):
    """A volume whose files can get, change and lose names."""

    # finding ------------------------------------------------------------------------------------------------------

    cdef int seek_name(self, ntfs_attr_search_ctx *context, uint64_t parent, Name name) noexcept nogil:
        """Move to the long name `name` in `parent`."""
        cdef FILE_NAME_ATTR *found
        ntfs_attr_reinit_search_ctx(context)
        errno_set(0)
        while not ntfs_attr_lookup(AT_FILE_NAME, AT_UNNAMED, 0, CASE_SENSITIVE, 0, NULL, 0, context):
            found = attribute_name(context)
            if (found.file_name_type != FILE_NAME_DOS and MREF(found.parent_directory) == MREF(parent)
                    and found.file_name_length == name.size
                    and not memcmp(<uint8_t *> found + sizeof(FILE_NAME_ATTR), name.text, 2 * name.size)):
                return 0
        return self.fail(b"looking for a name", errno)

    cdef int seek_short(self, ntfs_attr_search_ctx *context) noexcept nogil:
        """Move to the DOS name, alone or not; ENOENT where the file has none."""
        ntfs_attr_reinit_search_ctx(context)
        errno_set(0)
        while not ntfs_attr_lookup(AT_FILE_NAME, AT_UNNAMED, 0, CASE_SENSITIVE, 0, NULL, 0, context):
            if attribute_name(context).file_name_type & FILE_NAME_DOS:
                return 0
        return self.fail(b"looking for a DOS name", errno)

    cdef int seek_partner(self, ntfs_attr_search_ctx *context) noexcept nogil:
        """Move to the name that the DOS name is a pair with."""
        ntfs_attr_reinit_search_ctx(context)
        errno_set(0)
        while not ntfs_attr_lookup(AT_FILE_NAME, AT_UNNAMED, 0, CASE_SENSITIVE, 0, NULL, 0, context):
            if attribute_name(context).file_name_type == FILE_NAME_WIN32:
                return 0
        return self.fail(b"looking for a Win32 name", errno)

    cdef int long_names(self, ntfs_attr_search_ctx *context) noexcept nogil:
        cdef int count = 0
        ntfs_attr_reinit_search_ctx(context)
        while not ntfs_attr_lookup(AT_FILE_NAME, AT_UNNAMED, 0, CASE_SENSITIVE, 0, NULL, 0, context):
            count += attribute_name(context).file_name_type != FILE_NAME_DOS
        return count

    # one name -----------------------------------------------------------------------------------------------------

    cdef int add_name(self, ntfs_inode *inode, uint64_t parent, Name name, int kind) noexcept nogil:
        cdef uint8_t room[NAME_ROOM]
        cdef FILE_NAME_ATTR *entry = <FILE_NAME_ATTR *> room
        cdef ntfs_inode *folder = self.folder_of(parent)
        cdef uint32_t tag
        if folder == NULL or self.find_tag(inode, &tag):
            return -1
        fill_name(entry, folder, inode, name, kind, tag)
        if self.enter(folder, entry, MK_MREF(inode.mft_no, inode.mrec.sequence_number)):
            return -1
        if ntfs_attr_add(inode, AT_FILE_NAME, AT_UNNAMED, 0, room, sizeof(FILE_NAME_ATTR) + 2 * name.size):
            return self.tear(b"ntfs_attr_add")
        inode.mrec.link_count += 1
        ntfs_inode_mark_dirty(inode)
        return 0

    cdef int drop_name(self, ntfs_inode *inode, ntfs_attr_search_ctx *context) noexcept nogil:
        """Remove the name that `context` stands at, and its index entry."""
        cdef uint8_t room[NAME_ROOM]
        cdef FILE_NAME_ATTR *entry = <FILE_NAME_ATTR *> room
        cdef ntfs_inode *folder
        memcpy(room, attribute_name(context), sizeof(FILE_NAME_ATTR) + 2 * attribute_name(context).file_name_length)
        folder = self.folder_of(entry.parent_directory)
        if folder == NULL or self.leave(folder, entry):
            self.torn = True
            return -1
        if ntfs_attr_record_rm(context):
            return self.tear(b"ntfs_attr_record_rm")
        inode.mrec.link_count -= 1
        ntfs_inode_mark_dirty(inode)
        return 0

    cdef int set_kind(self, ntfs_inode *inode, ntfs_attr_search_ctx *context, int kind) noexcept nogil:
        """Give the name that `context` stands at another namespace, in the record and in the index."""
        cdef FILE_NAME_ATTR *name = attribute_name(context)
        cdef ntfs_inode *folder = self.folder_of(name.parent_directory)
        cdef ntfs_index_context *index
        cdef int result = 0
        if folder == NULL:
            self.torn = True
            return -1
        index = ntfs_index_ctx_get(folder, NTFS_INDEX_I30, 4)
        if index == NULL:
            return self.tear(b"ntfs_index_ctx_get")
        errno_set(0)
        if ntfs_index_lookup(name, sizeof(FILE_NAME_ATTR), index):
            result = self.tear(b"ntfs_index_lookup")
        else:
            (<FILE_NAME_ATTR *> index.data).file_name_type = kind
            ntfs_index_entry_mark_dirty(index)
            name.file_name_type = kind
            ntfs_inode_mark_dirty(context.ntfs_ino)
        ntfs_index_ctx_put(index)
        return result

    # short names --------------------------------------------------------------------------------------------------

    cdef int drop_short(self, ntfs_inode *inode, ntfs_attr_search_ctx *context) noexcept nogil:
        """Take the DOS name away; the name it belonged to becomes a POSIX one."""
        if self.seek_short(context):
            return 0 if self.code == ENOENT else -1
        if attribute_name(context).file_name_type == FILE_NAME_DOS:
            if self.drop_name(inode, context):
                return -1
            if self.seek_partner(context):
                return 0 if self.code == ENOENT else -1
        return self.set_kind(inode, context, FILE_NAME_POSIX)

    cdef int give_short(self, ntfs_inode *inode, ntfs_attr_search_ctx *context, uint64_t parent, Name name,
                        Name short) noexcept nogil:
        if self.drop_short(inode, context):
            return -1
        if not short.size:
            return 0
        if own_short_name(self, name, short):
            return self.seek_name(context, parent, name) or self.set_kind(inode, context, FILE_NAME_WIN32_AND_DOS)
        return (self.add_name(inode, parent, short, FILE_NAME_DOS) or self.seek_name(context, parent, name)
                or self.set_kind(inode, context, FILE_NAME_WIN32))

    cdef int shorten(self, uint64_t file_id, uint64_t parent, Name name, Name short) noexcept nogil:
        cdef ntfs_inode *inode = self.open_target(file_id)
        cdef ntfs_attr_search_ctx *context
        cdef int result
        if inode == NULL:
            return -1
        context = ntfs_attr_get_search_ctx(inode, NULL)
        result = self.seek_name(context, parent, name) or self.give_short(inode, context, parent, name, short)
        ntfs_attr_put_search_ctx(context)
        return self.finish(inode, result)

    # links --------------------------------------------------------------------------------------------------------

    cdef int add_link(self, uint64_t file_id, uint64_t parent, Name name) noexcept nogil:
        cdef ntfs_inode *inode = self.open_target(file_id)
        cdef int result
        if inode == NULL:
            return -1
        if inode.mrec.flags & MFT_RECORD_IS_DIRECTORY:
            result = self.fail(b"linking", EISDIR)
        elif inode.mrec.link_count > LINK_LIMIT:
            result = self.fail(b"linking", EMLINK)
        else:
            result = self.add_name(inode, parent, name, FILE_NAME_POSIX)
        return self.finish(inode, result)

    cdef int drop_link(self, uint64_t file_id, uint64_t parent, Name name, bint want_folder) noexcept nogil:
        cdef ntfs_inode *inode = self.open_target(file_id)
        cdef ntfs_attr_search_ctx *context
        cdef int result = 0
        if inode == NULL:
            return -1
        errno_set(0)
        if MREF(file_id) == FILE_root:
            result = self.fail(b"removing", EINVAL)
        elif ((inode.mrec.flags & MFT_RECORD_IS_DIRECTORY) != 0) != want_folder:
            result = self.fail(b"removing", ENOTDIR if want_folder else EISDIR)
        elif want_folder and ntfs_check_empty_dir(inode):
            result = self.fail(b"ntfs_check_empty_dir", errno)
        if result:
            return self.finish(inode, result)
        context = ntfs_attr_get_search_ctx(inode, NULL)
        result = self.long_names(context)
        if self.seek_name(context, parent, name):
            result = -1
        if result == 1:
            ntfs_attr_put_search_ctx(context)
            return self.erase(inode, parent, name)
        if result > 1:
            result = self.drop_one(inode, context, parent, name)
        ntfs_attr_put_search_ctx(context)
        return self.finish(inode, result)

    cdef int drop_one(self, ntfs_inode *inode, ntfs_attr_search_ctx *context, uint64_t parent,
                      Name name) noexcept nogil:
        """Remove one of several names, with its DOS name if it has one."""
        if attribute_name(context).file_name_type == FILE_NAME_WIN32:
            if self.drop_short(inode, context) or self.seek_name(context, parent, name):
                return -1
        return self.drop_name(inode, context)

    cdef int erase(self, ntfs_inode *inode, uint64_t parent, Name name) noexcept nogil:
        """Remove a file with its last name. Closes it; the folder's times are put back as they were."""
        cdef ntfs_inode *folder
        cdef Times times
        if self.drop_reparse(inode) or self.drop_object_id(inode):  # by us: the library would open the indexes again
            return self.finish(inode, -1)
        folder = self.folder_of(parent)
        if folder == NULL:
            return self.finish(inode, -1)
        times = Times(creation=folder.creation_time, write=folder.last_data_change_time,
                      change=folder.last_mft_change_time, access=folder.last_access_time)
        self.folder = NULL                  # the library closes it
        NInoFileNameClearDirty(inode)
        errno_set(0)
        if ntfs_delete(self.volume, NULL, inode, folder, name.text, name.size):
            return self.tear(b"ntfs_delete")
        folder = self.open_target(parent)
        if folder == NULL:
            self.torn = True
            return -1
        self.times = times
        return self.finish(folder, 0)

    # moves --------------------------------------------------------------------------------------------------------

    cdef int is_free(self, uint64_t parent, Name name) noexcept nogil:
        """0 if the folder has no such name; EEXIST."""
        cdef ntfs_inode *folder = self.folder_of(parent)
        if folder == NULL:
            return -1
        errno_set(0)
        if ntfs_inode_lookup_by_name(folder, name.text, name.size) != <uint64_t> -1:
            return self.fail(b"looking up a name", EEXIST)
        return 0 if errno == ENOENT else self.fail(b"ntfs_inode_lookup_by_name", errno)

    cdef int is_outside(self, uint64_t folder, uint64_t file_id) noexcept nogil:
        """0 if a folder does not lie in `file_id`, which is open; EINVAL."""
        cdef ntfs_inode *inode
        cdef ntfs_attr_search_ctx *context
        cdef int depth
        for depth in range(DEPTH_LIMIT):
            if MREF(folder) == MREF(file_id):
                return self.fail(b"moving a folder into itself", EINVAL)
            if MREF(folder) == FILE_root:
                return 0
            inode = self.folder_of(folder)
            if inode == NULL:
                return -1
            context = ntfs_attr_get_search_ctx(inode, NULL)
            if ntfs_attr_lookup(AT_FILE_NAME, AT_UNNAMED, 0, CASE_SENSITIVE, 0, NULL, 0, context):
                ntfs_attr_put_search_ctx(context)
                break
            folder = attribute_name(context).parent_directory
            ntfs_attr_put_search_ctx(context)
        return self.fail(b"going up from a folder", EIO)

    cdef int move(self, uint64_t file_id, uint64_t parent, Name name, uint64_t new_parent, Name new_name,
                  Name short) noexcept nogil:
        cdef ntfs_inode *inode = self.open_target(file_id)
        cdef ntfs_attr_search_ctx *context
        cdef int result = 0
        if inode == NULL:
            return -1
        context = ntfs_attr_get_search_ctx(inode, NULL)
        result = self.seek_name(context, parent, name)
        if not result and inode.mrec.flags & MFT_RECORD_IS_DIRECTORY:
            result = self.is_outside(new_parent, file_id)
        if result:
            pass
        elif MREF(parent) == MREF(new_parent) and name.size == new_name.size and not memcmp(
                name.text, new_name.text, 2 * name.size):
            result = self.give_short(inode, context, parent, name, short)
        else:
            result = self.move_open(inode, context, new_parent, new_name, short)
        ntfs_attr_put_search_ctx(context)
        return self.finish(inode, result)

    cdef int move_open(self, ntfs_inode *inode, ntfs_attr_search_ctx *context, uint64_t new_parent, Name new_name,
                       Name short) noexcept nogil:
        """`context` stands at the old name."""
        cdef uint8_t room[NAME_ROOM]
        cdef FILE_NAME_ATTR *old = <FILE_NAME_ATTR *> room
        cdef Name old_name
        memcpy(room, attribute_name(context), sizeof(FILE_NAME_ATTR) + 2 * attribute_name(context).file_name_length)
        old_name = Name(text=<ntfschar *> (room + sizeof(FILE_NAME_ATTR)), size=old.file_name_length)
        if old.file_name_type == FILE_NAME_WIN32 and self.drop_short(inode, context):
            return -1
        if self.is_free(new_parent, new_name) or self.add_name(inode, new_parent, new_name, FILE_NAME_POSIX):
            self.torn |= old.file_name_type == FILE_NAME_WIN32
            return -1
        if self.seek_name(context, old.parent_directory, old_name) or self.drop_name(inode, context):
            self.torn = True
            return -1
        if short.size and self.give_short(inode, context, new_parent, new_name, short):
            self.torn = True
            return -1
        return 0

    # for Python ---------------------------------------------------------------------------------------------------

    cdef int settle_name(self, int result, uint64_t file_id, uint64_t parent, bytes name) except -1:
        if result and self.code == EEXIST and not self.bridge.code:
            raise refusals.NameTaken(where=self.where, file=f"record {MREF(parent)}",
                                     name=name.decode("utf-16-le", "replace"))
        return self.settle(result, file_id)

    def link(self, uint64_t file_id, uint64_t parent, bytes name not None):
        """Give a file one more name. Raises NameTaken, NameNotPossible, NotAFile, FileNotFound."""
        cdef Name new_name = checked_name(name, False)
        cdef int result
        self.changing()
        with nogil:
            result = self.add_link(file_id, parent, new_name)
        self.settle_name(result, file_id, parent, name)

    def unlink(self, uint64_t file_id, uint64_t parent, bytes name not None):
        """Take a name from a file, its DOS name with it. The last name takes the file, with all that it has."""
        cdef Name old_name = plain_name(name)
        cdef int result
        self.changing()
        with nogil:
            result = self.drop_link(file_id, parent, old_name, False)
        self.settle(result, file_id)

    def remove_folder(self, uint64_t file_id, uint64_t parent, bytes name not None):
        """Remove an empty folder. Raises FolderNotEmpty, NotAFolder."""
        cdef Name old_name = plain_name(name)
        cdef int result
        self.changing()
        with nogil:
            result = self.drop_link(file_id, parent, old_name, True)
        self.settle(result, file_id)

    def rename(self, uint64_t file_id, uint64_t parent, bytes name not None, uint64_t new_parent,
               bytes new_name not None, bytes short_name not None=b""):
        """Move a name, also to another folder; the reference stays. The DOS name becomes `short_name`, b"" for none.

        Raises NameTaken, NameNotPossible, FileNotFound, and CallFailed for a folder that would come to lie in itself.
        """
        cdef Name old_name = plain_name(name)
        cdef Name wanted = checked_name(new_name, False)
        cdef Name short = checked_name(short_name, True)
        cdef int result
        self.changing()
        with nogil:
            result = self.move(file_id, parent, old_name, new_parent, wanted, short)
        self.settle_name(result, file_id, new_parent, new_name)

    def set_short_name(self, uint64_t file_id, uint64_t parent, bytes name not None, bytes short_name not None):
        """Set the DOS name of a file's name, b"" for none. It is the file's only one: another link loses it."""
        cdef Name long_name = plain_name(name)
        cdef Name short = checked_name(short_name, True)
        cdef int result
        self.changing()
        with nogil:
            result = self.shorten(file_id, parent, long_name, short)
        self.settle_name(result, file_id, parent, short_name)


cdef Name plain_name(bytes name) except *:
    """A name that is there already, so whatever it is made of."""
    if len(name) & 1 or not 2 <= len(name) <= 510:
        raise refusals.NameNotPossible(name=name.decode("utf-16-le", "replace"), why="its length is not possible")
    return Name(text=<const ntfschar *> <const char *> name, size=len(name) // 2)
