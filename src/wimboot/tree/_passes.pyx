"""Questions about every row of a Tree, answered in one C loop each: what can become a pointer, what must be read."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from array import array

from wimboot.tree._tree cimport (COMPACT, DATA, ENCRYPTED, HASHED, POINTER, RESIDENT, ROOT, Link, Node, Stream, Tree)

cdef enum:
    DIRECTORY = 0x10
    ENCRYPTED_FILE = 0x4000
    COMPRESSED_OR_SPARSE = 0xA00

# What `classify` says of a node; `plan.pointing` names them.
CANDIDATE = 0
FOLDER = 1
REPARSE_POINT = 2
EMPTY = 3
RESIDENT_DATA = 4
ENCRYPTED_DATA = 5
TOO_LARGE = 6
IS_POINTER = 7


cdef int64_t _data(Tree tree, uint32_t node) noexcept nogil:
    cdef uint32_t i, first = tree.nodes[node].first_stream
    for i in range(first, first + tree.nodes[node].stream_count):
        if tree.streams[i].kind == DATA and tree.streams[i].name_size == 0:
            return i
    return -1


def classify(Tree tree, uint64_t size_limit):
    """One byte a node: CANDIDATE where a pointer can stand for its unnamed data, else the first reason why not."""
    out = bytearray(tree.node_count)
    if not tree.node_count:
        return out
    cdef uint8_t[::1] view = out
    cdef uint32_t node
    cdef int64_t data
    cdef Node *n
    cdef Stream *s
    with nogil:
        for node in range(tree.node_count):
            n = &tree.nodes[node]
            data = _data(tree, node)
            s = &tree.streams[data] if data >= 0 else NULL
            if n.attributes & DIRECTORY:
                view[node] = 1
            elif n.attributes & ENCRYPTED_FILE or (s != NULL and s.flags & ENCRYPTED):
                view[node] = 5
            elif n.reparse_tag:
                view[node] = 2
            elif s == NULL or s.size == 0:
                view[node] = 3
            elif s.flags & POINTER:
                view[node] = 7
            elif s.size > size_limit:
                view[node] = 6
            elif s.flags & RESIDENT:
                view[node] = 4
    return out


def included_nodes(Tree tree, excluded):
    """One byte a node: 1 where at least one of its names is not excluded (`excluded`: one byte a link, or None)."""
    out = bytearray(tree.node_count)
    if not tree.node_count:
        return out
    cdef uint8_t[::1] view = out
    cdef const uint8_t[::1] mask
    cdef uint32_t link
    if excluded is None:
        for link in range(tree.link_count):
            view[tree.links[link].node] = 1
        return out
    mask = excluded
    if mask.shape[0] != tree.link_count:
        raise ValueError("one byte a link")
    for link in range(tree.link_count):
        if not mask[link]:
            view[tree.links[link].node] = 1
    return out


def unhashed_streams(Tree tree, included):
    """Streams of the included nodes whose content's hash is not known: array('I')."""
    cdef const uint8_t[::1] mask = included
    cdef uint32_t i
    out = array("I")
    if mask.shape[0] != tree.node_count:
        raise ValueError("one byte a node")
    for i in range(tree.stream_count):
        if mask[tree.streams[i].node] and not tree.streams[i].flags & HASHED:
            out.append(i)
    return out


def flagged_streams(Tree tree, int flags):
    """Streams with any of these StreamFlags: array('I')."""
    cdef uint32_t i
    out = array("I")
    for i in range(tree.stream_count):
        if tree.streams[i].flags & flags:
            out.append(i)
    return out


def carry_bits(Tree tree, Tree image, pairs):
    """Give pointers of `tree` the SPARSE and COMPRESSED bits of the files of `image` that they stand for; their number.

    `pairs` leads from each node of `image` to one of `tree`, or -1 (`tree.diff(tree, image).pairs`). A bit is carried
    only where both have the same content.
    """
    cdef const int[::1] partner = pairs
    cdef uint32_t node
    cdef int64_t here, there
    cdef uint32_t bits, carried = 0
    if partner.shape[0] != image.node_count:
        raise ValueError("one partner a node")
    for node in range(image.node_count):
        bits = image.nodes[node].attributes & COMPRESSED_OR_SPARSE
        if not bits or partner[node] < 0 or <uint32_t> partner[node] >= tree.node_count:
            continue
        there, here = _data(image, node), _data(tree, partner[node])
        if (there >= 0 and here >= 0 and tree.streams[here].flags & POINTER
                and memcmp(tree.streams[here].hash, image.streams[there].hash, 20) == 0):
            tree.nodes[partner[node]].attributes |= bits
            carried += 1
    return carried


