"""The real files of a volume by what keeps each one real, in one pass."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from array import array

from wimboot.tree._tree cimport Tree

cdef enum:
    CLASSES = 8             # of `passes.classify`
    IS_FOLDER = 1
    IS_POINTER = 7
    NUMBERS = 5             # of a group: files, bytes as seen, bytes of clusters, largest, its node

# The second number of a group, where its class is CANDIDATE.
FREE = 0                    # nothing keeps it real
EXCLUDED = 1
RULED = 2


def real_groups(Tree tree not None, const uint8_t[::1] classes, const uint8_t[::1] excluded, const int[::1] excluded_by,
                const int[::1] ruled_by, Py_ssize_t rules):
    """Groups of the files that are neither folder nor pointer.

    `classes` has a byte a node, `excluded` a byte and `excluded_by` a rule a link, `ruled_by` a rule a node; there are
    `rules` rules. Each group: (class, FREE, EXCLUDED or RULED, rule or -1, files, bytes as Windows sees them, bytes of
    clusters, size and node of the largest).
    """
    cdef Py_ssize_t slots = CLASSES + 2 * (rules + 1), slot
    cdef uint32_t node, link, i
    cdef uint64_t seen, occupied
    if (classes.shape[0] != tree.node_count or ruled_by.shape[0] != tree.node_count
            or excluded.shape[0] != tree.link_count or excluded_by.shape[0] != tree.link_count):
        raise ValueError("one entry a node, or a link")
    out_by = array("i", [-2]) * max(tree.node_count, 1)     # -2: no name yet; -3: a name that is not excluded
    sums = array("Q", bytes(8 * NUMBERS * slots))
    cdef int[::1] by = out_by
    cdef uint64_t[::1] total = sums
    for link in range(tree.link_count):
        node = tree.links[link].node
        if not excluded[link]:
            by[node] = -3
        elif by[node] == -2:
            by[node] = excluded_by[link]
    for node in range(tree.node_count):
        slot = classes[node]
        if slot == IS_FOLDER or slot == IS_POINTER or slot >= CLASSES:
            continue
        if slot == 0 and by[node] > -2:
            slot = CLASSES + by[node] + 1
        elif slot == 0 and ruled_by[node] >= 0:
            slot = CLASSES + (rules + 1) + ruled_by[node] + 1
        if not 0 <= slot < slots:
            raise IndexError(slot)
        seen, occupied = 0, 0
        for i in range(tree.nodes[node].first_stream, tree.nodes[node].first_stream + tree.nodes[node].stream_count):
            seen += tree.streams[i].size
            occupied += tree.streams[i].allocated
        slot *= NUMBERS
        if not total[slot] or seen > total[slot + 3]:
            total[slot + 3], total[slot + 4] = seen, node
        total[slot] += 1
        total[slot + 1] += seen
        total[slot + 2] += occupied
    return [(*_kind(slot, rules), *sums[NUMBERS * slot:NUMBERS * (slot + 1)])
            for slot in range(slots) if sums[NUMBERS * slot]]


cdef tuple _kind(Py_ssize_t slot, Py_ssize_t rules):
    if slot < CLASSES:
        return slot, FREE, -1
    slot -= CLASSES
    return (0, EXCLUDED, slot - 1) if slot <= rules else (0, RULED, slot - rules - 2)
