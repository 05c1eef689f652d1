# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""New values for many pointers in one ordered pass over $MFT.

After every append to a WIM each pointer needs its new table hash: a few bytes of a resident value, for which opening
the file, its folder and its index entry is far too much. So the records are read and written by the hundred, as they
lie in $MFT's data; the library knows where that is, and both go through the same device. Update sequences are undone
and advanced here, only those of records that change, so that whole pages can be written in which the others stay as
they are: a page of which a part is written has to be read before. The library keeps records of files it closed; it is
told to forget those that are changed here. What does not lie in a file's first record, or has another size, goes
through the library file by file.
"""

from libc.errno cimport EIO, ENOENT, EPERM, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcmp, memcpy, memset

from wimboot.ntfs._extents cimport u16, u32
from wimboot.ntfs._ntfs3g cimport *
from wimboot.ntfs._pages cimport PAGE

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
    """Whether it is a file record with an update sequence that can be undone, and with attributes inside of it."""
    cdef uint32_t sequence = u16(record + 4), words = u16(record + 6), first = u16(record + 20), used = u32(record + 24)
    return (u32(record) == FILE_SIGNATURE and words == record_size // STRIDE + 1 and not sequence & 1
            and sequence >= SMALLEST_HEADER and sequence + 2 * words <= STRIDE - 2
            and used <= record_size and not first & 7 and SMALLEST_HEADER <= first <= used)


cdef bint undo_sequence(uint8_t *record, uint32_t record_size) noexcept nogil:
    """Put back the words that the update sequence number stands for; nothing where one of them is another number, as in
    a record that was written in part."""
    cdef uint8_t *sequence = record + u16(record + 4)
    cdef uint8_t *last_word = record + STRIDE - 2
    cdef uint32_t i, count = record_size // STRIDE
    for i in range(count):
        if memcmp(last_word + i * STRIDE, sequence, 2):
            return False
    for i in range(count):
        memcpy(last_word + i * STRIDE, sequence + 2 + 2 * i, 2)
    return True


cdef void set_sequence(uint8_t *record, uint32_t record_size, bint changed) noexcept nogil:
    """Let the update sequence guard the record again, by the next number where it changed. Never 0 nor 0xFFFF."""
    cdef uint8_t *sequence = record + u16(record + 4)
    cdef uint8_t *last_word = record + STRIDE - 2
    cdef uint32_t i
    cdef uint16_t number = <uint16_t> (u16(sequence) + changed)
    if changed and (not number or number == 0xFFFF):
        number = 1
    memcpy(sequence, &number, 2)
    for i in range(record_size // STRIDE):
        memcpy(sequence + 2 + 2 * i, last_word + i * STRIDE, 2)
        memcpy(last_word + i * STRIDE, &number, 2)


cdef class Refresh(Contents):
    """A volume that can give many pointers new values."""

    cdef int patch(self, uint8_t *record, const Change *change, uint32_t size) noexcept nogil:
        """UNCHANGED, PATCHED, or ELSEWHERE where the library has to do it; -1 and `fail`. The record is as on disk."""
        cdef int state
        if not is_sound(record, self.volume.mft_record_size) or not undo_sequence(record, self.volume.mft_record_size):
            return self.fail(b"reading a file record", EIO)
        state = self.patch_value(record, change, size)
        set_sequence(record, self.volume.mft_record_size, state == PATCHED)
        return state

    cdef int patch_value(self, uint8_t *record, const Change *change, uint32_t size) noexcept nogil:
        """The same for a record whose update sequence is undone."""
        cdef uint32_t used, at, kind = 1, last, length, value_size, offset
        cdef bint listed = False
        cdef uint8_t *value
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

    cdef int read_records(self, uint64_t first, uint32_t count, uint8_t *records) noexcept nogil:
        """As they are on disk."""
        cdef int64_t each = self.volume.mft_record_size
        errno_set(0)
        if ntfs_attr_pread(self.volume.mft_na, <int64_t> first * each, count * each, records) != count * each:
            return self.fail(b"reading $MFT", errno or EIO)
        return 0

    cdef int write_pages(self, uint8_t *records, uint64_t first, uint8_t *changed, uint32_t count, uint32_t together) \
            noexcept nogil:
        """Write the pages, each of `together` records, that have a marked one, as many at once as stand together."""
        cdef uint32_t start = 0, end, i
        cdef int64_t each = self.volume.mft_record_size
        cdef bint any = True
        while start < count:
            end = start
            while end < count and any:
                any = False
                for i in range(end, min(end + together, count)):
                    any |= changed[i]
                if any:
                    end = min(end + together, count)
            if end > start:
                errno_set(0)
                if ntfs_attr_pwrite(self.volume.mft_na, <int64_t> (first + start) * each, (end - start) * each,
                                    records + start * each) != (end - start) * each:
                    return self.tear(b"writing $MFT")
            start, any = end + together, True
        return 0

    cdef int patch_all(self, Change *changes, uint64_t count, uint32_t size, uint8_t *room, uint64_t *left) \
            noexcept nogil:
        """The pass. `changes` in order of record; those left to the library come first afterwards, `left` of them.

        `room`: a WINDOW of records, and a mark for each.
        """
        cdef uint32_t each = self.volume.mft_record_size, window, together
        cdef uint64_t at = 0, next_at, first, place, records, end
        cdef uint8_t *marks = room + WINDOW
        cdef int state
        left[0] = 0
        if each < SMALLEST_RECORD or each > WINDOW:
            return self.fail(b"reading file records", EIO)
        window, together, end = WINDOW // each, max(1, PAGE // each), self.volume.mft_na.initialized_size // each
        while at < count:
            first, next_at = MREF(changes[at].file_id), at
            self.refused = changes[at].file_id
            if first < FILE_first_user:
                return self.fail(b"opening a file", EPERM)
            first -= first % together
            while next_at < count and MREF(changes[next_at].file_id) - first < window:
                self.refused = changes[next_at].file_id
                if MREF(self.refused) >= end:
                    return self.fail(b"opening a file", ENOENT)
                ntfs_inode_invalidate(self.volume, MREF(self.refused))
                next_at += 1
            records = MREF(self.refused) + 1 - first
            records = min(records + together - 1 - (records - 1) % together, end - first)
            if self.read_records(first, <uint32_t> records, room):
                return -1
            memset(marks, 0, records)
            while at < next_at:
                place = MREF(changes[at].file_id) - first
                self.refused = changes[at].file_id
                state = ELSEWHERE       # a cluster of 32 KiB or more has room in $MFTMirr for records of files
                if MREF(self.refused) >= <uint64_t> self.volume.mftmirr_size:
                    state = self.patch(room + place * each, &changes[at], size)
                if state < 0:
                    return -1
                if state == PATCHED:
                    marks[place] = True
                elif state == ELSEWHERE:
                    changes[left[0]] = changes[at]
                    left[0] += 1
                at += 1
            if self.write_pages(room, first, marks, <uint32_t> records, together):
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
            raise FormatError("the reparse values", 0,
                              f"{len(values):,} bytes are not one value for each of {count:,} files")
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