def unmatched_pointers(Tree tree, Tree image, pairs, uint64_t data_source_id):
    """Hashes of the pointers of that data source whose file `image` does not have with that content, by `pairs` of
    `diff`.
    """
    cdef const int[::1] partner = pairs
    cdef uint8_t[::1] matched = bytearray(max(tree.node_count, 1))
    cdef uint32_t node, i
    cdef int64_t here, there
    cdef uint64_t source
    cdef Stream *s
    if partner.shape[0] != image.node_count:
        raise ValueError("one partner a node")
    for node in range(image.node_count):
        if partner[node] < 0 or <uint32_t> partner[node] >= tree.node_count:
            continue
        there, here = _data(image, node), _data(tree, partner[node])
        if there >= 0 and here >= 0 and memcmp(tree.streams[here].hash, image.streams[there].hash, 20) == 0:
            matched[partner[node]] = 1
    out = []
    for i in range(tree.stream_count):
        s = &tree.streams[i]
        if s.flags & POINTER and not matched[s.node] and s.run_count >= 0x34:
            memcpy(&source, tree.pool + s.first_run + 0x18, 8)
            if source == data_source_id:
                out.append(PyBytes_FromStringAndSize(<char *> s.hash, 20))
    return out


def pointer_digests(Tree tree, included):
    """(streams, their hashes one after the other) of the pointers of included nodes: array('I'), bytes."""
    cdef const uint8_t[::1] mask = included
    cdef uint32_t i
    cdef Stream *s
    if mask.shape[0] != tree.node_count:
        raise ValueError("one byte a node")
    streams, digests = array("I"), bytearray()
    for i in range(tree.stream_count):
        s = &tree.streams[i]
        if s.flags & POINTER and mask[s.node]:
            streams.append(i)
            digests += (<char *> s.hash)[:20]
    return streams, bytes(digests)


def choose(const uint8_t[::1] classes, const uint8_t[::1] included, const int[::1] ruled_by):
    """(CANDIDATE nodes that are included and not ruled, how many others are not included, are ruled)."""
    cdef Py_ssize_t node, excluded = 0, ruled = 0
    if classes.shape[0] != included.shape[0] or classes.shape[0] != ruled_by.shape[0]:
        raise ValueError("one entry a node")
    chosen = array("I")
    for node in range(classes.shape[0]):
        if classes[node]:
            continue
        if not included[node]:
            excluded += 1
        elif ruled_by[node] >= 0:
            ruled += 1
        else:
            chosen.append(node)
    return chosen, excluded, ruled


def carry_hashes(Tree tree, Tree image, unknown, distrusted):
    """Give streams of `tree` the hashes of their counterparts in `image` where the file's times say that nobody wrote.

    `unknown` are the (stream of image, stream of tree) of `diff`, of equal sizes; a node marked in `distrusted`, one
    byte a node of `tree`, may have changed nevertheless. Returns the pairs that remain unknown.
    """
    cdef const uint8_t[::1] mask = distrusted
    cdef uint32_t here, there
    cdef Node *a
    cdef Node *b
    if mask.shape[0] != tree.node_count:
        raise ValueError("one byte a node")
    left = []
    for pair in unknown:
        there, here = pair
        if there >= image.stream_count or here >= tree.stream_count:
            raise IndexError(pair)
        a, b = &tree.nodes[tree.streams[here].node], &image.nodes[image.streams[there].node]
        if (a.last_write == b.last_write and a.creation == b.creation and image.streams[there].flags & HASHED
                and tree.streams[here].size == image.streams[there].size and not mask[tree.streams[here].node]):
            memcpy(tree.streams[here].hash, image.streams[there].hash, 20)
            tree.streams[here].flags |= HASHED
        else:
            left.append(pair)
    return left


def tagged_nodes(Tree tree, uint32_t tag):
    """The nodes with that reparse tag: array('I')."""
    cdef uint32_t node
    out = array("I")
    for node in range(tree.node_count):
        if tree.nodes[node].reparse_tag == tag:
            out.append(node)
    return out


def data_rows(Tree tree, nodes):
    """(file_id, hash, size) of the unnamed data of each of these nodes, a sequence; the hash must be known."""
    cdef uint32_t node
    digests, lengths = data_columns(tree, nodes)
    out = []
    for at, node in enumerate(nodes):
        out.append((tree.nodes[node].file_id, digests[20 * at:20 * at + 20], lengths[at]))
    return out


def data_columns(Tree tree, nodes):
    """The same in columns: (their hashes of 20 bytes one behind the other, array('Q') of their sizes)."""
    cdef uint32_t node
    cdef int64_t data
    digests, lengths = bytearray(), array("Q")
    for node in nodes:
        if node >= tree.node_count:
            raise IndexError(node)
        data = _data(tree, node)
        if data < 0 or not tree.streams[data].flags & HASHED:
            raise ValueError(f"node {node} has no hash")
        digests += PyBytes_FromStringAndSize(<char *> tree.streams[data].hash, 20)
        lengths.append(tree.streams[data].size)
    return bytes(digests), lengths


