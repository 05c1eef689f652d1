"""Rows made of the attributes of file records; see `_rows.pxd`.

The room for all that a block of records can hold is made before, with the GIL, so that nothing here allocates. Only
what a record says of itself is checked here.
"""

from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset

from wimboot.ntfs._extents cimport decode_runs, u16, u32, u64
from wimboot.ntfs._problems cimport (
    BAD_ATTRIBUTE, BAD_INFORMATION, BAD_NAME, BAD_RUNS, BAD_SIZES, BAD_VALUE, NO_PARENT, NO_SECURITY,
)
from wimboot.ntfs._streams cimport ATTRIBUTE_COMPRESSED, ATTRIBUTE_ENCRYPTED, REPARSE_KIND
from wimboot.tree._tree cimport Link

cdef enum:
    DIRECTORY = 0x10
    INTERNAL = 0x30000000   # "has an index", of no use outside of NTFS
    SMALLEST_ATTRIBUTE = 24
    OUTSIDE_HEADER = 64
    FAULTS_KEPT = 16
    EXTEND = 11             # record of $Extend

cdef enum:                  # namespaces of file names
    WIN32 = 1
    DOS = 2
    WIN32_AND_DOS = 3

cdef extern from *:
    """
    static const char WIMBOOT_OBJECT_IDS[] = "$\\0O\\0b\\0j\\0I\\0d";
    #define WIMBOOT_OBJECT_IDS_SIZE 12
    """
    const char *OBJECT_IDS "WIMBOOT_OBJECT_IDS"
    const uint16_t OBJECT_IDS_SIZE "WIMBOOT_OBJECT_IDS_SIZE"
    const uint32_t END "UINT32_MAX"


cdef int ensure(Table *table, uint64_t more, size_t item) except -1:
    cdef uint64_t room = table.count + more
    cdef void *rows
    if room > table.room:
        room = max(room, table.room * 2)
        rows = realloc(table.rows, room * item)
        if rows == NULL:
            raise MemoryError
        table.rows = <uint8_t *> rows
        table.room = room
    return 0


