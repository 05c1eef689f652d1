# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""The contents of a file's streams: written whole, with or without holes, compressed or not; removed."""

from libc.errno cimport EACCES, EIO, EISDIR, ENOENT, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from wimboot.ntfs._changes cimport Changes
from wimboot.ntfs._library cimport stream_name
from wimboot.ntfs._ntfs3g cimport *
from wimboot.ntfs._room cimport make_room
from wimboot.ntfs._sparse cimport mark_sparse

from wimboot.errors import Internal
from wimboot.ntfs import refusals

cdef enum:
    ZERO_STEP = 64 << 10        # holes are found in steps of this: a compression unit of 4 KiB clusters

cdef extern from *:
    """
    #define WIMBOOT_WOF_TAG 0x80000017u
    """
    const uint32_t WOF_TAG "WIMBOOT_WOF_TAG"


cdef class Contents(Changes):
    """A volume whose files can be written."""

    def write_data(self, uint64_t file_id, bytes name not None, parts, int64_t size, *, bint sparse=False,
                   bint compressed=False, bint as_before=False):
        """Replace a stream whole by `parts`, `size` bytes in all. A missing one is made, a pointer becomes a file.

        A reparse point that is not the overlay filter's stays: of such a file the data is its own. With `sparse` zeros
        take no clusters, and the stream is marked as sparse even if it has none; with `compressed` NTFS compresses
        (clusters up to 4 KiB; small named streams are not). `as_before`: unnamed data that was a file's own stays
        sparse or compressed. An exception of `parts` goes through; the transaction has to be dropped then.
        """
        cdef ntfs_inode *inode = self.open_changed(file_id)
        cdef ntfschar *raw = stream_name(name)
        cdef int raw_size = len(name) // 2, result = -1
        cdef bint was_sparse = raw_size and inode.flags & FILE_ATTR_SPARSE_FILE
        cdef uint32_t kept = 0
        try:
            if as_before and not raw_size:
                with nogil:
                    result = find_form(self, inode, &kept)
                self.settle(result, file_id)
                sparse = sparse or kept & FILE_ATTR_SPARSE_FILE
                compressed = compressed or kept & FILE_ATTR_COMPRESSED
                result = -1
            self.prepare_stream(inode, name)
            # while it is resident, the library cannot move a compressed named stream out of a record that gets full
            packed = compressed and self.volume.cluster_size <= 4096 and (not name or size > 4096)
            self.fill_stream(inode, name, parts, size, sparse, packed)
            with nogil:
                result = 0
                if was_sparse and not inode.flags & FILE_ATTR_SPARSE_FILE:  # pushed out of a record that got full
                    result = mark_sparse(self, inode, AT_UNNAMED, 0)
                if sparse and not result:
                    result = mark_sparse(self, inode, raw, raw_size)
        finally:
            with nogil:
                result = self.finish(inode, result)
        self.settle(result, file_id)

    cdef int drop_overlay(self, ntfs_inode *inode) noexcept nogil:
        """What stood for the unnamed data goes; other reparse points say something else."""
        cdef uint32_t tag
        if not inode.flags & FILE_ATTR_REPARSE_POINT:
            return 0
        if self.find_tag(inode, &tag):
            return -1
        return self.drop_reparse(inode) if tag == WOF_TAG else 0

    cdef int prepare_stream(self, ntfs_inode *inode, bytes name) except -1:
        """Remove what the stream was."""
        cdef ntfschar *raw = stream_name(name)
        cdef int size = len(name) // 2
        cdef int result = 0
        if len(name) & 1 or size > 255:
            raise refusals.NameNotPossible(name=name.decode("utf-16-le", "replace"), why="its length is not possible")
        with nogil:
            if not size and inode.mrec.flags & MFT_RECORD_IS_DIRECTORY:
                result = self.fail(b"writing", EISDIR)
            elif inode.flags & FILE_ATTR_ENCRYPTED:
                result = self.fail(b"writing", EACCES)
            elif not size:
                result = self.drop_overlay(inode) or self.empty_data(inode)
            elif ntfs_attr_exist(inode, AT_DATA, raw, size) and ntfs_attr_remove(inode, AT_DATA, raw, size):
                result = self.tear(b"ntfs_attr_remove")
        return self.settle(result, inode.mft_no)

    cdef int add_stream(self, ntfs_inode *inode, ntfschar *name, int size, bint compressed) noexcept nogil:
        """An empty stream, marked as it is to be written; the library takes that from the file's flags."""
        if compressed:
            inode.flags |= FILE_ATTR_COMPRESSED
        else:
            inode.flags &= ~<uint32_t> FILE_ATTR_COMPRESSED
        errno_set(0)
        if ntfs_attr_add(inode, AT_DATA, name, size, NULL, 0):
            return self.tear(b"ntfs_attr_add")
        return 0

    cdef int fill_stream(self, ntfs_inode *inode, bytes name, object parts, int64_t size, bint sparse,
                         bint compressed) except -1:
        cdef uint32_t kept = inode.flags & FILE_ATTR_COMPRESSED if name else 0
        cdef ntfschar *raw = stream_name(name)
        cdef int raw_size = len(name) // 2
        cdef ntfs_attr *data = NULL
        cdef const uint8_t[::1] view
        cdef int64_t offset = 0
        cdef int result
        try:
            with nogil:
                result = self.add_stream(inode, raw, raw_size, compressed)
            self.settle(result, inode.mft_no)
            data = ntfs_attr_open(inode, AT_DATA, raw, raw_size)
            if data == NULL:
                self.settle(self.tear(b"ntfs_attr_open"), inode.mft_no)
            self.torn = True        # until all of it is there
            with nogil:
                result = 0
                if not compressed and size:
                    if sparse:
                        result = self.fail(b"ntfs_attr_truncate", errno) if ntfs_attr_truncate(data, size) else 0
                    else:
                        result = make_room(data, size, size, self.volume.cluster_size)
                        if result:
                            result = self.fail(b"ntfs_attr_truncate", result)
            self.settle(result, inode.mft_no)
            for part in parts:
                view = part
                if view.shape[0] > size - offset:
                    raise Internal(what=f"more than the {size:,} bytes announced were given for a stream")
                if view.shape[0]:
                    with nogil:
                        result = self.put(data, &view[0], offset, view.shape[0], sparse and not compressed)
                    self.settle(result, inode.mft_no)
                    offset += view.shape[0]
            if offset != size:
                raise Internal(what=f"{offset:,} of {size:,} bytes were given for a stream")
            with nogil:
                if compressed and ntfs_attr_pclose(data):
                    result = self.fail(b"ntfs_attr_pclose", errno)
            self.settle(result, inode.mft_no)
            if data.data_size != size:
                self.settle(self.fail(b"comparing the size written", EIO), inode.mft_no)
            self.torn = False
        finally:
            if data != NULL:
                ntfs_attr_close(data)
            if name:
                inode.flags = inode.flags & ~<uint32_t> FILE_ATTR_COMPRESSED | kept
        return 0

    cdef int put(self, ntfs_attr *data, const uint8_t *buffer, int64_t offset, int64_t size,
                 bint sparse) noexcept nogil:
        cdef int64_t done = 0, step
        while done < size:
            step = min(size - done, ZERO_STEP - (offset + done) % ZERO_STEP) if sparse else size - done
            if not sparse or any_set(buffer + done, step):
                errno_set(0)
                if ntfs_attr_pwrite(data, offset + done, step, buffer + done) != step:
                    return self.fail(b"ntfs_attr_pwrite", errno)
            done += step
        return 0

    def remove_stream(self, uint64_t file_id, bytes name not None):
        """Remove a named stream. Raises FileNotFound where there is none."""
        cdef ntfschar *raw = stream_name(name)
        cdef int size = len(name) // 2
        cdef int result = 0
        if not name or len(name) & 1 or size > 255:
            raise refusals.NameNotPossible(name=name.decode("utf-16-le", "replace"), why="its length is not possible")
        cdef ntfs_inode *inode = self.open_changed(file_id)
        with nogil:
            if not ntfs_attr_exist(inode, AT_DATA, raw, size):
                result = self.fail(b"looking for a stream", ENOENT)
            elif ntfs_attr_remove(inode, AT_DATA, raw, size):
                result = self.tear(b"ntfs_attr_remove")
            result = self.finish(inode, result)
        self.settle(result, file_id)


cdef bint any_set(const uint8_t *buffer, int64_t size) noexcept nogil:
    return size > 0 and (buffer[0] or memcmp(buffer, buffer + 1, size - 1))


cdef int find_form(Contents volume, ntfs_inode *inode, uint32_t *form) noexcept nogil:
    """How a file's own data is stored: its SPARSE and COMPRESSED bits. Those of a pointer say nothing of it."""
    cdef uint32_t tag = 0
    form[0] = 0
    if inode.flags & FILE_ATTR_REPARSE_POINT and volume.find_tag(inode, &tag):
        return -1
    if tag != WOF_TAG:
        form[0] = <uint32_t> inode.flags & (FILE_ATTR_SPARSE_FILE | FILE_ATTR_COMPRESSED)
    return 0
