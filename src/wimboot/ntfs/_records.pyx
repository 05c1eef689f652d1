"""The pass over $MFT: 1 MiB after the other, each record's attributes into rows, without the GIL.

Before each block there is made room for all that a block can hold, so the loop itself allocates nothing and checks only
what a record says of itself. What takes more than one record to know (parents, extension records, attribute lists) is
left to `_scan`. A record that is not sound becomes a fault, and the pass goes on: the user is told of all at once.
"""

from libc.stdint cimport uint16_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from wimboot.ntfs._extents cimport Cursor, read_runs, u16, u32, u64
from wimboot.ntfs._problems cimport BAD_FIXUP, BAD_HEADER, BAD_INFORMATION, BAD_SIGNATURE, BAD_USE, NO_BASE
from wimboot.ntfs._rows cimport FIRST_FILE, RECORD, ROOT_RECORD, SYSTEM, Extension, Owner, Waiting
from wimboot.ntfs._streams cimport Attr, finish_node
from wimboot.tree._tree cimport Node

cdef enum:
    BLOCK = 1 << 20
    STRIDE = 512            # bytes that one word of the update sequence guards
    IN_USE = 1              # record flags
    IS_FOLDER = 2
    DIRECTORY = 0x10

cdef extern from *:
    """
    #define WIMBOOT_FILE 0x454C4946u
    """
    const uint32_t FILE_SIGNATURE "WIMBOOT_FILE"


cdef class Pass(Rows):
    """Reads the $MFT whose runs are given. `securities`: of $Secure; `bitmap`: $MFT's own."""

    def __init__(self, _tree, _securities, _record_count, _total_clusters, Device device,
                 boot, list runs, bytes bitmap):
        cdef uint32_t i
        self.device = device
        self.bitmap = bitmap
        self.used = bitmap
        self.record_size = boot.record_size
        self.cluster_size = boot.cluster_size
        self.mft_run_count = len(runs)
        self.mft_runs = <Run *> malloc(self.mft_run_count * sizeof(Run))
        if self.mft_runs == NULL:
            raise MemoryError
        for i in range(self.mft_run_count):
            self.mft_runs[i].lcn, self.mft_runs[i].clusters = runs[i]

    def __dealloc__(self):
        free(self.mft_runs)

    cdef run(self):
        """All records, in their order. Raises HostError."""
        cdef Cursor cursor
        cdef uint64_t at = 0, size, total = <uint64_t> self.record_count * self.record_size
        cdef uint8_t *block = <uint8_t *> malloc(BLOCK)
        cdef int code = 0
        if block == NULL:
            raise MemoryError
        memset(&cursor, 0, sizeof(Cursor))
        try:
            while at < total:
                size = min(<uint64_t> BLOCK, total - at)
                self.room(size, self.record_size)
                with nogil:
                    code = read_runs(self.device, self.mft_runs, self.mft_run_count, self.cluster_size, &cursor,
                                     at, size, block)
                    if code == 0:
                        self._block(block, <uint32_t> (at // self.record_size), <uint32_t> (size // self.record_size))
                if code:
                    self.device.check(code, "reading the file table of")
                at += size
        finally:
            free(block)

    cdef void _block(self, uint8_t *block, uint32_t first, uint32_t count) noexcept nogil:
        cdef uint32_t i
        cdef int problem
        for i in range(count):
            problem = self._record(block + <uint64_t> i * self.record_size, first + i)
            if problem:
                self.fault(first + i, problem)

    cdef int _record(self, uint8_t *record, uint32_t number) noexcept nogil:
        cdef bint used = self.used[number >> 3] >> (number & 7) & 1
        cdef uint32_t sequence_offset, words, i, size
        cdef uint8_t *end
        if number < FIRST_FILE and number != ROOT_RECORD:
            return 0
        if u32(record) != FILE_SIGNATURE:
            return BAD_SIGNATURE if used else 0
        if (record[22] & IN_USE) != used:
            return BAD_USE
        if not used:
            return 0
        sequence_offset = u16(record + 4)
        words = u16(record + 6)
        if (words != self.record_size // STRIDE + 1 or sequence_offset & 1 or sequence_offset < 40
                or sequence_offset + 2 * words > STRIDE - 2):
            return BAD_FIXUP
        for i in range(1, words):
            end = record + i * STRIDE - 2
            if u16(end) != u16(record + sequence_offset):
                return BAD_FIXUP
            memcpy(end, record + sequence_offset + 2 * i, 2)
        size = u32(record + 24)
        if size > self.record_size or u16(record + 20) & 7 or u16(record + 20) < 40 or u16(record + 20) > size:
            return BAD_HEADER
        return self._extension(record, number) if u64(record + 32) else self._file(record, number)

    cdef int _file(self, const uint8_t *record, uint32_t number) noexcept nogil:
        """A base record: one node, complete unless its attributes are spread."""
        cdef Owner owner
        cdef Waiting *waiting
        cdef uint32_t index = self.tree.node_count, links = self.tree.link_count, runs = self.tree.run_count, kept
        cdef uint64_t names = self.tree.name_bytes, pool = self.tree.pool_bytes, values = self.values.count
        cdef uint64_t shorts = self.shorts.count, late = self.late.count
        cdef int problem
        memset(&owner, 0, sizeof(Owner))
        owner.record = number
        owner.sequence = u16(record + 16)
        owner.node = &self.tree.nodes[index]
        memset(owner.node, 0, sizeof(Node))
        owner.node.security = owner.node.extra = -1
        owner.node.file_id = <uint64_t> owner.sequence << 48 | number
        owner.node.attributes = DIRECTORY if record[22] & IS_FOLDER else 0
        problem = self.attributes(record, &owner)
        if not owner.informed and not owner.system and not problem:
            problem = BAD_INFORMATION
        if owner.system or problem:
            self.slots[number] = SYSTEM if owner.system else 0
            self.tree.link_count = links
            self.tree.run_count = runs
            self.tree.name_bytes = names
            self.tree.pool_bytes = pool
            self.names.count = links
            self.values.count = values
            self.shorts.count = shorts
            self.late.count = late
            return problem
        self.tree.node_count += 1
        self.slots[number] = index + 1
        if self.shorts.count > shorts:
            self.pair_names(links, shorts)
        if not owner.listed and not owner.outside:
            kept = <uint32_t> (self.late.count - late)
            self.late.count = late
            return finish_node(self.tree, index, <Attr *> self.late.rows + late, kept, False)
        waiting = <Waiting *> self.waiting.rows + self.waiting.count
        self.waiting.count += 1
        waiting.node = index
        waiting.record = number
        waiting.attributes = owner.attributes
        waiting.listed = owner.listed
        return 0

    cdef int _extension(self, const uint8_t *record, uint32_t number) noexcept nogil:
        cdef Owner owner
        cdef Extension *extension
        cdef uint64_t base = u64(record + 32)
        cdef int problem
        if (base & RECORD) < FIRST_FILE and (base & RECORD) != ROOT_RECORD:
            return 0
        if (base & RECORD) >= self.record_count:
            return NO_BASE
        memset(&owner, 0, sizeof(Owner))
        owner.record = <uint32_t> (base & RECORD)
        owner.sequence = <uint16_t> (base >> 48)
        problem = self.attributes(record, &owner)
        extension = <Extension *> self.extensions.rows + self.extensions.count
        self.extensions.count += 1
        extension.record = number
        extension.sequence = u16(record + 16)
        extension.base = owner.record
        extension.base_sequence = owner.sequence
        extension.attributes = owner.attributes
        return BAD_HEADER if owner.listed else problem
