"""A disk whose bytes lie elsewhere in its file, in extents that never move: VHDX, QCOW2, VMDK, VDI, read as they are.

What no extent has in the file reads as zeros; a write to it fails, for this program makes none of these files longer.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport EIO, EROFS
from libc.stdint cimport int64_t
from libc.string cimport memset

from wimboot.disk._placed cimport clear_free
from wimboot.errors import Internal
from wimboot.storage._device cimport Device

cdef enum:
    PAGE = 4096


cdef struct Extent:
    int64_t start
    int64_t end
    int64_t place       # in the file; -1 where there are only zeros


cdef class MappedDisk(Device):
    """`extents` are (start, size, place or None), one behind the other from 0 to `size`, checked already.

    One thread writes; any number may read while none writes.
    """

    cdef Device base
    cdef Extent *extents
    cdef int64_t count
    cdef bytes head
    cdef int64_t head_offset

    def __cinit__(self, Device base, int64_t size, extents, bytes head=b"", int64_t head_offset=0):
        cdef int64_t at = 0, i = 0
        self.base, self.length, self.count = base, size, len(extents)
        self.head, self.head_offset = head, head_offset
        self.extents = <Extent *> PyMem_Malloc(max(1, self.count) * sizeof(Extent))
        if self.extents == NULL:
            raise MemoryError
        for start, length, place in extents:
            if start != at or length <= 0 or (place is not None and place < 0):
                raise Internal(what="the extents of a disk are not in a row")
            at += length
            self.extents[i] = Extent(start, at, -1 if place is None else place)
            i += 1
        if at != size:
            raise Internal(what="the extents of a disk do not reach its end")

    def __dealloc__(self):
        PyMem_Free(self.extents)

    cpdef check(self, int code, str what):
        self.base.check(code, what)

    cdef int64_t find(self, int64_t offset) noexcept nogil:
        # The extent that holds a byte of the disk.
        cdef int64_t low = 0, high = self.count - 1, middle
        while low < high:
            middle = (low + high) // 2
            if offset < self.extents[middle].end:
                high = middle
            else:
                low = middle + 1
        return low

    cdef int move(self, unsigned char *data, int64_t size, int64_t offset, bint write) noexcept nogil:
        # Read into `data`, or write from it, extent by extent; all of it lies within the disk.
        cdef int64_t i, part
        cdef int code
        i = self.find(offset) if size else 0
        while size > 0:
            part = min(size, self.extents[i].end - offset)
            if self.extents[i].place < 0:
                if write:
                    return EROFS
                memset(data, 0, part)
            else:
                if write:
                    code = self.base.write(data, part, self.extents[i].place + offset - self.extents[i].start)
                else:
                    code = self.base.read(data, part, self.extents[i].place + offset - self.extents[i].start)
                if code:
                    return code
            data += part
            offset += part
            size -= part
            i += 1
        return 0

    cdef int read(self, void *buffer, int64_t size, int64_t offset) noexcept nogil:
        cdef unsigned char *out = <unsigned char *> buffer
        cdef int64_t here
        if offset < 0 or size < 0:
            return EIO
        here = min(size, max(0, self.length - offset))
        memset(out + here, 0, size - here)
        return self.move(out, here, offset, False)

    cdef int write(self, const void *buffer, int64_t size, int64_t offset) noexcept nogil:
        if offset < 0 or size < 0 or offset > self.length or size > self.length - offset:
            return EIO
        return self.move(<unsigned char *> buffer, size, offset, True)

    cdef int flush(self) noexcept nogil:
        return self.base.flush()

    # -- what the transaction asks

    def mend(self):
        """Write what the file's own header has to say once its disk is changed. Raises HostError."""
        if self.head:
            self.base.pwrite(self.head_offset, self.head)

    def places(self, int64_t offset, int64_t size):
        """Where bytes of the disk lie in the file: (offset, size) pairs in their order; None where some are absent."""
        cdef int64_t i, part
        found = []
        if offset < 0 or offset > self.length or size > self.length - offset:
            return None
        i = self.find(offset)
        while size > 0:
            if self.extents[i].place < 0:
                return None
            part = min(size, self.extents[i].end - offset)
            found.append((self.extents[i].place + offset - self.extents[i].start, part))
            offset += part
            size -= part
            i += 1
        return found

    def free_pages(self, int64_t start, int64_t unit_size, bytes bitmap, int64_t count):
        """As `SparseDisk.free_pages`: the file's pages of 4 KiB that lie in free units of a volume."""
        cdef int64_t pages = self.base.length // PAGE
        cdef const unsigned char *bits = bitmap
        cdef int64_t i
        cdef Extent *extent
        if start < 0 or unit_size <= 0 or count < 0 or (count + 7) // 8 > len(bitmap) or start > self.length \
                or count > (self.length - start) // unit_size:
            raise Internal(what="the map of free clusters does not fit the disk")
        result = bytearray(b"\xff" * (pages // 8 + 1))
        cdef unsigned char[::1] out = result
        with nogil:
            for i in range(self.count):
                extent = &self.extents[i]
                if extent.place >= 0:
                    clear_free(&out[0], pages, extent.place, extent.end - extent.start, extent.start - start, bits,
                               unit_size, count)
        return bytes(result), pages
