"""A small write-back cache of a device's pages, between libntfs-3g and our Device.

The library reads and writes the same few places over and over: the record of $MFT and its mirror, a byte of a
bitmap, the leaf of an index, four file records to a page. Each file made costs 7 writes and 7 reads of it, and the
same few pages. What lies below (a transaction) gives no promise about the order of writes before its commit, so
keeping them back is free; `pages_flush` hands all over. Nobody else may use the device meanwhile.

Pages lie in slots by their number (direct-mapped): look-up is one division, and two pages of one slot displace each
other.
"""

from libc.errno cimport ENOMEM
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy


cdef int pages_open(Pages *pages, void *device, int64_t size, Reader read, Writer write) noexcept nogil:
    cdef int i
    pages.device, pages.size, pages.read, pages.write = device, size, read, write
    pages.page = <int64_t *> malloc(SLOTS * sizeof(int64_t))
    pages.dirty = <uint8_t *> calloc(SLOTS, 1)
    pages.bytes = <uint8_t *> malloc(<size_t> SLOTS * PAGE)
    if pages.page == NULL or pages.dirty == NULL or pages.bytes == NULL:
        pages_free(pages)
        return ENOMEM
    for i in range(SLOTS):
        pages.page[i] = -1
    return 0


cdef void pages_free(Pages *pages) noexcept nogil:
    free(pages.page)
    free(pages.dirty)
    free(pages.bytes)
    pages.page = NULL
    pages.dirty = pages.bytes = NULL


cdef int64_t page_size(Pages *pages, int64_t page) noexcept nogil:
    return min(<int64_t> PAGE, pages.size - page * PAGE)     # the device may end within its last one


cdef int write_back(Pages *pages, int slot) noexcept nogil:
    cdef int64_t page = pages.page[slot]
    cdef int code = pages.write(pages.device, pages.bytes + <int64_t> slot * PAGE, page_size(pages, page), page * PAGE)
    if not code:
        pages.dirty[slot] = False
    return code


cdef int take(Pages *pages, int64_t page, bint load, int *code) noexcept nogil:
    """The slot of a page, which is read if it is not there and `load` says that its old bytes matter."""
    cdef int slot = page % SLOTS
    code[0] = 0
    if pages.page[slot] == page:
        return slot
    if pages.dirty[slot]:
        code[0] = write_back(pages, slot)
        if code[0]:
            return slot
    pages.page[slot] = -1
    if load:
        code[0] = pages.read(pages.device, pages.bytes + <int64_t> slot * PAGE, page_size(pages, page), page * PAGE)
        if code[0]:
            return slot
    pages.page[slot] = page
    return slot


cdef int pages_read(Pages *pages, uint8_t *buffer, int64_t size, int64_t offset) noexcept nogil:
    """Bytes that lie within the device."""
    cdef bint direct = size >= DIRECT
    cdef int64_t page, start, step
    cdef int slot, code
    if direct:
        code = pages.read(pages.device, buffer, size, offset)
        if code:
            return code
    while size > 0:
        page, start = offset / PAGE, offset % PAGE
        step = min(size, PAGE - start)
        slot = page % SLOTS
        if not direct:
            slot = take(pages, page, True, &code)
            if code:
                return code
        if not direct or (pages.page[slot] == page and pages.dirty[slot]):
            memcpy(buffer, pages.bytes + <int64_t> slot * PAGE + start, step)
        buffer += step
        offset += step
        size -= step
    return 0


cdef int pages_write(Pages *pages, const uint8_t *data, int64_t size, int64_t offset) noexcept nogil:
    """Bytes that lie within the device. Several whole pages gain nothing by being kept."""
    cdef bint direct = size >= DIRECT or (size > PAGE and not size % PAGE and not offset % PAGE)
    cdef int64_t page, start, step
    cdef int slot, code
    if direct:
        code = pages.write(pages.device, data, size, offset)
        if code:
            return code
    while size > 0:
        page, start = offset / PAGE, offset % PAGE
        step = min(size, PAGE - start)
        slot = page % SLOTS
        if not direct:
            slot = take(pages, page, step < page_size(pages, page), &code)
            if code:
                return code
            pages.dirty[slot] = True
        if pages.page[slot] == page:
            memcpy(pages.bytes + <int64_t> slot * PAGE + start, data, step)
        data += step
        offset += step
        size -= step
    return 0


cdef int pages_flush(Pages *pages) noexcept nogil:
    """Hand over what was kept back."""
    cdef int slot, code
    for slot in range(SLOTS):
        if pages.dirty[slot]:
            code = write_back(pages, slot)
            if code:
                return code
    return 0
