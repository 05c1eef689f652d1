"""What a transaction's log holds: a record a page, sorted by their places (format: `disk.log`)."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from wimboot.disk._fold cimport fold
from wimboot.disk._overlay cimport LEAF, PAGE, UNKNOWN, Overlay

cdef enum:
    WORDS = 11           # 64-bit ones of a record


cdef void put(Overlay overlay, int64_t page, int64_t slot, unsigned char *out) noexcept nogil:
    # The record of a page: its number, its slot, the hash of its new content, those of its 8 sectors before.
    cdef uint64_t record[WORDS]
    record[0], record[1], record[2] = <uint64_t> page, <uint64_t> slot, overlay.fresh[slot]
    memcpy(&record[3], overlay.old + slot * 8, 64)
    memcpy(out, &record[0], 8 * WORDS)


cdef int hash_slots(Overlay overlay) noexcept nogil:
    # Hash the pages that were changed after they had been written to the log; 0 or an errno. What was in memory of the
    # log is lost: it has been written.
    cdef int64_t slot
    cdef int code
    for slot in range(overlay.logged_pages):
        if overlay.fresh[slot] == UNKNOWN:
            code = overlay.log.read(overlay.tail, PAGE, overlay.data_offset + slot * PAGE)
            if code:
                return code
            overlay.fresh[slot] = fold(overlay.tail, PAGE)
    return 0


def index_of(Overlay overlay not None, last):
    """The records sorted by page, those of the pages in `last` behind all others, in its order.

    What the overlay keeps in memory must have been written. Raises HostError.
    """
    cdef int64_t i, j, page, out = 0
    cdef int code
    cdef uint32_t entry
    result = bytearray(overlay.logged_pages * WORDS * 8)
    cdef unsigned char[::1] view = result
    with nogil:
        code = hash_slots(overlay)
    if code:
        overlay.check(code, "reading the log")
    behind = list(last)
    for i in range(overlay.leaf_count):
        if overlay.leaves[i] == NULL:
            continue
        for j in range(LEAF):
            entry = overlay.leaves[i][j]
            if entry == 0 or (behind and i * LEAF + j in behind):
                continue
            put(overlay, i * LEAF + j, entry - 1, &view[out])
            out += 8 * WORDS
    for number in behind:
        page = number
        put(overlay, page, overlay.slot_of(page) - 1, &view[out])
        out += 8 * WORDS
    return bytes(result)