cdef class Rows:
    """Tables that grow with each record. `record_count`: of $MFT."""

    def __cinit__(self, Tree tree, Securities securities, uint32_t record_count, uint64_t total_clusters, *_):
        cdef uint32_t i
        self.tree = tree
        self.securities = securities
        self.record_count = record_count
        self.total_clusters = total_clusters
        self.slots = <uint32_t *> calloc(max(record_count, FIRST_FILE), sizeof(uint32_t))
        if self.slots == NULL:
            raise MemoryError
        for i in range(FIRST_FILE):
            self.slots[i] = SYSTEM if i != ROOT_RECORD else 0

    def __dealloc__(self):
        free(self.slots)
        free(self.late.rows)
        free(self.values.rows)
        free(self.names.rows)
        free(self.shorts.rows)
        free(self.extensions.rows)
        free(self.waiting.rows)
        free(self.faults.rows)

    cdef int room(self, uint64_t size, uint32_t record_size) except -1:
        """For whatever `size` bytes of records can hold: no attribute is smaller than 24 bytes, no run than 2."""
        cdef uint64_t attributes = size // SMALLEST_ATTRIBUTE, records = size // record_size
        self.tree.reserve(records, attributes, attributes, size, size, 3 * size)
        ensure(&self.late, attributes, sizeof(Attr))
        ensure(&self.values, attributes, sizeof(Value))
        ensure(&self.names, attributes, sizeof(Name))
        ensure(&self.shorts, attributes, sizeof(ShortName))
        ensure(&self.extensions, records, sizeof(Extension))
        ensure(&self.waiting, records, sizeof(Waiting))
        ensure(&self.faults, FAULTS_KEPT - self.faults.count, sizeof(Fault))
        return 0

    cdef void fault(self, uint32_t record, int problem) noexcept nogil:
        self.fault_count += 1
        if self.faults.count < FAULTS_KEPT:
            (<Fault *> self.faults.rows)[self.faults.count].record = record
            (<Fault *> self.faults.rows)[self.faults.count].problem = problem
            self.faults.count += 1

    cdef int attributes(self, const uint8_t *record, Owner *owner) noexcept nogil:
        """All attributes of a record, to the rows they belong to. 0, or a Problem."""
        cdef uint32_t at = u16(record + 20), used = u32(record + 24), kind, size, name_end
        cdef const uint8_t *attribute
        cdef int problem = 0
        while True:
            attribute = record + at
            if used - at < 4:
                return BAD_ATTRIBUTE
            kind = u32(attribute)
            if kind == END:
                return 0
            if used - at < SMALLEST_ATTRIBUTE:
                return BAD_ATTRIBUTE
            size = u32(attribute + 4)
            name_end = u16(attribute + 10) + 2 * attribute[9] if attribute[9] else 0
            if size < SMALLEST_ATTRIBUTE or size & 7 or size > used - at or name_end > size or attribute[8] > 1:
                return BAD_ATTRIBUTE
            if attribute[8]:
                if size < OUTSIDE_HEADER:
                    return BAD_ATTRIBUTE
            elif (u16(attribute + 20) < SMALLEST_ATTRIBUTE or u16(attribute + 20) > size
                    or u32(attribute + 16) > size - u16(attribute + 20)):
                return BAD_ATTRIBUTE
            owner.attributes += 1
            if kind == 0x80 or kind == 0xC0:
                problem = self._stream(attribute, size, owner)
            elif kind == 0x30:
                problem = self._name(attribute + u16(attribute + 20), 0 if attribute[8] else u32(attribute + 16), owner)
            elif kind == 0x10:
                problem = self._information(attribute + u16(attribute + 20), 0 if attribute[8] else u32(attribute + 16),
                                            owner)
            elif kind == 0x20 or kind == 0x40 or kind == 0x50 or kind == 0xE0:
                problem = self._value(attribute, size, owner)
            if problem or owner.system:
                return problem
            at += size

    cdef int _information(self, const uint8_t *value, uint32_t size, Owner *owner) noexcept nogil:
        """$STANDARD_INFORMATION: 0 creation, 8 last write, 24 last access, 32 attributes, 52 security id (of 72)."""
        if size < 48 or owner.node == NULL or owner.informed:
            return BAD_INFORMATION
        owner.informed = True
        owner.node.creation = u64(value)
        owner.node.last_write = u64(value + 8)
        owner.node.last_access = u64(value + 24)
        owner.node.attributes |= u32(value + 32) & ~<uint32_t> (INTERNAL | DIRECTORY)
        if size >= 72 and u32(value + 52):
            owner.node.security = self.securities.find(u32(value + 52))
            if owner.node.security < 0:
                return NO_SECURITY
        return 0

    cdef int _name(self, const uint8_t *value, uint32_t size, Owner *owner) noexcept nogil:
        """$FILE_NAME: 0 reference to the folder, 64 units of the name, 65 namespace, 66 the name."""
        cdef Link *link
        cdef Name *name
        cdef ShortName *short
        cdef uint64_t parent
        cdef uint16_t name_size
        cdef uint32_t name_offset = <uint32_t> self.tree.name_bytes
        if size < 68 or value[64] == 0 or size < <uint32_t> 66 + 2 * value[64] or value[65] > WIN32_AND_DOS:
            return BAD_NAME
        parent = u64(value)
        name_size = 2 * value[64]
        if owner.node != NULL and owner.record != ROOT_RECORD and (
                parent & RECORD < FIRST_FILE and parent & RECORD != ROOT_RECORD
                or parent & RECORD < self.record_count and self.slots[parent & RECORD] == SYSTEM):
            owner.system = True
            if (parent & RECORD == EXTEND and name_size == OBJECT_IDS_SIZE
                    and not memcmp(value + 66, OBJECT_IDS, name_size)):
                self.object_ids = owner.record
            return 0
        if parent & RECORD >= self.record_count:
            return NO_PARENT
        if owner.record == ROOT_RECORD:
            if owner.node == NULL or self.have_root:
                return 0
            if parent != <uint64_t> owner.sequence << 48 | ROOT_RECORD or not owner.node.attributes & DIRECTORY:
                return BAD_NAME
            self.have_root = True
            name_size = 0
        memcpy(self.tree.names + name_offset, value + 66, name_size)
        self.tree.name_bytes += name_size
        if value[65] == DOS and name_size:
            short = <ShortName *> self.shorts.rows + self.shorts.count
            self.shorts.count += 1
            short.record = owner.record
            short.sequence = owner.sequence
            short.parent = <uint32_t> (parent & RECORD)
            short.parent_sequence = <uint16_t> (parent >> 48)
            short.name_offset = name_offset
            short.name_size = name_size
            return 0
        name = <Name *> self.names.rows + self.names.count
        self.names.count += 1
        name.record = owner.record
        name.sequence = owner.sequence
        name.parent_sequence = <uint16_t> (parent >> 48)
        name.space = value[65]
        link = &self.tree.links[self.tree.link_count]
        self.tree.link_count += 1
        link.parent = <uint32_t> (parent & RECORD)
        link.node = 0
        link.name_offset = link.short_offset = name_offset
        link.name_size = name_size
        link.short_size = name_size if value[65] == WIN32_AND_DOS else 0
        return 0

    cdef int _runs(self, const uint8_t *attribute, uint32_t size, Attr *row) noexcept nogil:
        """Decodes the runs of an attribute that lies outside of its record; a Problem where they are not sound."""
        cdef uint32_t pairs = u16(attribute + 32)
        cdef int64_t count
        cdef uint64_t lowest = u64(attribute + 16)
        if pairs < OUTSIDE_HEADER or pairs > size or lowest >> 41:
            return BAD_RUNS
        count = decode_runs(attribute + pairs, attribute + size, self.total_clusters,
                            self.tree.runs + self.tree.run_count, &row.clusters, &row.occupied)
        if count < 0 or lowest + row.clusters != u64(attribute + 24) + 1:
            return BAD_RUNS
        row.lowest_vcn = lowest
        row.first = self.tree.run_count
        row.count = <uint32_t> count
        if lowest == 0:
            row.size = u64(attribute + 48)
            row.initialized = u64(attribute + 56)
            if row.size >> 62 or row.initialized > row.size:
                return BAD_SIZES
            if row.initialized < row.size and not row.flags & (ATTRIBUTE_COMPRESSED | ATTRIBUTE_ENCRYPTED):
                self.tree.runs[row.first + row.count].lcn = row.initialized
                self.tree.runs[row.first + row.count].clusters = 0
                row.count += 1
        self.tree.run_count += row.count
        return 0

    cdef int _stream(self, const uint8_t *attribute, uint32_t size, Owner *owner) noexcept nogil:
        """$DATA and $REPARSE_POINT: a row in `late`, taken away again at once if the file needs no waiting."""
        cdef Attr *row = <Attr *> self.late.rows + self.late.count
        cdef int problem
        memset(row, 0, sizeof(Attr))
        row.record = owner.record
        row.sequence = owner.sequence
        row.kind = <uint8_t> (u32(attribute) >> 4)
        row.flags = u16(attribute + 12)
        if attribute[9]:
            row.name_size = 2 * attribute[9]
            row.name_offset = <uint32_t> self.tree.name_bytes
            memcpy(self.tree.names + row.name_offset, attribute + u16(attribute + 10), row.name_size)
            self.tree.name_bytes += row.name_size
        if attribute[8]:
            problem = self._runs(attribute, size, row)
            if problem:
                return problem
            owner.outside |= row.kind == REPARSE_KIND
        else:
            row.resident = True
            row.first = <uint32_t> self.tree.pool_bytes
            row.count = u32(attribute + 16)
            row.size = row.initialized = row.count
            memcpy(self.tree.pool + row.first, attribute + u16(attribute + 20), row.count)
            self.tree.pool_bytes += row.count
        self.late.count += 1
        return 0

    cdef int _value(self, const uint8_t *attribute, uint32_t size, Owner *owner) noexcept nogil:
        """$ATTRIBUTE_LIST, $OBJECT_ID, $SECURITY_DESCRIPTOR, $EA: a row in `values`."""
        cdef Value *value = <Value *> self.values.rows + self.values.count
        cdef Value *before = value - 1
        cdef Attr row
        value.record = owner.record
        value.sequence = owner.sequence
        value.kind = <uint8_t> (u32(attribute) >> 4)
        value.resident = not attribute[8]
        owner.listed |= value.kind == 0x2
        if value.resident:
            value.size = value.count = u32(attribute + 16)
            value.clusters = 0
            attribute += u16(attribute + 20)
            if (self.values.count and before.resident and before.size == value.size
                    and memcmp(self.tree.pool + before.first, attribute, value.size) == 0):
                value.first = before.first      # most files that carry a security descriptor carry the same
            else:
                value.first = <uint32_t> self.tree.pool_bytes
                memcpy(self.tree.pool + value.first, attribute, value.size)
                self.tree.pool_bytes += value.size
        else:
            memset(&row, 0, sizeof(Attr))
            row.flags = u16(attribute + 12)
            if self._runs(attribute, size, &row) or row.lowest_vcn or row.flags & ATTRIBUTE_COMPRESSED:
                return BAD_VALUE
            value.size = row.size
            value.clusters = row.clusters
            value.first = row.first
            value.count = row.count
        self.values.count += 1
        return 0

    cdef void pair_names(self, uint64_t first_name, uint64_t first_short) noexcept nogil:
        """Gives the DOS names of a record to their long names, as far as these stand in it too."""
        cdef uint64_t i, k = first_short
        cdef ShortName *short
        cdef Name *names = <Name *> self.names.rows
        cdef Link *links = self.tree.links
        while k < self.shorts.count:
            short = <ShortName *> self.shorts.rows + k
            for i in range(first_name, self.names.count):
                if (names[i].space == WIN32 and links[i].short_size == 0 and links[i].parent == short.parent
                        and names[i].parent_sequence == short.parent_sequence):
                    links[i].short_offset = short.name_offset
                    links[i].short_size = short.name_size
                    self.shorts.count -= 1
                    short[0] = (<ShortName *> self.shorts.rows)[self.shorts.count]
                    break
            else:
                k += 1
