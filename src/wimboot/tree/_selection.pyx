# cython: language_level=3, boundscheck=False, wraparound=False
"""One walk over all names of a Tree, comparing each with every pattern of the lists that can still match there.

Absolute patterns are followed like a trie: a folder carries those whose components matched its path so far, so
almost all folders carry none. `selection.py` says what a match means; its Python twin is what the tests compare with.
"""

from cpython cimport array
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

import array

from wimboot.errors import FormatError
from wimboot.tree._tree cimport ROOT, Link, Tree, fold_table

cdef enum:
    EXCLUSION = 0
    EXCEPTION = 1
    KEPT = 2
    REAL = 3
    FORBIDDEN = 4
    KINDS = 5
    MAX_LEVELS = 4096       # of folders; see MAX_DEPTH of _tree
    NONE = -1
    STAR = 42
    QUESTION = 63


cdef struct Component:
    uint32_t offset         # into units
    uint32_t size           # units
    uint64_t letters        # a bit for each unit that a matching name must have


cdef struct Rule:
    uint32_t first          # its components
    uint32_t count
    uint8_t kind
    uint8_t absolute


cdef struct Level:          # a folder being walked
    uint32_t position       # of its next child
    uint32_t end
    uint32_t active         # absolute patterns that matched its path so far: place in the pool, and number
    uint32_t active_count
    int32_t matched[KINDS]  # rules used up at this folder or above: they hold for everything below
    int32_t excluded_by


cdef bint glob(const uint16_t *pattern, uint32_t pattern_size, const uint16_t *name, uint32_t size) noexcept nogil:
    """Whether a folded name matches; never more than pattern_size * size steps."""
    cdef uint32_t p = 0, n = 0, star = 0, resume = 0
    cdef bint starred = False
    while n < size:
        if p < pattern_size and pattern[p] == STAR:
            starred = True
            p += 1
            star = p
            resume = n
        elif p < pattern_size and (pattern[p] == name[n] or pattern[p] == QUESTION):
            p += 1
            n += 1
        elif starred:
            resume += 1
            n = resume
            p = star
        else:
            return False
    while p < pattern_size and pattern[p] == STAR:
        p += 1
    return p == pattern_size


cdef inline uint64_t letter(uint16_t unit) noexcept nogil:
    """A bit for a folded unit; units share bits, so that a missing one is certain and a present one is not."""
    return <uint64_t> 1 << (unit & 63)


