# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""New values for many pointers in one ordered pass over $MFT.

After every append to a WIM each pointer needs its new table hash: a few bytes of a resident value, for which opening the
file, its folder and its index entry is far too much. So the records are read and written by the hundred, with the
library's own functions, which know where $MFT lies, undo and apply update sequences, and go through the same device. The
library keeps records of files it closed; it is told to forget those that are changed here. What does not lie in a
file's first record, or has another size, goes through the library file by file.
"""

from libc.errno cimport EIO, ENOENT, EPERM, ESPIPE, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcmp, memcpy, memset

from wimboot.ntfs._extents cimport u16, u32
from wimboot.ntfs._ntfs3g cimport *

from wimboot.errors import FormatError

cdef enum:
    WINDOW = 256 << 10          # of $MFT in memory; larger reads and writes pass by the cache of pages
    STRIDE = 512                # bytes that one word of the update sequence guards
    SMALLEST_HEADER = 42        # of a record of NTFS 1.2
    SMALLEST_ATTRIBUTE = 24
    ATTRIBUTE_LIST = 0x20
    SMALLEST_RECORD = 256       # that a boot sector can tell of
    VALUE_LIMIT = 16 << 10      # MAXIMUM_REPARSE_DATA_BUFFER_SIZE
    UNCHANGED = 0               # what `patch` tells
    PATCHED = 1
    ELSEWHERE = 2

cdef extern from *:
    """
    #define WIMBOOT_FILE 0x454C4946u
    #define WIMBOOT_END 0xFFFFFFFFu
    #define WIMBOOT_WOF_TAG 0x80000017u
    """
    const uint32_t FILE_SIGNATURE "WIMBOOT_FILE"
    const uint32_t END "WIMBOOT_END"
    const uint32_t WOF_TAG "WIMBOOT_WOF_TAG"


cdef int by_record(const void *a, const void *b) noexcept nogil:
    cdef uint64_t x = MREF((<const Change *> a).file_id), y = MREF((<const Change *> b).file_id)
    return 1 if x > y else -1 if x < y else 0


cdef bint is_sound(const uint8_t *record, uint32_t record_size) noexcept nogil:
    """Whether it is a file record that the library could undo the update sequence of, with attributes inside of it."""
    cdef uint32_t sequence = u16(record + 4), words = u16(record + 6), first = u16(record + 20), used = u32(record + 24)
    return (u32(record) == FILE_SIGNATURE and words == record_size // STRIDE + 1 and not sequence & 1
            and sequence >= SMALLEST_HEADER and sequence + 2 * words <= STRIDE - 2
            and used <= record_size and not first & 7 and SMALLEST_HEADER <= first <= used)


cdef class Refresh(Contents):
    """A volume that can give many pointers new values."""

    cdef int patch(self, uint8_t *record, const Change *change, uint32_t size) noexcept nogil:
        """UNCHANGED, PATCHED, or ELSEWHERE where the library has to do it; -1 and `fail`."""
        cdef uint32_t used, at, kind = 1, last, length, value_size, offset
        cdef bint listed = False
        cdef uint8_t *value
        if not is_sound(record, self.volume.mft_record_size):
            return self.fail(b"reading a file record", EIO)
        if (not (<MFT_RECORD *> record).flags & MFT_RECORD_IN_USE or (<MFT_RECORD *> record).base_mft_record
                or (<MFT_RECORD *> record).sequence_number != change.file_id >> 48):
            return self.fail(b"reading a file record", ENOENT)
        used, at = u32(record + 24), u16(record + 20)
        while True:
            if used - at < 4:
                return self.fail(b"reading a file record", EIO)
            last, kind = kind, u32(record + at)
            if kind == END:
                return ELSEWHERE if listed else self.fail(b"looking for a reparse point", ENOENT)
            if used - at < SMALLEST_ATTRIBUTE or kind < last:       # attributes stand in the order of their types
                return self.fail(b"reading a file record", EIO)
            length = u32(record + at + 4)
            if length < SMALLEST_ATTRIBUTE or length & 7 or length > used - at:
                return self.fail(b"reading a file record", EIO)
            if kind == AT_REPARSE_POINT:
                break
            listed |= kind == ATTRIBUTE_LIST
            at += length
        value_size, offset = u32(record + at + 16), u16(record + at + 20)
        if record[at + 8] or value_size != size:        # not resident, or of another version
            return ELSEWHERE
        if record[at + 9] or offset < SMALLEST_ATTRIBUTE or offset > length or value_size > length - offset:
            return self.fail(b"reading a reparse point", EIO)
        value = record + at + offset
        if u32(value) != WOF_TAG:
            return self.fail(b"looking for a pointer", ENOENT)
        if memcmp(value, change.value, size) == 0:
            return UNCHANGED
        memcpy(value, change.value, size)
        return PATCHED

    cdef int write_run(self, uint8_t *records, uint64_t first, uint8_t *changed, uint32_t count) noexcept nogil:
        """Write those of `count` records that are marked, as many at once as stand together."""
        cdef uint32_t start = 0, end
        while start < count:
            end = start
            while end < count and changed[end]:
                end += 1
            if end > start:
                errno_set(0)
                if ntfs_mft_records_write(self.volume, first + start, end - start, <MFT_RECORD *>
                                          (records + <uint64_t> start * self.volume.mft_record_size)):
                    return self.tear(b"ntfs_mft_records_write")
            start = end + 1
        return 0

    cdef int patch_all(self, Change *changes, uint64_t count, uint32_t size, uint8_t *room, uint64_t *left) noexcept nogil:
        """The pass. `changes` in order of record; those left to the library come first afterwards, `left` of them.

        `room`: a WINDOW of records, and a mark for each.
        """
        cdef uint32_t window = WINDOW // self.volume.mft_record_size, records
        cdef uint64_t at = 0, next_at, first, place
        cdef uint8_t *marks = room + WINDOW
        cdef int state
        left[0] = 0
        if not window or self.volume.mft_record_size < SMALLEST_RECORD:
            return self.fail(b"reading file records", EIO)
        while at < count:
            first, next_at = MREF(changes[at].file_id), at
            self.refused = changes[at].file_id
            if first < FILE_first_user:
                return self.fail(b"opening a file", EPERM)
            while next_at < count and MREF(changes[next_at].file_id) - first < window:
                ntfs_inode_invalidate(self.volume, MREF(changes[next_at].file_id))
                next_at += 1
            records = <uint32_t> (MREF(changes[next_at - 1].file_id) - first + 1)
            errno_set(0)
            if ntfs_mft_records_read(self.volume, first, records, <MFT_RECORD *> room):
                return self.fail(b"ntfs_mft_records_read", ENOENT if errno == ESPIPE else errno)
            memset(marks, 0, records)
            while at < next_at:
                place = MREF(changes[at].file_id) - first
                self.refused = changes[at].file_id
                state = self.patch(room + place * self.volume.mft_record_size, &changes[at], size)
                if state < 0:
                    return -1
                if state == PATCHED:
                    marks[place] = True
                elif state == ELSEWHERE:
                    changes[left[0]] = changes[at]
                    left[0] += 1
                at += 1
            if self.write_run(room, first, marks, records):
                return -1
        return 0

    cdef int change_one(self, const Change *change, uint32_t size) noexcept nogil:
        """The library's way; see `replace_reparse`."""
        cdef ntfs_inode *inode = self.open_target(change.file_id)
        self.refused = change.file_id
        if inode == NULL:
            return -1
        if not inode.flags & FILE_ATTR_REPARSE_POINT:
            return self.finish(inode, self.fail(b"looking for a reparse point", ENOENT))
        return self.finish(inode, self.replace_value(inode, change.value, size))

    def refresh(self, file_ids, bytes values not None):
        """Give pointers other values, all of one size, as `replace_reparse` gives one; how many took the library's way.

        `file_ids`: array("Q"), no file twice; `values`: one after the other, with their headers. Raises FileNotFound
        (also for what is no pointer), RecordReserved, VolumeDamaged; after any error the transaction has to be dropped.
        """
        cdef const uint64_t[::1] ids = file_ids
        cdef uint64_t count = ids.shape[0], i, left = 0
        cdef uint32_t size
        cdef const uint8_t *raw = values
        cdef Change *changes
        cdef uint8_t *room
        cdef int result
        self.changing()
        if not count:
            return 0
        size = <uint32_t> (len(values) // count) if len(values) // count <= VALUE_LIMIT else 0
        if size < 8 or size * count != <uint64_t> len(values):
            raise FormatError("the reparse values", 0, f"{len(values)} bytes are not one value for each of {count} files")
        for i in range(count):
            if u32(raw + i * size) != WOF_TAG or u16(raw + i * size + 4) + 8 != <int> size:
                raise FormatError("the reparse values", i * size, "it is none of the overlay filter's")
        changes = <Change *> malloc(count * sizeof(Change))
        room = <uint8_t *> malloc(WINDOW + WINDOW // SMALLEST_RECORD)
        try:
            if changes == NULL or room == NULL:
                raise MemoryError
            with nogil:
                for i in range(count):
                    changes[i].file_id, changes[i].value = ids[i], raw + i * size
                qsort(changes, count, sizeof(Change), by_record)
                result = self.release()
                result |= self.release_all()
                if not result:
                    result = self.patch_all(changes, count, size, room, &left)
                i = 0
                while not result and i < left:
                    result = self.change_one(&changes[i], size)
                    i += 1
                if result:
                    self.torn = True
        finally:
            free(changes)
            free(room)
        self.settle(result, self.refused)
        return left
