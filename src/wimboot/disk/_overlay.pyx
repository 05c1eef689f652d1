"""Reads and writes of a transaction: pages in use go to the log, pages that were free go straight to the target.

A page is 4 KiB of the base. Its first write copies it into the log, where every later read and write of it goes; the
log's pages stand one after the other in the order of their first write (slots). A page map of two levels holds the slot
of each page, so memory follows what was written, not the size of the disk: 84 bytes a page.

The last 256 slots are kept in memory and written as one piece, so the log grows by long writes; measured, 4 MiB
of them cost twice the time of 1 MiB, which stays in the processor's cache.
A target may grow. What lay past its end is free: it is written straight, once `before_growth` has made durable how long
the target was. The page that holds the old end is in use.
One thread writes; any number may read while none writes.
"""

from os import strerror

from libc.errno cimport EFBIG, EIO, ENOMEM, ENOSPC, EROFS
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from wimboot.disk._fold cimport fold
from wimboot.errors import HostError, Internal
from wimboot.storage._device cimport Device, FileDevice, push
from wimboot.storage.host import OutOfSpace

cdef enum:
    MAPS = 8
    WITNESSES = 64
    MOST = 0x7FFFFFFF    # pages of one log: 8 TiB


def hash_of(data):
    """The log's 64-bit hash of `data`, whose size is a multiple of 8."""
    cdef const unsigned char[::1] view = data
    if view.shape[0] % 8:
        raise Internal(what="hash_of takes whole 64-bit words")
    return fold(&view[0], view.shape[0]) if view.shape[0] else fold(NULL, 0)


cdef class Appender(FileDevice):
    """A file that grows by being written past its end."""

    cdef int write(self, const void *buffer, int64_t size, int64_t offset) noexcept nogil:
        if offset + size > self.length:
            self.length = offset + size
        return FileDevice.write(self, buffer, size, offset)


