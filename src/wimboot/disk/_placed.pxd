"""Which pages of a file lie in free clusters, where a disk's bytes lie in pieces."""

from libc.stdint cimport int64_t


cdef inline void clear_free(unsigned char *out, int64_t pages, int64_t place, int64_t size, int64_t inside,
                            const unsigned char *bits, int64_t unit_size, int64_t count) noexcept nogil:
    # Of `size` bytes at `place` of the file, which lie at byte `inside` of a volume (negative: before it), clear the
    # bit in `out` of each whole 4 KiB page whose units all have a clear bit in `bits`. `pages`: bits of `out`.
    cdef int64_t page = (place + 4095) // 4096
    cdef int64_t here, unit, last
    while page * 4096 + 4096 <= place + size and page < pages:
        here = inside + page * 4096 - place
        if here >= 0 and here + 4096 <= count * unit_size:
            unit, last = here // unit_size, (here + 4095) // unit_size
            while unit <= last and not (bits[unit >> 3] >> (unit & 7)) & 1:
                unit += 1
            if unit > last:
                out[page >> 3] &= <unsigned char> (0xFF ^ (1 << (page & 7)))
        page += 1