cdef class RuleSet:
    """The patterns of all lists, folded and laid out for the walk. Rules keep their order; the first match counts."""

    cdef Rule *rules
    cdef Component *components
    cdef uint16_t *units
    cdef uint32_t *relative         # indices of relative rules
    cdef readonly uint32_t rule_count
    cdef uint32_t component_count, relative_count, absolute_count

    def __cinit__(self, list rules):
        """`rules`: (kind, absolute, [folded UTF-16LE component, ...]) each."""
        cdef uint32_t i, k, at = 0, unit = 0
        cdef bytes component
        cdef Py_ssize_t parts = 0, total = 0
        for _, _, components in rules:
            parts += len(components)
            for component in components:
                total += len(component) // 2
        if len(rules) > 1000000 or parts > 4000000 or total > 100000000:
            raise FormatError("the lists of patterns", 0, "they hold too much")
        self.rules = <Rule *> malloc((len(rules) + 1) * sizeof(Rule))
        self.components = <Component *> malloc((parts + 1) * sizeof(Component))
        self.units = <uint16_t *> malloc((total + 1) * sizeof(uint16_t))
        self.relative = <uint32_t *> malloc((len(rules) + 1) * sizeof(uint32_t))
        if not (self.rules and self.components and self.units and self.relative):
            raise MemoryError
        for i, (kind, absolute, components) in enumerate(rules):
            if not 0 <= kind < KINDS or not components:
                raise ValueError("a rule has a kind and components")
            self.rules[i].first = at
            self.rules[i].count = len(components)
            self.rules[i].kind = kind
            self.rules[i].absolute = absolute
            if absolute:
                self.absolute_count += 1
            else:
                self.relative[self.relative_count] = i
                self.relative_count += 1
            for component in components:
                self.components[at].offset = unit
                self.components[at].size = <uint32_t> (len(component) // 2)
                memcpy(self.units + unit, <const char *> component, len(component) & ~<Py_ssize_t> 1)
                self.components[at].letters = 0
                for k in range(self.components[at].size):
                    if self.units[unit + k] != STAR and self.units[unit + k] != QUESTION:
                        self.components[at].letters |= letter(self.units[unit + k])
                unit += <uint32_t> (len(component) // 2)
                at += 1
        self.rule_count = len(rules)

    def __dealloc__(self):
        free(self.rules)
        free(self.components)
        free(self.units)
        free(self.relative)

    cdef bint matches(self, uint32_t rule, uint32_t component, const uint16_t *name, uint32_t size,
                      uint64_t letters) noexcept nogil:
        cdef Component *part = &self.components[self.rules[rule].first + component]
        if part.letters & ~letters:
            return False
        return glob(self.units + part.offset, part.size, name, size)


cdef uint16_t *fold_units = NULL


cdef class _Walk:
    """The walk's state: one level a folder, and the pool of their active patterns, both as stacks."""

    cdef Tree tree
    cdef RuleSet rules
    cdef Level *levels
    cdef uint32_t *pool
    cdef uint16_t *name             # the present one, folded, and the bits of its units
    cdef uint64_t letters
    cdef uint32_t depth, level_room
    cdef size_t pool_room
    cdef int32_t[::1] excluded_by
    cdef int32_t[::1] real_by
    cdef uint8_t[::1] excluded
    cdef uint8_t[::1] seen          # a folder is walked once, whatever the names say

    def __cinit__(self, Tree tree, RuleSet rules):
        self.tree = tree
        self.rules = rules
        self.level_room = 64
        self.pool_room = rules.absolute_count * 2 + 1024
        self.levels = <Level *> malloc(self.level_room * sizeof(Level))
        self.pool = <uint32_t *> malloc(self.pool_room * sizeof(uint32_t))
        self.name = <uint16_t *> malloc(32768 * sizeof(uint16_t))
        if not (self.levels and self.pool and self.name):
            raise MemoryError

    def __dealloc__(self):
        free(self.levels)
        free(self.pool)
        free(self.name)

    cdef int grow(self) except -1:
        """Room for one more level and for all the active patterns it may have."""
        cdef Level *level = &self.levels[self.depth - 1]
        cdef size_t need = <size_t> level.active + 2 * <size_t> level.active_count
        if self.depth >= MAX_LEVELS:
            raise FormatError("a tree of folders", 0, "folders lie over 4096 deep in each other")
        if self.depth + 1 > self.level_room:
            levels = <Level *> realloc(self.levels, self.level_room * 2 * sizeof(Level))
            if levels == NULL:
                raise MemoryError
            self.levels = levels
            self.level_room *= 2
        if need > self.pool_room:
            pool = <uint32_t *> realloc(self.pool, need * 2 * sizeof(uint32_t))
            if pool == NULL:
                raise MemoryError
            self.pool = pool
            self.pool_room = need * 2
        return 0

    cdef int run(self) except -1:
        cdef uint32_t i
        cdef int kind
        cdef Level *root = &self.levels[0]
        root.position = self.tree.child_start[ROOT]
        root.end = self.tree.child_start[ROOT + 1]
        root.active = root.active_count = 0
        for kind in range(KINDS):
            root.matched[kind] = NONE
        root.excluded_by = NONE
        for i in range(self.rules.rule_count):
            if self.rules.rules[i].absolute:
                self.pool[root.active_count] = i
                root.active_count += 1
        self.seen[ROOT] = 1
        self.depth = 1
        while self.depth:
            if self.levels[self.depth - 1].position == self.levels[self.depth - 1].end:
                self.depth -= 1
                continue
            self.grow()
            i = self.tree.child_links[self.levels[self.depth - 1].position]
            self.levels[self.depth - 1].position += 1
            self.visit(i)
        return 0

    cdef void visit(self, uint32_t index) noexcept nogil:
        """Decide about one name, and make the level of its folder if it is one not yet walked."""
        cdef Level *level = &self.levels[self.depth - 1]
        cdef Level *below = &self.levels[self.depth]
        cdef Link *link = &self.tree.links[index]
        cdef uint32_t i, rule, size = link.name_size // 2
        cdef int kind
        cdef bint ancestor = False
        cdef Rule *known
        cdef uint16_t *table = fold_units
        cdef const uint8_t *name = self.tree.names + link.name_offset
        for kind in range(KINDS):
            below.matched[kind] = level.matched[kind]
        below.active = level.active + level.active_count
        below.active_count = 0
        self.letters = 0
        if level.active_count or self.rules.relative_count:
            for i in range(size):
                self.name[i] = table[name[2 * i] | name[2 * i + 1] << 8]
                self.letters |= letter(self.name[i])
        for i in range(level.active_count):
            rule = self.pool[level.active + i]
            known = &self.rules.rules[rule]
            if not self.rules.matches(rule, self.depth - 1, self.name, size, self.letters):
                continue
            if known.count > self.depth:
                self.pool[below.active + below.active_count] = rule
                below.active_count += 1
                ancestor = ancestor or known.kind == EXCEPTION
            elif below.matched[known.kind] == NONE or <int32_t> rule < below.matched[known.kind]:
                below.matched[known.kind] = <int32_t> rule
        self.decide(index, link.node, below, level.excluded_by, ancestor, size)
        if self.tree.child_start[link.node] < self.tree.child_start[link.node + 1] and not self.seen[link.node]:
            self.seen[link.node] = 1
            below.position = self.tree.child_start[link.node]
            below.end = self.tree.child_start[link.node + 1]
            self.depth += 1

    cdef void decide(self, uint32_t index, uint32_t node, Level *below, int32_t excluded_by, bint ancestor,
                     uint32_t size) noexcept nogil:
        """Put the relative patterns to what holds for the name, and note the outcome."""
        cdef int32_t matched[KINDS]
        cdef uint32_t i, rule
        cdef int kind
        for kind in range(KINDS):
            matched[kind] = below.matched[kind]
        for i in range(self.rules.relative_count):
            rule = self.rules.relative[i]
            kind = self.rules.rules[rule].kind
            if matched[kind] != NONE and matched[kind] < <int32_t> rule:
                continue
            if self.rules.matches(rule, 0, self.name, size, self.letters):
                matched[kind] = <int32_t> rule
        if excluded_by == NONE:
            excluded_by = matched[FORBIDDEN]
        if excluded_by == NONE and matched[EXCEPTION] == NONE and matched[KEPT] == NONE and not ancestor:
            excluded_by = matched[EXCLUSION]
        below.excluded_by = excluded_by
        self.excluded_by[index] = excluded_by
        self.excluded[index] = excluded_by != NONE
        if matched[REAL] != NONE and (self.real_by[node] == NONE or matched[REAL] < self.real_by[node]):
            self.real_by[node] = matched[REAL]


def survey(Tree tree not None, RuleSet rules not None):
    """(excluded, excluded_by, real_by): 0 or 1 a link; the rule's index a link, and a node; -1 for none."""
    global fold_units
    fold_units = fold_table()
    tree.index()
    walk = _Walk(tree, rules)
    excluded = bytearray(tree.link_count)
    excluded_by = array.array("i", [NONE]) * tree.link_count
    real_by = array.array("i", [NONE]) * tree.node_count
    if tree.link_count and tree.node_count:
        walk.excluded = excluded
        walk.excluded_by = excluded_by
        walk.real_by = real_by
        walk.seen = bytearray(tree.node_count)
        walk.run()
    return excluded, excluded_by, real_by
