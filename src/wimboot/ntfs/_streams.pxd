"""From a file's attributes to its streams."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from wimboot.tree._tree cimport Tree


cdef enum:
    DATA_KIND = 0x8         # attribute types, shifted right by 4
    REPARSE_KIND = 0xC


cdef enum:
    ATTRIBUTE_COMPRESSED = 0x00FF   # attribute flags
    ATTRIBUTE_ENCRYPTED = 0x4000
    ATTRIBUTE_SPARSE = 0x8000


cdef struct Attr:           # one $DATA or $REPARSE_POINT attribute, or one extent of one
    uint64_t lowest_vcn
    uint64_t clusters       # that its runs map
    uint64_t occupied       # of these, no holes
    uint64_t size           # in bytes; 0 but in the first extent
    uint64_t initialized
    uint32_t record         # of the file, not of the extension
    uint32_t name_offset    # into Tree.names
    uint32_t first          # resident: into Tree.pool, else into Tree.runs
    uint32_t count
    uint16_t sequence
    uint16_t name_size
    uint16_t flags
    uint8_t kind
    uint8_t resident


cdef struct CompactPlace:   # follows a COMPACT stream's reparse value in Tree.pool (not aligned): WofCompressedData
    uint64_t size
    uint32_t first          # as in Attr
    uint32_t count
    uint32_t resident


# Appends the streams of one file to the tree, which must have room, and puts its attributes in order. `rows` get
# sorted. `extents`: whether an attribute may have several. 0, or a Problem.
cdef int finish_node(Tree tree, uint32_t node, Attr *rows, uint32_t count, bint extents) noexcept nogil
