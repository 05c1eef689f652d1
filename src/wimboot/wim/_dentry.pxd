"""Layout of a directory entry in the metadata of an image, for the module that reads it and the one that writes it.

    offset  size  field                      (wimlib dentry.c; checked against WIMs that wimlib and DISM wrote)
    0x00    8     length: fixed part, names, padding, tagged items; a multiple of 8; <= 8 ends a folder's list
    0x08    4     attributes, FILE_ATTRIBUTE_*
    0x0C    4     index of the security descriptor, 0xFFFFFFFF none
    0x10    8     offset of the block with the folder's entries, from the start of the metadata; 0 none
    0x18    16    unused
    0x28    8     creation, then 0x30 last access, 0x38 last write; 100 ns since 1601
    0x40    20    SHA-1 of the only stream, zeros when empty or when there are entries of streams
    0x54    4     unknown
    0x58    8     reparse point: u32 tag, u16 reserved, u16 flags; else the number of the hard-link group, 0 none
    0x60    2     number of stream entries that follow
    0x62    2     bytes of the short name, without its NUL
    0x64    2     bytes of the name, without its NUL
    0x66          name and NUL, short name and NUL, each only where not empty; padding to 8; tagged items

Stream entry, multiple of 8: 0 length (8), 8 unused (8), 16 SHA-1 (20), 36 bytes of the name (2), 38 name and NUL.
`tagged.py` has the tagged items.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef enum:
    LENGTH = 0x00
    ATTRIBUTES = 0x08
    SECURITY = 0x0C
    SUBDIR = 0x10
    CREATION = 0x28
    LAST_ACCESS = 0x30
    LAST_WRITE = 0x38
    MAIN_HASH = 0x40
    REPARSE_TAG = 0x58
    REPARSE_EXTRA = 0x5C
    LINK_GROUP = 0x58
    STREAMS = 0x60
    SHORT_SIZE = 0x62
    NAME_SIZE = 0x64
    FIXED = 0x66
    STREAM_HASH = 16
    STREAM_NAME_SIZE = 36
    STREAM_FIXED = 38
    NAME_MAX = 510          # bytes: 255 units


cdef inline uint16_t get16(const uint8_t *p) noexcept nogil:
    return <uint16_t> (p[0] | p[1] << 8)


cdef inline uint32_t get32(const uint8_t *p) noexcept nogil:
    return p[0] | <uint32_t> p[1] << 8 | <uint32_t> p[2] << 16 | <uint32_t> p[3] << 24


cdef inline uint64_t get64(const uint8_t *p) noexcept nogil:
    return get32(p) | <uint64_t> get32(p + 4) << 32


cdef inline void put16(uint8_t *p, uint32_t value) noexcept nogil:
    p[0] = value & 0xFF
    p[1] = value >> 8 & 0xFF


cdef inline void put32(uint8_t *p, uint32_t value) noexcept nogil:
    put16(p, value)
    put16(p + 2, value >> 16)


cdef inline void put64(uint8_t *p, uint64_t value) noexcept nogil:
    put32(p, <uint32_t> value)
    put32(p + 4, <uint32_t> (value >> 32))


cdef inline uint64_t align8(uint64_t size) noexcept nogil:
    return (size + 7) & ~<uint64_t> 7


cdef inline const char *name_problem(const uint8_t *name, uint32_t size, bint stream) noexcept nogil:
    """Why a name can be neither in an image nor safely on a volume; NULL if it can."""
    cdef uint32_t i
    cdef uint16_t unit
    if size == 0:
        return "is empty"
    if size & 1:
        return "has an odd number of bytes"
    if size > NAME_MAX:
        return "is longer than 255 units"
    for i in range(0, size, 2):
        unit = get16(name + i)
        if unit == 0:
            return "holds a NUL"
        if unit == c"/" or unit == c"\\":
            return "holds a slash"
        if stream and unit == c":":
            return "holds a colon"
    if not stream and name[0] == c"." and name[1] == 0:
        if size == 2 or (size == 4 and name[2] == c"." and name[3] == 0):
            return "is '.' or '..'"
    return NULL
