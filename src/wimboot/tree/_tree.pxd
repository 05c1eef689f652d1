"""The columns of a Tree, for the modules that fill or compare them row by row."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef enum StreamKind:
    DATA = 0        # unnamed (name_size 0) or named data
    REPARSE = 1     # reparse data without its 8-byte header
    EFS = 2         # the raw form of an encrypted file


cdef enum StreamFlag:
    HASHED = 1          # `hash` is known (zeros for an empty stream)
    RESIDENT = 2        # bytes lie in Tree.pool at `first_run`, `run_count` of them
    BY_LIBRARY = 4      # not readable by plain runs (NTFS-compressed, encrypted, runs scattered over records)
    SPARSE = 8          # attribute flag 0x8000
    COMPRESSED = 16     # attribute flag 0x0001
    ENCRYPTED = 32      # attribute flag 0x4000
    POINTER = 64        # content lies in a WIM under `hash`; the reparse value is Tree.pool[first_run:+run_count]
    COMPACT = 128       # content lies compressed in the stream WofCompressedData; reparse value in pool likewise


cdef struct Node:           # one file or folder, whatever number of names it has
    uint64_t file_id        # volume: MFT reference (sequence << 48 | record). Image: hard-link group, 0 none
    uint64_t creation       # times: 100 ns since 1601-01-01 UTC
    uint64_t last_write
    uint64_t last_access
    uint32_t attributes     # FILE_ATTRIBUTE_* as Windows shows them
    int32_t security        # index into Tree.securities, -1 none
    uint32_t reparse_tag    # 0 none
    uint32_t reparse_extra  # image: the dentry's u16 reserved | u16 flags << 16 beside the tag
    uint32_t first_stream   # its streams stand together
    uint32_t stream_count
    int32_t extra           # index into Tree.extras, -1 none
    uint32_t link_count     # names, a Win32/DOS pair counted once


cdef struct Stream:
    uint64_t size           # bytes as a reader sees them
    uint64_t allocated      # bytes of clusters it occupies on the volume
    uint32_t node
    uint32_t name_offset    # into Tree.names, bytes
    uint32_t first_run      # into Tree.runs; see RESIDENT, POINTER, COMPACT
    uint32_t run_count
    uint16_t name_size      # bytes of UTF-16LE
    uint8_t kind
    uint8_t flags
    uint8_t hash[20]


cdef struct Link:           # one name of a node in a folder
    uint32_t parent         # node of the folder; the root's own link has parent == node
    uint32_t node
    uint32_t name_offset    # into Tree.names, bytes
    uint32_t short_offset
    uint16_t name_size      # bytes of UTF-16LE
    uint16_t short_size     # its DOS name, 0 none


cdef struct Run:
    uint64_t lcn            # first cluster; HOLE where sparse
    uint64_t clusters       # 0 in a stream's last run: its bytes from `lcn` on (a byte offset) read as zeros, whatever
                            # clusters they have (NTFS' initialized size)


cdef enum:
    ROOT = 0                # node 0 is the root folder, link 0 its (empty) name


cdef class Tree:
    cdef Node *nodes
    cdef Stream *streams
    cdef Link *links
    cdef Run *runs
    cdef uint8_t *names     # UTF-16LE, not terminated
    cdef uint8_t *pool      # resident data and reparse values
    cdef readonly uint32_t node_count, stream_count, link_count, run_count
    cdef readonly uint64_t name_bytes, pool_bytes
    cdef uint64_t _node_room, _stream_room, _link_room, _run_room, _name_room, _pool_room
    cdef readonly list securities   # bytes: self-relative security descriptors
    cdef readonly list extras       # Extra
    cdef public uint32_t cluster_size
    # lookup, built by index(): links of each folder in order of folded name; links of each node
    cdef uint32_t *child_start      # node_count + 1
    cdef uint32_t *child_links
    cdef uint32_t *name_start       # node_count + 1
    cdef uint32_t *name_links
    cdef bint indexed
    cdef _drop_index(self)
    cdef _check(self, uint32_t row, uint32_t count)

    cdef uint32_t add_node(self) except? 0xFFFFFFFF         # zeroed but security, extra = -1
    cdef uint32_t add_stream(self, uint32_t node) except? 0xFFFFFFFF    # nodes' streams must be added node by node
    cdef uint32_t add_link(self, uint32_t parent, uint32_t node) except? 0xFFFFFFFF
    cdef uint32_t add_run(self, uint64_t lcn, uint64_t clusters) except? 0xFFFFFFFF
    cdef uint32_t add_name(self, const void *utf16, uint32_t size) except? 0xFFFFFFFF
    cdef uint32_t add_bytes(self, const void *data, uint32_t size) except? 0xFFFFFFFF
    cpdef index(self)
    cdef int64_t find_child(self, uint32_t folder, const uint8_t *name, uint32_t size) noexcept
    # room for so many more rows and bytes, so that a loop without the GIL may append by itself
    cdef int reserve(self, uint64_t nodes, uint64_t streams, uint64_t links, uint64_t runs, uint64_t names,
                     uint64_t pool) except -1


cdef int compare_names(const uint8_t *a, uint32_t a_size, const uint8_t *b, uint32_t b_size) noexcept nogil
cdef uint16_t *fold_table() except NULL
