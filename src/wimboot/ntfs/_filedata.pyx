# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""The data of one large plain file of a mounted volume: read along its runs, grown and written in large pieces.

The run list is decoded once, and again after the file has grown; reads then go straight to the device, past the
library, with what its cache of pages has not yet handed over laid on top. Writes go through the library, which keeps
the run list and the initialized size; room is taken in steps ahead of them, so that the file stays in few pieces.
The holder says in the end how long the file is (`cut`).
"""

from libc.errno cimport EIO, errno
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from wimboot.ntfs._changes cimport Changes
from wimboot.ntfs._names cimport Times
from wimboot.ntfs._ntfs3g cimport *
from wimboot.ntfs._pages cimport PAGE, SLOTS, Pages
from wimboot.ntfs._room cimport make_room

from wimboot.ntfs import refusals

cdef extern from *:
    """
    #include "attrib.h"
    #include "runlist.h"
    static inline int wimboot_in_clusters(ntfs_attr *data) { return NAttrNonResident(data) != 0; }
    static inline runlist_element *wimboot_runs(ntfs_attr *data) { return data->rl; }
    """
    ctypedef struct runlist_element:
        int64_t vcn, lcn, length

    int in_clusters "wimboot_in_clusters"(ntfs_attr *data) nogil
    runlist_element *runs_of "wimboot_runs"(ntfs_attr *data) nogil
    int ntfs_attr_map_whole_runlist(ntfs_attr *data) nogil

cdef enum:
    STEP = 64 << 20         # bytes of room taken ahead
    MOST_PIECES = 1 << 24
    RESIDENT = 4096         # no MFT record is larger


cdef struct Piece:
    int64_t start, place, size      # bytes: in the file, on the volume


cdef int peek(Pages *pages, uint8_t *buffer, int64_t size, int64_t offset) noexcept nogil:
    """Bytes of the device as they will be. Changes nothing, so any number of threads may while none writes."""
    cdef int64_t page, start, step
    cdef int slot
    cdef int code = pages.read(pages.device, buffer, size, offset)
    while size > 0 and not code:
        page, start = offset / PAGE, offset % PAGE
        step = min(size, PAGE - start)
        slot = page % SLOTS
        if pages.dirty[slot] and pages.page[slot] == page:
            memcpy(buffer, pages.bytes + <int64_t> slot * PAGE + start, step)
        buffer += step
        offset += step
        size -= step
    return code


cdef class FileData:
    """The unnamed data of a file. `size` is that on the volume, with the room taken ahead."""

    cdef Changes volume
    cdef readonly uint64_t file_id
    cdef readonly int64_t size
    cdef int64_t initialized
    cdef Piece *pieces
    cdef int64_t count
    cdef bytes resident

    def __init__(self, Changes volume not None, uint64_t file_id):
        """Raises FileNotFound, NotAFile, NotPlain, VolumeDamaged."""
        self.volume = volume
        self.file_id = file_id
        self.load()

    def __dealloc__(self):
        free(self.pieces)

    cdef int refuse(self, str what) except -1:
        raise refusals.NotPlain(where=self.volume.where, file=f"record {MREF(self.file_id)}", what=what)

    cdef int check(self, ntfs_inode *inode, ntfs_attr *data) except -1:
        if inode.flags & FILE_ATTR_REPARSE_POINT:
            self.refuse("a pointer, a link or another reparse point")
        if data.data_flags & ATTR_IS_ENCRYPTED:
            self.refuse("encrypted")
        if data.data_flags & ATTR_IS_COMPRESSED:
            self.refuse("compressed by NTFS")
        if data.data_flags & ATTR_IS_SPARSE:
            self.refuse("sparse")
        return 0

    cdef load(self):
        """Read sizes and runs."""
        cdef Changes volume = self.volume
        cdef ntfs_inode *inode
        cdef ntfs_attr *data = NULL
        cdef int result
        volume.ready(False)
        with nogil:
            result = volume.release()
            inode = NULL if result else volume.open_file(self.file_id)
        volume.settle(-1 if inode == NULL else 0, self.file_id)
        try:
            if inode.mrec.flags & MFT_RECORD_IS_DIRECTORY:
                raise refusals.NotAFile(where=volume.where, file=f"record {MREF(self.file_id)}")
            errno_set(0)
            data = ntfs_attr_open(inode, AT_DATA, AT_UNNAMED, 0)
            if data == NULL:
                volume.settle(volume.fail(b"ntfs_attr_open", errno), self.file_id)
            self.check(inode, data)
            self.size, self.initialized = data.data_size, data.initialized_size
            self.resident = None
            self.count = 0
            if in_clusters(data):
                self.take_runs(data)
            else:
                self.resident = volume._read(data, 0, min(data.data_size, <int64_t> RESIDENT), self.file_id)
        finally:
            if data != NULL:
                ntfs_attr_close(data)
            ntfs_inode_close(inode)

    cdef take_runs(self, ntfs_attr *data):
        cdef int64_t cluster = self.volume.volume.cluster_size, clusters = self.volume.volume.nr_clusters
        cdef int64_t count = 0, i, at = 0
        cdef runlist_element *run
        cdef int result = 0
        with nogil:
            errno_set(0)
            if ntfs_attr_map_whole_runlist(data):
                result = self.volume.fail(b"ntfs_attr_map_whole_runlist", errno)
        self.volume.settle(result, self.file_id)
        run = runs_of(data)
        while run != NULL and run[count].length > 0:
            count += 1
            if count > MOST_PIECES:
                self.refuse("in more pieces than can be followed")
        free(self.pieces)
        self.pieces = <Piece *> malloc((count + 1) * sizeof(Piece))
        if self.pieces == NULL:
            raise MemoryError
        for i in range(count):
            if run[i].lcn < 0 or run[i].vcn * cluster != at:
                self.refuse("sparse")
            if run[i].lcn > clusters or run[i].length > clusters - run[i].lcn:
                self.volume.settle(self.volume.fail(b"following a run", EIO), self.file_id)
            self.pieces[i].start, self.pieces[i].place = at, run[i].lcn * cluster
            self.pieces[i].size = run[i].length * cluster
            at += self.pieces[i].size
        self.count = count
        if at < self.size:
            self.volume.settle(self.volume.fail(b"following the runs", EIO), self.file_id)

    # reading ------------------------------------------------------------------------------------------------------

    def read(self, int64_t offset, int64_t size):
        """Bytes of the file; fewer where it ends. Any number of threads may while nobody writes."""
        if offset < 0 or size <= 0 or offset >= self.size:
            return b""
        self.volume.ready(False)
        size = min(size, self.size - offset)
        if self.resident is not None:
            return self.resident[offset:offset + size]
        cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
        cdef uint8_t *buffer = <uint8_t *> PyBytes_AS_STRING(out)
        cdef int64_t there = max(min(size, self.initialized - offset), 0)
        cdef int code
        with nogil:
            memset(buffer + there, 0, size - there)
            code = self.fetch(buffer, there, offset)
        if code:
            self.volume.device.check(code, "reading")
        return out

    cdef int fetch(self, uint8_t *buffer, int64_t size, int64_t offset) noexcept nogil:
        cdef int64_t low = 0, high = self.count, middle, inside, part
        cdef int code
        while high - low > 1:
            middle = (low + high) // 2
            if self.pieces[middle].start <= offset:
                low = middle
            else:
                high = middle
        while size > 0:
            if low >= self.count:
                return EIO
            inside = offset - self.pieces[low].start
            part = min(size, self.pieces[low].size - inside)
            code = peek(&self.volume.bridge.pages, buffer, part, self.pieces[low].place + inside)
            if code:
                return code
            buffer += part
            offset += part
            size -= part
            low += 1
        return 0

    def places(self):
        """Where the data lies: (byte on the volume, bytes) of each piece."""
        cdef int64_t i
        return [(self.pieces[i].place, self.pieces[i].size) for i in range(self.count)]

    # writing ------------------------------------------------------------------------------------------------------

    cdef int64_t room_for(self, int64_t end):
        """How long to make the file, so that it need not grow at each write."""
        cdef int64_t spare = self.volume.volume.free_clusters * self.volume.volume.cluster_size - (end - self.size)
        return end + max(min(<int64_t> STEP, spare // 2), 0)

    def write(self, int64_t offset, data, int64_t now):
        """Write, growing the file where it ends; what lies between is zeros. `now` becomes the file's write time.

        Raises VolumeFull, after which nothing more can be written.
        """
        cdef const uint8_t[::1] view = memoryview(data).cast("B")
        cdef int64_t size = view.shape[0], end = offset + size
        cdef ntfs_inode *inode
        cdef int result = 0
        if offset < 0 or end < offset:
            raise refusals.SizeNotPossible(size=end)
        if not size:
            return
        cdef int64_t grown = self.room_for(end) if end > self.size else 0
        inode = self.volume.open_changed(self.file_id)
        with nogil:
            result = self.put(inode, &view[0], size, offset, grown)
            self.volume.times.write = self.volume.times.change = now
            result = self.volume.finish(inode, result)
        self.volume.settle(result, self.file_id)
        if grown or self.resident is not None:
            self.load()
        else:
            self.initialized = max(self.initialized, end)

    cdef int put(self, ntfs_inode *inode, const uint8_t *buffer, int64_t size, int64_t offset,
                 int64_t grown) noexcept nogil:
        cdef ntfs_attr *data
        cdef int result = 0
        errno_set(0)
        data = ntfs_attr_open(inode, AT_DATA, AT_UNNAMED, 0)
        if data == NULL:
            return self.volume.fail(b"ntfs_attr_open", errno)
        if grown:
            result = self.extend(data, offset + size, grown)
        if not result and ntfs_attr_pwrite(data, offset, size, buffer) != size:
            result = self.volume.tear(b"ntfs_attr_pwrite")
        ntfs_attr_close(data)
        return result

    cdef int extend(self, ntfs_attr *data, int64_t size, int64_t wanted) noexcept nogil:
        """Make the file `wanted` bytes long, at least `size`."""
        cdef int code = make_room(data, size, wanted, self.volume.volume.cluster_size)
        if code:
            errno_set(code)
            return self.volume.tear(b"ntfs_attr_truncate")
        return 0

    def cut(self, int64_t size):
        """Make the file `size` bytes long; what is added is zeros."""
        cdef ntfs_inode *inode
        cdef ntfs_attr *data
        cdef int result = 0
        if size < 0:
            raise refusals.SizeNotPossible(size=size)
        if size == self.size:
            return
        inode = self.volume.open_changed(self.file_id)
        with nogil:
            errno_set(0)
            data = ntfs_attr_open(inode, AT_DATA, AT_UNNAMED, 0)
            if data == NULL:
                result = self.volume.fail(b"ntfs_attr_open", errno)
            else:
                if size > data.data_size:
                    result = self.extend(data, size, size)
                elif ntfs_attr_truncate_solid(data, size):
                    result = self.volume.tear(b"ntfs_attr_truncate")
                ntfs_attr_close(data)
            result = self.volume.finish(inode, result)
        self.volume.settle(result, self.file_id)
        self.load()