def decide(const unsigned int[::1] nodes, const uint64_t[::1] lengths, const uint64_t[::1] places,
           const int[::1] ruled_by, uint64_t resident_limit, int[::1] rows):
    """Which of these nodes become pointers: their places in `nodes` are noted in `rows`, one entry a node of the tree.

    `lengths` and `places` (offset and size in the WIM, 0 for none) belong to `nodes`. Returns how many became pointers,
    are ruled, would be resident, have no place; and the bytes of those ruled or without a place.
    """
    cdef Py_ssize_t at
    cdef uint64_t pointed = 0, ruled = 0, resident = 0, lacking = 0, real = 0
    if (nodes.shape[0] != lengths.shape[0] or 2 * nodes.shape[0] != places.shape[0]
            or rows.shape[0] != ruled_by.shape[0]):
        raise ValueError("one entry a node")
    for at in range(nodes.shape[0]):
        if nodes[at] >= <uint64_t> rows.shape[0]:
            raise IndexError(nodes[at])
        if ruled_by[nodes[at]] >= 0:
            ruled += 1
            real += lengths[at]
        elif lengths[at] <= resident_limit:
            resident += 1
        elif places[2 * at] == 0:
            lacking += 1
            real += lengths[at]
        else:
            rows[nodes[at]] = <int> at
            pointed += 1
    return pointed, ruled, resident, lacking, real


def sizes(Tree tree):
    """(bytes as a reader sees them, bytes of clusters occupied) by all streams, each file counted once."""
    cdef uint64_t seen = 0, occupied = 0
    cdef uint32_t i
    for i in range(tree.stream_count):
        seen += tree.streams[i].size
        occupied += tree.streams[i].allocated
    return seen, occupied


def stream_sizes(Tree tree, streams):
    """The sum of the sizes of these streams."""
    cdef uint64_t total = 0
    cdef uint32_t i
    for i in streams:
        if i >= tree.stream_count:
            raise IndexError(i)
        total += tree.streams[i].size
    return total


def small_files(Tree tree, nodes, uint64_t size_limit):
    """(node, SHA-1) of those of these nodes whose unnamed data is not empty, of at most that size, and of no special
    kind.
    """
    cdef uint32_t node
    cdef int64_t data
    cdef Stream *s
    out = []
    for node in nodes:
        if node >= tree.node_count:
            raise IndexError(node)
        data = _data(tree, node)
        if data < 0 or tree.nodes[node].attributes & (DIRECTORY | ENCRYPTED_FILE | COMPRESSED_OR_SPARSE):
            continue
        s = &tree.streams[data]
        if 0 < s.size <= size_limit and s.flags & HASHED and not tree.nodes[node].reparse_tag:
            out.append((node, PyBytes_FromStringAndSize(<char *> s.hash, 20)))
    return out


def creation_rows(Tree tree, links, settled):
    """What it takes to make the file or folder of each link, in one tuple:

    (link, node, parent, name, short name, attributes, (creation, last write, last access), security, more). `settled`
    has one byte a node, 1 where the unnamed data comes with the file's making, as a pointer or resident; `more` is True
    where the node has anything beyond that and one name: data to be written, other streams, a reparse point, an object
    id, extended attributes, further names.
    """
    cdef const uint8_t[::1] is_settled = settled
    cdef uint32_t link, i
    cdef Link *k
    cdef Node *n
    cdef Stream *s
    cdef bint more
    cdef list out = []
    if is_settled.shape[0] != tree.node_count:
        raise ValueError("one byte a node")
    tree.index()
    for link in links:
        if link >= tree.link_count:
            raise IndexError(link)
        k = &tree.links[link]
        n = &tree.nodes[k.node]
        more = n.reparse_tag != 0 or n.extra >= 0 or n.link_count != 1
        for i in range(n.first_stream, n.first_stream + n.stream_count):
            s = &tree.streams[i]
            if s.kind != DATA or s.name_size or (s.size and not is_settled[k.node]):
                more = True
        out.append((
            link, k.node, k.parent, PyBytes_FromStringAndSize(<char *> tree.names + k.name_offset, k.name_size),
            PyBytes_FromStringAndSize(<char *> tree.names + k.short_offset, k.short_size), n.attributes,
            (n.creation, n.last_write, n.last_access), n.security, more))
    return out


def pointer_rows(Tree tree, uint64_t data_source_id):
    """(SHA-1 of the data, SHA-1 of the blob table) of every version 2 pointer of that data source.

    Offsets into the reparse value as `formats.reparse.WimPointer` has them; a version 1 pointer gives an empty
    table hash.
    """
    cdef uint32_t i
    cdef Stream *s
    cdef const uint8_t *value
    cdef uint64_t source
    out = []
    for i in range(tree.stream_count):
        s = &tree.streams[i]
        if s.flags & POINTER and s.run_count >= 0x34:
            value = tree.pool + s.first_run
            memcpy(&source, value + 0x18, 8)
            if source == data_source_id:
                out.append((PyBytes_FromStringAndSize(<char *> value + 0x20, 20),
                            PyBytes_FromStringAndSize(<char *> value + 0x34, 20) if s.run_count >= 0x60 else b""))
    return out


def hashes(Tree tree):
    """The known hashes of all streams that are not empty: a set of 20 bytes each."""
    cdef uint32_t i
    cdef int k
    cdef bint any_set
    out = set()
    for i in range(tree.stream_count):
        if tree.streams[i].flags & HASHED:
            any_set = False
            for k in range(20):
                if tree.streams[i].hash[k]:
                    any_set = True
                    break
            if any_set:
                out.add(PyBytes_FromStringAndSize(<char *> tree.streams[i].hash, 20))
    return out
