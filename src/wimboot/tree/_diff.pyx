"""The comparison of two Trees: folder by folder from the root, names matched in index order, no path ever built.

Pairs of folders are walked and their names matched; names of files only vote for which node keeps which, since a file
may have several. `_compare.pyx` then compares what stays.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memset

from cpython.bytes cimport PyBytes_FromStringAndSize

from array import array

from wimboot.tree._stored cimport A_DIRECTORY
from wimboot.tree._tree cimport ROOT, Link, Tree, compare_names, fold_table

from wimboot.errors import FormatError, Internal
from wimboot.tree._compare import compare_pairs
from wimboot.tree.changes import Changes

cdef enum:
    NONE = 0xFFFFFFFF
    CONTESTED = 0xFFFFFFFE


cdef struct Column:
    uint32_t *rows
    uint64_t count
    uint64_t room


cdef int _push(Column *column, uint32_t row) except -1:
    cdef uint32_t *grown
    if column.count == column.room:
        grown = <uint32_t *> realloc(column.rows, max(column.room * 2, 64) * 4)
        if grown == NULL:
            raise MemoryError
        column.rows = grown
        column.room = max(column.room * 2, 64)
    column.rows[column.count] = row
    column.count += 1
    return 0


cdef object _array(str kind, const void *rows, uint64_t count):
    out = array(kind)
    out.frombytes(PyBytes_FromStringAndSize(<const char *> rows, count * 4))
    return out


def diff(Tree old not None, Tree new not None, const uint8_t[::1] ignored=None, *, bint last_access=False):
    """What must happen to `old` so that it equals `new`, as `Changes`.

    `ignored` has one byte for each link of old: what is marked is neither compared nor removed, nor is anything below
    it, and the folders above it stay. Raises FormatError for a folder with two names.
    """
    work = _Diff(old, new)
    if ignored is not None:
        if ignored.shape[0] != old.link_count:
            raise Internal(what=f"a mask of {ignored.shape[0]:,} bytes for {old.link_count:,} names")
        if old.link_count:
            work.ignored = &ignored[0]
    return work.run(last_access)


cdef class _Diff:
    cdef Tree old, new
    cdef const uint8_t *ignored
    cdef int32_t *pairs         # by node of new
    cdef uint32_t *matches      # by link of new: link of old with that name, NONE
    cdef uint32_t *claims       # by node of old: file of new that wants it; NONE, or CONTESTED
    cdef uint8_t *old_seen      # by node: folder was walked
    cdef uint8_t *new_seen
    cdef uint8_t *survives      # by node of old: folder that holds something ignored
    cdef Column folders, walk, removed, added, created, skipped
    cdef list respelled

    def __cinit__(self, Tree old not None, Tree new not None):
        self.old, self.new = old, new
        if not (old.node_count and old.link_count and new.node_count and new.link_count):
            raise Internal(what="a tree without a root")
        self.pairs = <int32_t *> malloc(<uint64_t> new.node_count * 4)
        self.matches = <uint32_t *> malloc(<uint64_t> new.link_count * 4)
        self.claims = <uint32_t *> malloc(<uint64_t> old.node_count * 4)
        self.old_seen = <uint8_t *> calloc(old.node_count, 1)
        self.new_seen = <uint8_t *> calloc(new.node_count, 1)
        self.survives = <uint8_t *> calloc(old.node_count, 1)
        if not (self.pairs and self.matches and self.claims and self.old_seen and self.new_seen and self.survives):
            raise MemoryError
        memset(self.pairs, 0xFF, <uint64_t> new.node_count * 4)
        memset(self.matches, 0xFF, <uint64_t> new.link_count * 4)
        memset(self.claims, 0xFF, <uint64_t> old.node_count * 4)
        self.respelled = []

    def __dealloc__(self):
        for pointer in (<size_t> self.pairs, <size_t> self.matches, <size_t> self.claims, <size_t> self.old_seen,
                        <size_t> self.new_seen, <size_t> self.survives, <size_t> self.folders.rows,
                        <size_t> self.walk.rows, <size_t> self.removed.rows, <size_t> self.added.rows,
                        <size_t> self.skipped.rows, <size_t> self.created.rows):
            free(<void *> <size_t> pointer)

    cdef object run(self, bint last_access):
        self.old.index()
        self.new.index()
        fold_table()
        self.pair_folders(ROOT, ROOT)
        self.walk_folders()
        self.pair_files()
        self.apply_matches()
        self.new_nodes()
        pairs = _array("i", self.pairs, self.new.node_count)
        data, unknown, removed_streams, metadata = compare_pairs(self.old, self.new, pairs, last_access)
        return Changes(
            pairs=pairs, removed_links=self.column(&self.removed), created=self.column(&self.created),
            added_links=self.column(&self.added), respelled=self.respelled, removed_streams=removed_streams,
            data=data, metadata=metadata, unknown=unknown, skipped=self.column(&self.skipped))

    cdef object column(self, Column *column):
        return _array("I", column.rows, column.count)

    # ---- names

    cdef int pair_folders(self, uint32_t old, uint32_t new) except -1:
        self.visit(self.old_seen, old)
        self.visit(self.new_seen, new)
        self.pairs[new] = <int32_t> old
        _push(&self.folders, old)
        return _push(&self.folders, new)

    cdef int visit(self, uint8_t *seen, uint32_t folder) except -1:
        if seen[folder]:
            raise FormatError("folder", folder, "it has two names")
        seen[folder] = 1
        return 0

    cdef int walk_folders(self) except -1:
        """Merge the sorted names of each pair of folders; those found below are appended."""
        cdef uint64_t at = 0
        cdef uint32_t i, i_end, j, j_end
        cdef int order
        while at < self.folders.count:
            i, i_end = self.old.child_start[self.folders.rows[at]], self.old.child_start[self.folders.rows[at] + 1]
            j, j_end = (self.new.child_start[self.folders.rows[at + 1]],
                        self.new.child_start[self.folders.rows[at + 1] + 1])
            at += 2
            while i < i_end and j < j_end:
                order = self.compare(i, j)
                if order < 0:
                    self.remove(self.old.child_links[i])
                    i += 1
                elif order > 0:
                    self.add(self.new.child_links[j])
                    j += 1
                elif (i + 1 == i_end or self.compare(i + 1, j)) and (j + 1 == j_end or self.compare(i, j + 1)):
                    self.match(self.old.child_links[i], self.new.child_links[j])
                    i += 1
                    j += 1
                else:
                    self.match_group(&i, i_end, &j, j_end)
            while i < i_end:
                self.remove(self.old.child_links[i])
                i += 1
            while j < j_end:
                self.add(self.new.child_links[j])
                j += 1
        return 0

    cdef int compare(self, uint32_t i, uint32_t j) noexcept nogil:
        cdef Link *a = &self.old.links[self.old.child_links[i]]
        cdef Link *b = &self.new.links[self.new.child_links[j]]
        return compare_names(self.old.names + a.name_offset, a.name_size, self.new.names + b.name_offset, b.name_size)

    cdef bint same_spelling(self, uint32_t old, uint32_t new) noexcept nogil:
        cdef Link *a = &self.old.links[old]
        cdef Link *b = &self.new.links[new]
        return a.name_size == b.name_size and memcmp(self.old.names + a.name_offset, self.new.names + b.name_offset,
                                                     a.name_size) == 0

    cdef int match_group(self, uint32_t *i, uint32_t i_end, uint32_t *j, uint32_t j_end) except -1:
        """Names that differ in case only (a case-sensitive folder): same spelling first, the others in order."""
        cdef uint32_t first = j[0], last_i = i[0], last_j = j[0], a, b, k
        cdef list others
        spelled = {}
        while last_j < j_end and self.compare(i[0], last_j) == 0:
            spelled[self.new.link(self.new.child_links[last_j]).name] = self.new.child_links[last_j]
            last_j += 1
        others = []
        while last_i < i_end and self.compare(last_i, first) == 0:
            a = self.old.child_links[last_i]
            found = spelled.pop(self.old.link(a).name, None)
            if found is None:
                others.append(a)
            else:
                self.match(a, found)
            last_i += 1
        rest = list(spelled.values())
        for k in range(<uint32_t> max(len(others), len(rest))):
            if k >= <uint32_t> len(rest):
                self.remove(others[k])
            elif k >= <uint32_t> len(others):
                self.add(rest[k])
            else:
                self.match(others[k], rest[k])
        i[0], j[0] = last_i, last_j
        return 0

    cdef int match(self, uint32_t old, uint32_t new) except -1:
        """One name in both."""
        cdef uint32_t a = self.old.links[old].node, b = self.new.links[new].node
        cdef bint old_folder = self.old.nodes[a].attributes & A_DIRECTORY
        cdef bint new_folder = self.new.nodes[b].attributes & A_DIRECTORY
        if self.ignored != NULL and self.ignored[old]:
            return _push(&self.skipped, new)
        if old_folder != new_folder:
            if self.remove(old):
                return _push(&self.skipped, new)
            return self.add(new)
        self.matches[new] = old
        if old_folder:
            self.pair_folders(a, b)
        return 0

    cdef int remove(self, uint32_t link) except -1:
        """Remove a name of old and all below it that is not ignored; 1 if it stays for the sake of that."""
        cdef uint64_t at = 0
        cdef uint32_t node, child
        self.walk.count = 0
        _push(&self.walk, link)
        while at < self.walk.count:
            link = self.walk.rows[at]
            at += 1
            node = self.old.links[link].node
            if self.old.nodes[node].attributes & A_DIRECTORY and not (self.ignored != NULL and self.ignored[link]):
                self.visit(self.old_seen, node)
                for child in range(self.old.child_start[node], self.old.child_start[node + 1]):
                    _push(&self.walk, self.old.child_links[child])
        while at:       # backwards: each folder comes after all that is in it
            at -= 1
            link = self.walk.rows[at]
            node = self.old.links[link].node
            if (self.ignored != NULL and self.ignored[link]) or self.survives[node]:
                self.survives[self.old.links[link].parent] = 1
            else:
                _push(&self.removed, link)
                continue
            if at == 0:
                return 1
        return 0

    cdef int add(self, uint32_t link) except -1:
        """A name of new that old lacks, and all below it."""
        cdef uint64_t at = 0
        cdef uint32_t node, child
        self.walk.count = 0
        _push(&self.walk, link)
        while at < self.walk.count:
            link = self.walk.rows[at]
            at += 1
            node = self.new.links[link].node
            _push(&self.added, link)
            if self.new.nodes[node].attributes & A_DIRECTORY:
                self.visit(self.new_seen, node)
                for child in range(self.new.child_start[node], self.new.child_start[node + 1]):
                    _push(&self.walk, self.new.child_links[child])
        return 0

    # ---- files with several names

    cdef int pair_files(self) except -1:
        """Each file of new keeps the file of old that most of its names lead to. Where all agree, at once."""
        cdef uint32_t link, a, b
        cdef int32_t *wants = <int32_t *> malloc(<uint64_t> self.new.node_count * 4)
        cdef dict votes = {}
        if wants == NULL:
            raise MemoryError
        try:
            memset(wants, 0xFF, <uint64_t> self.new.node_count * 4)
            for link in range(self.new.link_count):
                if self.is_file_match(link, &a, &b):
                    wants[b] = <int32_t> a if wants[b] == -1 or wants[b] == <int32_t> a else -2
                    self.claims[a] = b if self.claims[a] == NONE or self.claims[a] == b else CONTESTED
            for link in range(self.new.link_count):
                if not self.is_file_match(link, &a, &b):
                    continue
                if wants[b] == <int32_t> a and self.claims[a] == b:
                    self.pairs[b] = <int32_t> a
                else:
                    votes[b, a] = votes.get((b, a), 0) + 1
        finally:
            free(wants)
        kept = set()
        for (b, a), _ in sorted(votes.items(), key=_most_votes):
            if self.pairs[b] < 0 and a not in kept:
                self.pairs[b] = <int32_t> a
                kept.add(a)
        return 0

    cdef bint is_file_match(self, uint32_t link, uint32_t *old, uint32_t *new) noexcept:
        """Whether that link of new has a name that a file of old has too; the two nodes."""
        if self.matches[link] == NONE:
            return False
        new[0] = self.new.links[link].node
        old[0] = self.old.links[self.matches[link]].node
        return not self.new.nodes[new[0]].attributes & A_DIRECTORY

    cdef int apply_matches(self) except -1:
        """A name in both stays where it leads to the same file; else it goes, and comes again."""
        cdef uint32_t link, old
        cdef Link *a
        cdef Link *b
        for link in range(self.new.link_count):
            old = self.matches[link]
            if old == NONE:
                continue
            a, b = &self.old.links[old], &self.new.links[link]
            if self.pairs[b.node] != <int32_t> a.node:
                _push(&self.removed, old)
                _push(&self.added, link)
            elif not self.same_spelling(old, link) or compare_names(
                    self.old.names + a.short_offset, a.short_size, self.new.names + b.short_offset, b.short_size):
                self.respelled.append((old, link))
        return 0

    cdef int new_nodes(self) except -1:
        """Nodes that an added link creates, in the order of those links."""
        cdef uint64_t i
        cdef uint32_t node
        memset(self.new_seen, 0, self.new.node_count)
        for i in range(self.added.count):
            node = self.new.links[self.added.rows[i]].node
            if self.pairs[node] < 0 and not self.new_seen[node]:
                self.new_seen[node] = 1
                _push(&self.created, node)
        return 0


def _most_votes(vote):
    return -vote[1], vote[0]