cdef class Overlay(Device):
    """`base` as the transaction sees it. Slot i lies at `data_offset + 4096 * i` of `log`.

    A failed write makes the overlay `broken` (an errno): whoever ignored the failure cannot write on, nor commit.
    `flush` does nothing: what is written becomes durable with the commit, never before.
    """

    def __cinit__(self, Device base, log, int64_t data_offset):
        self.length = base.length
        self.base = base
        self.log = Appender(log)
        self.data_offset = data_offset
        self.bitmaps = []
        self.grown_from = -1
        self.where, self.log_where = "the target", "the log"
        self.leaf_count = (base.length + PAGE * LEAF - 1) // (PAGE * LEAF)
        self.leaves = <uint32_t **> calloc(max(self.leaf_count, 1), sizeof(uint32_t *))
        self.tail = <unsigned char *> malloc(TAIL * PAGE)
        if self.leaves == NULL or self.tail == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef int64_t i
        if self.leaves != NULL:
            for i in range(self.leaf_count):
                free(self.leaves[i])
        free(self.leaves)
        free(self.tail)
        free(self.pages)
        free(self.old)
        free(self.fresh)

    cpdef check(self, int code, str what):
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        if self.log.failure is not None:
            self.log.check(code, what)
        if self.base.failure is not None or not code:
            self.base.check(code, what)
        elif code == EROFS and self.broken == EROFS:
            raise Internal(what="a transaction was written to after it had been prepared")
        # which of the two disks is full or failing is what the user has to know
        where = self.log_where if self.log_failed else self.where
        if code == ENOSPC:
            raise OutOfSpace(what=what, where=where)
        if code:
            raise HostError(what=what, where=where, why=strerror(code), errno=code)

    # -- where a page lives

    cdef uint32_t slot_of(self, int64_t page) noexcept nogil:
        # The slot plus one; 0 where the page is not in the log.
        cdef uint32_t *leaf = self.leaves[page // LEAF]
        return leaf[page % LEAF] if leaf != NULL else 0

    cdef bint is_free(self, int64_t page) noexcept nogil:
        cdef int i
        cdef int64_t inside, unit, last
        cdef FreeMap *map
        if 0 <= self.grown_from <= page:
            return True
        for i in range(self.map_count):
            map = &self.maps[i]
            inside = page * PAGE - map.start
            if inside < 0 or inside + PAGE > map.count * map.unit_size:
                continue
            unit = inside // map.unit_size
            last = (inside + PAGE - 1) // map.unit_size
            while unit <= last and not (map.bits[unit >> 3] >> (unit & 7)) & 1:
                unit += 1
            if unit > last:
                return True
        return False

    def set_free(self, int64_t start, int64_t unit_size, bytes bitmap, int64_t count):
        """`count` units of `unit_size` bytes from `start` on; a clear bit (low bit first): the unit was free."""
        if start < 0 or unit_size <= 0 or count < 0 or (count + 7) // 8 > len(bitmap):
            raise Internal(what="the map of free clusters is not one")
        if start > self.length or count > (self.length - start) // unit_size or self.map_count == MAPS:
            raise Internal(what="the map of free clusters does not fit the target")
        self.bitmaps.append(bitmap)
        self.maps[self.map_count] = FreeMap(start, unit_size, count, <const unsigned char *> bitmap)
        self.map_count += 1

    # -- the target's growth

    cdef int begin_growth(self) noexcept with gil:
        if self.before_growth is None:
            return EFBIG
        try:
            self.before_growth(self.length)
        except BaseException as error:
            self.failure = error
            return EIO
        return 0

    cdef int widen(self, int64_t length) noexcept nogil:
        # The map of pages made to reach `length`.
        cdef int64_t count = (length + PAGE * LEAF - 1) // (PAGE * LEAF)
        cdef void *grown
        if count > self.leaf_count:
            grown = realloc(self.leaves, count * sizeof(uint32_t *))
            if grown == NULL:
                return ENOMEM
            self.leaves = <uint32_t **> grown
            memset(self.leaves + self.leaf_count, 0, (count - self.leaf_count) * sizeof(uint32_t *))
            self.leaf_count = count
        return 0

    cdef int grow(self, int64_t length) noexcept nogil:
        # Let the target be `length` bytes long; who asks for it writes its last byte. Nothing where it is longer.
        cdef int code = self.broken
        if code or length <= self.length:
            return code
        if self.grown_from < 0:
            code = self.begin_growth()
            if not code:
                self.grown_from = (self.length + PAGE - 1) // PAGE
        if not code:
            code = self.widen(length)
        if code:
            self.broken = code
            return code
        self.base.length = self.length = length
        return 0

    cdef void spoil(self, int code) noexcept nogil:
        # A layer above failed: nothing more is written, nothing committed.
        if not self.broken:
            self.broken = code

    # -- the log's growth

    cdef int spill(self) noexcept nogil:
        # Write the tail to the log file and start a new one. Its pages are hashed here, while the processor has them.
        cdef int64_t count = self.logged_pages - self.written, i
        cdef int code
        if count:
            for i in range(count):
                self.fresh[self.written + i] = fold(self.tail + i * PAGE, PAGE)
            code = self.log.write(self.tail, count * PAGE, self.data_offset + self.written * PAGE)
            if code:
                self.log_failed = True
                return code
            push(self.log, count * PAGE, self.data_offset + self.written * PAGE)
            self.written += count
        return 0

    cdef int log_run(self, int64_t page, int64_t count) noexcept nogil:
        # Give `count` pages from `page` on, none of them logged, slots with the base's content; count <= TAIL.
        cdef int64_t i, j, slot, room, size
        cdef unsigned char *frame
        cdef void *grown
        cdef int code
        cdef uint32_t *leaf
        if self.logged_pages - self.written + count > TAIL:
            code = self.spill()
            if code:
                return code
        if self.logged_pages + count > self.room:
            room = max(1024, self.room * 2)
            grown = realloc(self.pages, room * sizeof(int64_t))
            if grown == NULL:
                return ENOMEM
            self.pages = <int64_t *> grown
            grown = realloc(self.old, room * 8 * sizeof(uint64_t))
            if grown == NULL:
                return ENOMEM
            self.old = <uint64_t *> grown
            grown = realloc(self.fresh, room * sizeof(uint64_t))
            if grown == NULL:
                return ENOMEM
            self.fresh = <uint64_t *> grown
            self.room = room
        if self.logged_pages + count > <int64_t> MOST:
            return ENOMEM
        for i in range(page // LEAF, (page + count - 1) // LEAF + 1):
            if self.leaves[i] == NULL:
                self.leaves[i] = <uint32_t *> calloc(LEAF, sizeof(uint32_t))
                if self.leaves[i] == NULL:
                    return ENOMEM
        frame = self.tail + (self.logged_pages - self.written) * PAGE
        size = min(count * PAGE, self.length - page * PAGE)
        code = self.base.read(frame, size, page * PAGE)
        if code:
            return code
        memset(frame + size, 0, count * PAGE - size)
        for i in range(count):
            slot = self.logged_pages
            self.pages[slot] = page + i
            for j in range(8):
                self.old[slot * 8 + j] = fold(frame + i * PAGE + j * SECTOR, SECTOR)
            leaf = self.leaves[(page + i) // LEAF]
            leaf[(page + i) % LEAF] = <uint32_t> (slot + 1)
            self.logged_pages += 1
        return 0

    # -- the device

    cdef int read(self, void *buffer, int64_t size, int64_t offset) noexcept nogil:
        cdef unsigned char *out = <unsigned char *> buffer
        cdef int64_t page, inside, part, reach
        cdef int64_t slot, next_slot
        cdef int code
        if offset < 0 or size < 0:
            return EIO
        if offset >= self.length or size > self.length - offset:
            reach = max(0, self.length - offset)
            memset(out + reach, 0, size - reach)
            size = reach
        while size > 0:
            page = offset // PAGE
            inside = offset % PAGE
            part = min(size, PAGE - inside)
            slot = <int64_t> self.slot_of(page) - 1
            if slot >= self.written:
                memcpy(out, self.tail + (slot - self.written) * PAGE + inside, part)
            else:
                # as far as the pages lie together, in the base or in the log
                next_slot = slot
                while part < size:
                    page += 1
                    if slot >= 0:
                        next_slot += 1
                        if next_slot >= self.written:
                            break
                    if <int64_t> self.slot_of(page) - 1 != next_slot:
                        break
                    part = min(size, part + PAGE)
                if slot < 0:
                    code = self.base.read(out, part, offset)
                else:
                    code = self.log.read(out, part, self.data_offset + slot * PAGE + inside)
                if code:
                    return code
            out += part
            offset += part
            size -= part
        return 0

    cdef int write_slot(self, const void *buffer, int64_t size, int64_t slot, int64_t inside) noexcept nogil:
        if slot >= self.written:
            memcpy(self.tail + (slot - self.written) * PAGE + inside, buffer, size)
            return 0
        self.fresh[slot] = UNKNOWN      # what is in the file already is written page by page
        cdef int code = self.log.write(buffer, size, self.data_offset + slot * PAGE + inside)
        if code:
            self.log_failed = True
        return code

    cdef int write_pages(self, const unsigned char *buffer, int64_t size, int64_t offset) noexcept nogil:
        cdef int64_t page, inside, part, slot, next_page, count
        cdef bint straight
        cdef int code
        while size > 0:
            page = offset // PAGE
            inside = offset % PAGE
            part = min(size, PAGE - inside)
            slot = <int64_t> self.slot_of(page) - 1
            if slot < 0:
                straight = self.is_free(page)
                count = 1
                next_page = page + 1
                while part < size and self.slot_of(next_page) == 0 and self.is_free(next_page) == straight \
                        and (straight or count < TAIL):
                    part = min(size, part + PAGE)
                    next_page += 1
                    count += 1
                if straight:
                    code = self.base.write(buffer, part, offset)
                    self.straight_size += part
                    self.witnesses[self.runs % WITNESSES] = page
                    self.runs += 1
                else:
                    code = self.log_run(page, count)
                    if not code:
                        # the run's slots are the newest, so they lie together in the tail
                        code = self.write_slot(buffer, part, self.logged_pages - count, inside)
            else:
                code = self.write_slot(buffer, part, slot, inside)
            if code:
                return code
            buffer += part
            offset += part
            size -= part
        return 0

    cdef int write(self, const void *buffer, int64_t size, int64_t offset) noexcept nogil:
        cdef int code
        if offset < 0 or size < 0 or offset > self.length or size > self.length - offset:
            return EIO
        if self.broken:
            return self.broken
        code = self.write_pages(<const unsigned char *> buffer, size, offset)
        self.broken = code
        return code

    cdef int flush(self) noexcept nogil:
        return 0

    # -- what the transaction asks

    def hold(self, int64_t page):
        """Put a page into the log even though nobody has written it."""
        if page < 0 or page * PAGE >= self.length:
            raise Internal(what="a guarded page lies past the end of the target")
        if self.slot_of(page) == 0:
            self.check(self.log_run(page, 1), "writing the log")

    def straight_pages(self):
        """Some of the pages that were written straight: where the latest 64 writes began."""
        cdef int64_t i
        return sorted({self.witnesses[i] for i in range(min(self.runs, <int64_t> WITNESSES))})

    def seal(self):
        """Refuse every further write: what the log holds is final."""
        self.broken = EROFS

    def forget(self):
        """Read through to the base from now on: the log is closed."""
        cdef int64_t i
        for i in range(self.leaf_count):
            free(self.leaves[i])
            self.leaves[i] = NULL
        self.written = self.logged_pages

    def spill_tail(self):
        """Write what is still in memory to the log file. Raises HostError."""
        cdef int code
        with nogil:
            code = self.spill()
        if code:
            self.broken = code
            self.check(code, "writing the log")
