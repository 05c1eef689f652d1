"""Run lists and reading along them, for C callers."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from wimboot.storage._device cimport Device
from wimboot.tree._tree cimport Run


cdef extern from *:
    """
    #define WIMBOOT_HOLE UINT64_MAX
    """
    const uint64_t HOLE "WIMBOOT_HOLE"


cdef inline uint16_t u16(const uint8_t *at) noexcept nogil:
    cdef uint16_t value
    memcpy(&value, at, 2)
    return value


cdef inline uint32_t u32(const uint8_t *at) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, at, 4)
    return value


cdef inline uint64_t u64(const uint8_t *at) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, at, 8)
    return value


cdef struct Cursor:         # where a reader stands in a run list; zeros at its start
    uint32_t run
    uint64_t start          # byte of the list at which that run begins


# Runs of mapping pairs, those that adjoin made one, at most as many as half the bytes; their number, -1 where they
# break the rules or leave the volume of `limit` clusters. `clusters` gets their sum, `occupied` that of those that
# are no holes.
cdef int64_t decode_runs(const uint8_t *pairs, const uint8_t *end, uint64_t limit, Run *runs, uint64_t *clusters,
                         uint64_t *occupied) noexcept nogil

# `size` bytes from byte `offset` of what the runs map into `buffer`, zeros for holes; 0, an errno, EIO past the last
# run.
# Offsets of successive calls with one cursor must not go down.
cdef int read_runs(Device device, const Run *runs, uint32_t count, uint64_t cluster_size, Cursor *cursor,
                   uint64_t offset, uint64_t size, uint8_t *buffer) noexcept nogil
