"""Names to links: every file under its folder, the volume's own files left out; see `_folders.pxd`."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from wimboot.ntfs._late cimport node_of
from wimboot.ntfs._problems cimport FOLDER_CIRCLE, FOLDER_NAMES, NO_BASE, NO_FOLDER, NO_NAME, NO_PARENT, NO_PARTNER
from wimboot.ntfs._rows cimport RECORD, Name, ShortName
from wimboot.tree._tree cimport ROOT, Link, Node, Tree

cdef enum:
    DIRECTORY = 0x10
    WIN32 = 1

cdef enum:              # what is known of a node, bits
    NAMED = 1           # has a name in a folder
    IN_SYSTEM = 2       # has a name in one of the volume's own folders
    LONE = 4            # has a DOS name that stands apart from its long name
    BELOW_ROOT = 8      # a folder from which the way up ends at the root
    OWN = 16            # a folder from which it ends at a folder of the volume itself
    ON_WAY = 32

cdef extern from *:
    const uint32_t NONE "UINT32_MAX"


cdef void _resolve(Pass done, uint8_t *known, uint32_t *up) noexcept nogil:
    """Record numbers in the links become nodes; a link that is none gets NONE as its node."""
    cdef Name *names = <Name *> done.names.rows
    cdef Link *link
    cdef uint32_t i
    cdef int node, parent
    for i in range(done.tree.link_count):
        link = &done.tree.links[i]
        node = node_of(done, names[i].record, names[i].sequence)
        parent = node_of(done, link.parent, names[i].parent_sequence)
        link.node = NONE
        if node < 0:
            if node == -1:
                done.fault(names[i].record, NO_BASE)
            continue
        if parent == -2:
            known[node] |= IN_SYSTEM
            continue
        known[node] |= NAMED
        if parent < 0 or not done.tree.nodes[parent].attributes & DIRECTORY:
            done.fault(names[i].record, NO_PARENT if parent < 0 else NO_FOLDER)
            continue
        link.node = <uint32_t> node
        link.parent = <uint32_t> parent
        if done.tree.nodes[node].attributes & DIRECTORY and node != ROOT:
            if up[node] != NONE:
                done.fault(names[i].record, FOLDER_NAMES)
            up[node] = <uint32_t> parent


cdef void _walk_up(Pass done, uint8_t *known, const uint32_t *up) noexcept nogil:
    """Finds out where the way up from each folder ends. A circle is a fault."""
    cdef uint32_t node, at
    cdef uint8_t result
    known[ROOT] |= BELOW_ROOT
    for node in range(done.tree.node_count):
        if not done.tree.nodes[node].attributes & DIRECTORY:
            continue
        at = node
        while not known[at] & (BELOW_ROOT | OWN | ON_WAY) and up[at] != NONE:
            known[at] |= ON_WAY
            at = up[at]
        result = known[at] & (BELOW_ROOT | OWN)
        if not result:
            if known[at] & ON_WAY:
                done.fault(<uint32_t> (done.tree.nodes[at].file_id & RECORD), FOLDER_CIRCLE)
            result = OWN
            known[at] |= OWN
        at = node
        result |= ON_WAY
        while known[at] & ON_WAY:
            known[at] ^= result
            at = up[at]


cdef uint64_t _count_links(Pass done, uint8_t *known) noexcept nogil:
    """Drops links in the volume's own folders, counts each node's names; how many links and nodes are to go."""
    cdef uint32_t i
    cdef uint64_t gone = 0
    cdef Link *link
    cdef Node *row
    for i in range(done.tree.link_count):
        link = &done.tree.links[i]
        if link.node != NONE and known[link.parent] & OWN:
            known[link.node] |= IN_SYSTEM
            link.node = NONE
        if link.node == NONE:
            gone += 1
        else:
            row = &done.tree.nodes[link.node]
            row.link_count += 1
    for i in range(done.tree.node_count):
        if done.tree.nodes[i].link_count == 0:
            gone += 1
            if not known[i] & (IN_SYSTEM | NAMED):
                done.fault(<uint32_t> (done.tree.nodes[i].file_id & RECORD), NO_NAME)
    return gone


cdef void _drop(Tree tree, uint32_t *moved_nodes, uint32_t *moved_streams) noexcept nogil:
    """Closes the gaps of links, nodes and streams that do not belong to the tree."""
    cdef uint32_t i, kept = 0
    for i in range(tree.node_count):
        moved_nodes[i] = NONE
        if tree.nodes[i].link_count:
            moved_nodes[i] = kept
            kept += 1
    kept = 0
    for i in range(tree.stream_count):
        moved_streams[i] = kept
        if moved_nodes[tree.streams[i].node] != NONE:
            tree.streams[kept] = tree.streams[i]
            tree.streams[kept].node = moved_nodes[tree.streams[i].node]
            kept += 1
    tree.stream_count = kept
    for i in range(tree.node_count):
        if moved_nodes[i] != NONE:
            tree.nodes[moved_nodes[i]] = tree.nodes[i]
            if tree.nodes[i].stream_count:
                tree.nodes[moved_nodes[i]].first_stream = moved_streams[tree.nodes[i].first_stream]
    kept = 0
    for i in range(tree.node_count):
        kept += moved_nodes[i] != NONE
    tree.node_count = kept
    kept = 0
    for i in range(tree.link_count):
        if tree.links[i].node != NONE:
            tree.links[kept] = tree.links[i]
            tree.links[kept].node = moved_nodes[tree.links[i].node]
            tree.links[kept].parent = moved_nodes[tree.links[i].parent]
            kept += 1
    tree.link_count = kept


cdef _give_short_names(Pass done, uint8_t *known):
    """DOS names whose long name stands in another record of the file."""
    cdef ShortName *shorts = <ShortName *> done.shorts.rows
    cdef Name *names = <Name *> done.names.rows
    cdef Link *links = done.tree.links
    cdef dict partners = {}
    cdef uint64_t i
    cdef int node, parent
    for i in range(done.shorts.count):
        node = node_of(done, shorts[i].record, shorts[i].sequence)
        if node >= 0:
            known[node] |= LONE
    for i in range(done.tree.link_count):
        if names[i].space == WIN32 and links[i].node != NONE and known[links[i].node] & LONE:
            partners.setdefault((links[i].node, links[i].parent), i)
    for i in range(done.shorts.count):
        node = node_of(done, shorts[i].record, shorts[i].sequence)
        parent = node_of(done, shorts[i].parent, shorts[i].parent_sequence)
        if node == -2 or parent == -2:
            continue
        link = partners.pop((node, parent), None)
        if link is None:
            done.fault(shorts[i].record, NO_PARTNER)
            continue
        links[<uint64_t> link].short_offset = shorts[i].name_offset
        links[<uint64_t> link].short_size = shorts[i].name_size


cdef place_links(Pass done):
    cdef uint32_t nodes = done.tree.node_count, streams = done.tree.stream_count
    cdef uint8_t *known = <uint8_t *> calloc(nodes + 1, 1)
    cdef uint32_t *up = <uint32_t *> malloc((<size_t> nodes + 1) * sizeof(uint32_t))
    cdef uint32_t *moved = NULL
    try:
        if known == NULL or up == NULL:
            raise MemoryError
        memset(up, 0xFF, nodes * sizeof(uint32_t))
        with nogil:
            _resolve(done, known, up)
            _walk_up(done, known, up)
        if done.shorts.count:
            _give_short_names(done, known)
        if _count_links(done, known) and not done.fault_count:
            moved = <uint32_t *> malloc((<size_t> streams + 1) * sizeof(uint32_t))
            if moved == NULL:
                raise MemoryError
            with nogil:
                _drop(done.tree, up, moved)
    finally:
        free(known)
        free(up)
        free(moved)
