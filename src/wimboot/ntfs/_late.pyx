"""Files whose attributes stand in several records, and values that lie outside of them; see `_late.pxd`.

An extension record counts only if the file it names has an attribute list, and then list and records must agree: every
entry leads to a record of that file, and there are as many entries as attributes. So none can be lost unnoticed.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport qsort
from libc.string cimport memcpy, memset

from wimboot.ntfs._extents cimport Cursor, read_runs, u16, u64
from wimboot.ntfs._problems cimport BAD_LIST, BAD_REPARSE, BAD_VALUE, NO_BASE
from wimboot.ntfs._rows cimport RECORD, SYSTEM, Extension, Waiting
from wimboot.ntfs._streams cimport REPARSE_KIND, Attr, finish_node
from wimboot.tree._tree cimport Run, Tree

cdef enum:
    LARGEST_LIST = 256 << 10        # as Windows has it
    LARGEST_REPARSE = 16 << 10
    LIST_KIND = 0x2
    LIST_ENTRY = 26


cdef int node_of(Pass done, uint64_t record, uint64_t sequence) noexcept nogil:
    cdef uint32_t slot
    if record >= done.record_count or done.slots[record] == 0:
        return -1
    slot = done.slots[record]
    if slot == SYSTEM:
        return -2
    return <int> (slot - 1) if done.tree.nodes[slot - 1].file_id >> 48 == sequence else -1


cdef bytes _read(Pass done, uint32_t first, uint32_t count, uint64_t size, uint64_t clusters):
    """`size` bytes along some runs; None where they are too few."""
    cdef Run *runs = done.tree.runs + first
    cdef uint64_t initialized = size
    cdef Cursor cursor
    cdef bytearray out
    cdef uint8_t *buffer
    cdef int code
    if count and runs[count - 1].clusters == 0:
        initialized = min(size, runs[count - 1].lcn)
    if size > clusters * done.cluster_size:
        return None
    out = bytearray(size)
    buffer = out
    memset(&cursor, 0, sizeof(Cursor))
    with nogil:
        code = read_runs(done.device, runs, count, done.cluster_size, &cursor, 0, initialized, buffer)
    if code:
        done.device.check(code, "reading the file table of")
    return bytes(out)


cdef bytes value_bytes(Pass done, const Value *value, uint64_t limit):
    cdef bytes data = None
    if value.size <= limit:
        if value.resident:
            return (<const char *> done.tree.pool + value.first)[:value.size] if value.size else b""
        data = _read(done, value.first, value.count, value.size, value.clusters)
    if data is None:
        done.fault(value.record, BAD_VALUE)
    return data


cdef int _by_record(const void *a, const void *b) noexcept nogil:
    cdef uint32_t x = (<const Attr *> a).record, y = (<const Attr *> b).record
    return 1 if x > y else -1 if x < y else 0


cdef dict _lists(Pass done):
    """The attribute list of each record that has one."""
    cdef dict lists = {}
    cdef uint64_t i
    cdef const Value *value
    for i in range(done.values.count):
        value = <Value *> done.values.rows + i
        if value.kind == LIST_KIND:
            if value.record in lists:
                done.fault(value.record, BAD_LIST)
            lists[value.record] = value_bytes(done, value, LARGEST_LIST)
    return lists


cdef dict _owners(Pass done, dict lists, dict counts):
    """The file of each extension record, and in `counts` how many attributes these add to each file."""
    cdef dict owners = {}
    cdef uint64_t i
    cdef const Extension *extension
    cdef int node
    for i in range(done.extensions.count):
        extension = <Extension *> done.extensions.rows + i
        node = node_of(done, extension.base, extension.base_sequence)
        if node == -2:
            continue
        if node < 0 or extension.base not in lists:
            done.fault(extension.record, NO_BASE)
            continue
        owners[<uint64_t> extension.sequence << 48 | extension.record] = extension.base
        counts[extension.base] = counts.get(extension.base, 0) + extension.attributes
    return owners


cdef bint _agrees(bytes data, uint32_t record, uint64_t reference, dict owners, uint64_t attributes):
    """Whether a list names `attributes` attributes, all in records of its file.

    An entry: 4 u16 its size, 16 u64 reference to the record.
    """
    cdef const uint8_t *entry = data
    cdef uint64_t left = len(data), count = 0
    while left:
        if left < LIST_ENTRY or u16(entry + 4) < LIST_ENTRY or u16(entry + 4) > left:
            return False
        if u64(entry + 16) != reference and owners.get(u64(entry + 16)) != record:
            return False
        count += 1
        left -= u16(entry + 4)
        entry += u16(entry + 4)
    return count == attributes


cdef bint _bring_reparse(Pass done, Attr *rows, uint64_t count) except -1:
    """Reads reparse data that lies outside of the record into the pool; False where it cannot be."""
    cdef uint64_t i
    cdef bytes data
    for i in range(count):
        if rows[i].kind == REPARSE_KIND and not rows[i].resident:
            if rows[i].lowest_vcn or rows[i].size > LARGEST_REPARSE or rows[i].flags & 0x40FF:
                return False
            data = _read(done, rows[i].first, rows[i].count, rows[i].size, rows[i].clusters)
            if data is None:
                return False
            rows[i].first = done.tree.add_bytes(<const char *> data, <uint32_t> len(data))
            rows[i].count = <uint32_t> len(data)
            rows[i].resident = True
    return True


cdef finish_waiting(Pass done):
    cdef Tree tree = done.tree
    cdef Attr *rows = <Attr *> done.late.rows
    cdef Waiting *waiting
    cdef dict lists = _lists(done), counts = {}, owners = _owners(done, lists, counts)
    cdef uint64_t i, k, first = 0, last, runs
    cdef bint good
    cdef int problem
    if done.late.count > 1:
        qsort(rows, done.late.count, sizeof(Attr), _by_record)
    for i in range(done.waiting.count):
        waiting = <Waiting *> done.waiting.rows + i
        while first < done.late.count and rows[first].record < waiting.record:
            first += 1      # of extension records that belong to no file: _owners has told
        last = first
        runs = 0
        good = True
        while last < done.late.count and rows[last].record == waiting.record:
            good &= node_of(done, waiting.record, rows[last].sequence) == <int> waiting.node
            runs += rows[last].count + 1 if not rows[last].resident else 0
            last += 1
        if waiting.listed:
            data = lists.get(waiting.record)
            good &= data is not None and _agrees(data, waiting.record, tree.nodes[waiting.node].file_id, owners,
                                                 waiting.attributes - 1 + counts.get(waiting.record, 0))
        problem = 0 if good else BAD_LIST
        if good and not _bring_reparse(done, rows + first, last - first):
            problem = BAD_REPARSE
        if not problem:
            tree.reserve(0, last - first, 0, runs, 0, LARGEST_REPARSE + 64)
            problem = finish_node(tree, waiting.node, rows + first, <uint32_t> (last - first), True)
        if problem:
            done.fault(waiting.record, problem)
        first = last
