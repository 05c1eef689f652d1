"""The hash that the log's records use."""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy


cdef inline uint64_t fold(const unsigned char *data, int64_t size) noexcept nogil:
    # A multiplicative fold of 64-bit words in the machine's order: each step is a bijection, so one changed word
    # always changes the result. It tells accidents, not attackers. `size` is a multiple of 8.
    cdef uint64_t state = <uint64_t> 0x9E3779B97F4A7C15 ^ <uint64_t> size
    cdef uint64_t word
    cdef int64_t i
    for i in range(size // 8):
        memcpy(&word, data + i * 8, 8)
        state = (state ^ word) * <uint64_t> 0xD6E8FEB86659FD93
        state ^= state >> 32
    return state
