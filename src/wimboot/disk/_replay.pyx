"""The two passes over a complete log: is the target what it says, and copy its pages to the target.

Both work from the index (`disk.log`), not from the overlay that wrote it, so commit and recovery run the same code.
The index has been checked: pages within the target, slots within the log.
"""

from libc.errno cimport EBADMSG
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from wimboot.disk._fold cimport fold
from wimboot.storage._device cimport Device, FileDevice, push

cdef enum:
    PAGE = 4096
    SECTOR = 512
    RECORD = 88
    RUN = 256


cdef struct Record:
    uint64_t page
    uint64_t slot
    uint64_t checksum
    uint64_t old[8]


cdef inline Record record_at(const unsigned char *index, int64_t number) noexcept nogil:
    cdef Record record
    memcpy(&record, index + number * RECORD, RECORD)
    return record


def copy_pages(Device log, FileDevice target, bytes index, int64_t first, int64_t end, int64_t data_offset):
    """Copy the new content of records `first` to `end` (not included) to the target, in runs as long as they lie
    together.

    A page whose checksum is wrong stops it before the page is written. Returns True, False where that happened.
    Raises HostError.
    """
    cdef const unsigned char *records = index
    cdef int64_t i = first, run, done, part, page, size
    cdef uint64_t slot
    cdef int code = 0
    cdef Device failed = log
    cdef unsigned char *buffer = <unsigned char *> malloc(RUN * PAGE)
    if buffer == NULL:
        raise MemoryError
    try:
        with nogil:
            while i < end and not code:
                page = <int64_t> record_at(records, i).page
                run = 1
                while run < RUN and i + run < end and <int64_t> record_at(records, i + run).page == page + run:
                    run += 1
                done = 0
                while done < run and not code:
                    slot = record_at(records, i + done).slot
                    part = 1
                    while done + part < run and record_at(records, i + done + part).slot == slot + part:
                        part += 1
                    code = log.read(buffer + done * PAGE, part * PAGE, data_offset + <int64_t> slot * PAGE)
                    done += part
                done = 0
                while done < run and not code:
                    if fold(buffer + done * PAGE, PAGE) != record_at(records, i + done).checksum:
                        code = EBADMSG
                    done += 1
                if not code:
                    size = min(run * PAGE, target.length - page * PAGE)
                    code = target.write(buffer, size, page * PAGE)
                    if code:
                        with gil:
                            failed = target
                    else:
                        push(target, size, page * PAGE)
                i += run
        if code == EBADMSG and failed is log:
            return False
        if code:
            failed.check(code, "reading the log" if failed is log else "writing")
        return True
    finally:
        free(buffer)


def check_pages(Device log, Device target, bytes index, int64_t first, int64_t end, int64_t data_offset,
                int64_t limit=64):
    """Compare log and target for records `first` to `end` (not included).

    Returns (the first record whose page in the log is damaged, else -1; the records whose page on the target is neither
    old nor new, sector by sector, with a stop after `limit`; the first record whose page is not new yet, else `end`).
    Raises HostError.
    """
    cdef const unsigned char *records = index
    cdef int64_t i = first, size, not_new = end, damaged = -1
    cdef int sector, code = 0
    cdef bint known
    cdef Record record
    cdef unsigned char *fresh = <unsigned char *> malloc(2 * PAGE)
    cdef unsigned char *found
    cdef Device failed = log
    if fresh == NULL:
        raise MemoryError
    found = fresh + PAGE
    foreign = []
    try:
        while i < end:
            with nogil:
                known = True
                while i < end and known:
                    record = record_at(records, i)
                    code = log.read(fresh, PAGE, data_offset + <int64_t> record.slot * PAGE)
                    if code:
                        break
                    if fold(fresh, PAGE) != record.checksum:
                        damaged = i
                        break
                    size = min(<int64_t> PAGE, target.length - <int64_t> record.page * PAGE)
                    memset(found, 0, PAGE)
                    code = target.read(found, size, <int64_t> record.page * PAGE)
                    if code:
                        with gil:
                            failed = target
                        break
                    if memcmp(fresh, found, PAGE) != 0:
                        if not_new == end:
                            not_new = i
                        for sector in range(8):
                            if memcmp(fresh + sector * SECTOR, found + sector * SECTOR, SECTOR) != 0 \
                                    and fold(found + sector * SECTOR, SECTOR) != record.old[sector]:
                                known = False
                    i += 1
            if code:
                failed.check(code, "reading the log" if failed is log else "reading")
            if damaged >= 0:
                break
            if not known:
                foreign.append(i - 1)
                if len(foreign) >= limit:
                    break
        return damaged, foreign, not_new
    finally:
        free(fresh)
