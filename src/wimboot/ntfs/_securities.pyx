"""$Secure's stream $SDS: every security descriptor of a volume, stored once and known by its id.

offset size field (source: libntfs-3g's layout.h)
0x00   4    hash of the descriptor: rotate left by 3 and add, over its 32-bit words
0x04   4    security id
0x08   8    offset of this entry in $SDS
0x10   4    bytes of the entry, this header counted; the next one begins at a multiple of 16
0x14        the descriptor, self-relative

Of each 512 KiB the second half repeats the first.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from wimboot.ntfs._extents cimport u32, u64

cdef enum:
    HEADER = 20
    BLOCK = 256 << 10


cdef bint _sound(const uint8_t *entry, uint64_t offset, uint64_t room) noexcept nogil:
    """Whether an entry that says it stands at `offset`, with at most `room` bytes, is whole."""
    cdef uint32_t sum = 0, i, size
    if room < HEADER or u64(entry + 8) != offset:
        return False
    size = u32(entry + 16)
    if size <= HEADER or size > room or u32(entry + 4) == 0:
        return False
    i = HEADER
    while i + 4 <= size:
        sum = u32(entry + i) + (sum << 3 | sum >> 29)
        i += 4
    return sum == u32(entry)


cdef class Securities:
    """The descriptors of $SDS in its order; an entry that is not whole is taken from the repeated half."""

    def __init__(self, bytes sds):
        cdef const uint8_t *data = sds
        cdef const uint8_t *entry
        cdef uint64_t size = len(sds), block = 0, at, end, mirror
        cdef list ids = []
        self.descriptors = []
        while block < size:
            at = block
            end = min(block + BLOCK, size)
            while at + HEADER < end:
                entry = data + at
                mirror = at + BLOCK
                if not _sound(entry, at, end - at):
                    entry = NULL
                    if mirror < size and _sound(data + mirror, at, min(end - at, size - mirror)):
                        entry = data + mirror
                if entry == NULL:
                    at += 16
                    continue
                ids.append(u32(entry + 4))
                self.descriptors.append(entry[HEADER:u32(entry + 16)])
                at += (u32(entry + 16) + 15) & ~<uint64_t> 15
            block += 2 * BLOCK
        self._fill(ids)

    cdef _fill(self, list ids):
        cdef uint32_t room = 16, at, index
        while room < 2 * len(ids) + 2:
            room *= 2
        self._mask = room - 1
        self._ids = <uint32_t *> calloc(room, sizeof(uint32_t))
        self._indexes = <uint32_t *> calloc(room, sizeof(uint32_t))
        if self._ids == NULL or self._indexes == NULL:
            raise MemoryError
        for index, security_id in enumerate(ids):
            at = (<uint32_t> security_id * 2654435761u) & self._mask
            while self._indexes[at] and self._ids[at] != <uint32_t> security_id:
                at = (at + 1) & self._mask
            if not self._indexes[at]:
                self._ids[at] = security_id
                self._indexes[at] = index + 1

    def __dealloc__(self):
        free(self._ids)
        free(self._indexes)

    def index(self, uint32_t security_id):
        """Place of a descriptor in `descriptors`; -1 where the id is unknown."""
        return self.find(security_id)

    cdef int32_t find(self, uint32_t security_id) noexcept nogil:
        cdef uint32_t at = (security_id * 2654435761u) & self._mask
        while self._indexes[at]:
            if self._ids[at] == security_id:
                return <int32_t> self._indexes[at] - 1
            at = (at + 1) & self._mask
        return -1
