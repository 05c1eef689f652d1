"""The pointers of a volume whose reparse values are not what the present table of their WIM asks for."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from array import array

from wimboot.tree._tree cimport POINTER, Stream, Tree

cdef enum:                  # of a reparse value, as formats.reparse.WimPointer has it
    VALUE_SIZE = 96
    SOURCE_OFFSET = 0x18    # u64
    HASH_OFFSET = 0x20
    HASH_SIZE = 20
    PLACE_OFFSET = 0x48     # u64 size, u64 size in the WIM, u64 offset
    TABLE_OFFSET = 0x34
    OLD_SIZE = 0x34         # of the shortest value that has a hash: version 1 without its padding


cdef const uint8_t *_made(const uint8_t *templates, uint32_t count, Tree tree, const Stream *stream) noexcept nogil:
    """What the new value of a stream is made from; NULL where it is no pointer into this WIM."""
    cdef uint32_t i
    if not stream.flags & POINTER or stream.run_count < OLD_SIZE:
        return NULL
    for i in range(count):
        if memcmp(templates + i * VALUE_SIZE + SOURCE_OFFSET, tree.pool + stream.first_run + SOURCE_OFFSET, 8) == 0:
            return templates + i * VALUE_SIZE
    return NULL


cdef uint32_t _fill(const uint8_t *templates, uint32_t count, Tree tree, const uint64_t *places, uint64_t *file_ids,
                    uint8_t *values, uint8_t *moved) noexcept nogil:
    """Put what should be in the place of what is, one after the other; how many there are. `moved`: 1 for those that
    will lead to another place.
    """
    cdef const uint8_t *made
    cdef const Stream *stream
    cdef uint8_t *value
    cdef uint64_t[3] place
    cdef uint32_t i, found = 0
    for i in range(tree.stream_count):
        stream = &tree.streams[i]
        made = _made(templates, count, tree, stream)
        if made == NULL:
            continue
        place[0], place[1], place[2] = stream.size, places[1], places[0]
        places += 2
        if not place[1]:
            continue
        value = values + <uint64_t> found * VALUE_SIZE
        memcpy(value, made, VALUE_SIZE)
        memcpy(value + HASH_OFFSET, tree.pool + stream.first_run + HASH_OFFSET, HASH_SIZE)
        memcpy(value + PLACE_OFFSET, place, sizeof(place))
        if stream.run_count != VALUE_SIZE or memcmp(value, tree.pool + stream.first_run, VALUE_SIZE) != 0:
            file_ids[found] = tree.nodes[stream.node].file_id
            moved[found] = stream.run_count != VALUE_SIZE or memcmp(
                value + PLACE_OFFSET, tree.pool + stream.first_run + PLACE_OFFSET, sizeof(place)) != 0
            found += 1
    return found


def pointers_behind(Tree tree, bytes templates not None, places):
    """(references, reparse values one after the other, marks) of the pointers that should have another value than they
    have; a mark is 1 where the new value leads to another place.

    `templates`: a version 2 value of 96 bytes for each data source that stands for the WIM, with its id and the WIM's
    table hash. `places` gives for hashes of 20 bytes, one after the other, an array("Q") with the offset and the size
    in the WIM of each, size 0 where no pointer can lead there; such pointers are left out. The references are
    array("Q"), as they stand in the tree.
    """
    cdef const uint8_t *raw = templates
    cdef uint32_t kinds = len(templates) // VALUE_SIZE, count = 0, i
    cdef const uint64_t[::1] place_view
    cdef uint64_t[::1] id_view
    cdef uint8_t[::1] hash_view, value_view, mark_view
    if len(templates) % VALUE_SIZE:
        raise ValueError("templates of 96 bytes")
    with nogil:
        for i in range(tree.stream_count):
            count += _made(raw, kinds, tree, &tree.streams[i]) != NULL
    if not count:
        return array("Q"), b"", b""
    hashes, file_ids = bytearray(HASH_SIZE * count), array("Q", bytes(8 * count))
    hash_view, id_view = hashes, file_ids
    count = 0
    with nogil:
        for i in range(tree.stream_count):
            if _made(raw, kinds, tree, &tree.streams[i]) != NULL:
                memcpy(&hash_view[count * <uint64_t> HASH_SIZE],
                       tree.pool + tree.streams[i].first_run + HASH_OFFSET, HASH_SIZE)
                count += 1
    place_view = places(hashes)
    if place_view.shape[0] != 2 * <Py_ssize_t> count:
        raise ValueError("two numbers a hash")
    values = bytearray(VALUE_SIZE * <uint64_t> count)
    marks = bytearray(count)
    value_view, mark_view = values, marks
    with nogil:
        count = _fill(raw, kinds, tree, &place_view[0], &id_view[0], &value_view[0], &mark_view[0])
    return file_ids[:count], bytes(memoryview(values)[:VALUE_SIZE * <uint64_t> count]), bytes(marks[:count])


def table_hashes(Tree tree, uint64_t data_source):
    """The set of hashes of blob tables that the version 2 pointers of a data source carry."""
    cdef const uint8_t *value
    cdef const uint8_t *last = NULL
    cdef const Stream *stream
    cdef uint32_t i
    found = set()
    for i in range(tree.stream_count):
        stream = &tree.streams[i]
        if not stream.flags & POINTER or stream.run_count != VALUE_SIZE:
            continue
        value = tree.pool + stream.first_run
        if memcmp(value + SOURCE_OFFSET, &data_source, 8) != 0:
            continue
        if last == NULL or memcmp(last, value + TABLE_OFFSET, HASH_SIZE) != 0:
            last = value + TABLE_OFFSET
            found.add(last[:HASH_SIZE])
    return found
