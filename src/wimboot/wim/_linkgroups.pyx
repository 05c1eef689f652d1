"""Which node a hard-link group of an image belongs to, by the group's number and the content.

Entries of one group with different content are different files: images of Windows 7 have such groups, and DISM
separates them too (wimlib inode_fixup.c). The table is seeded, so that no image can make its searches long.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

from wimboot.tree._stored cimport blob_key
from wimboot.tree._tree cimport Node, Tree
from wimboot.wim._dentry cimport get32, get64

import os

cdef uint8_t[20] NO_HASH


cdef class LinkGroups:
    """Nodes of a Tree by `file_id` and the hash of their first stream."""

    def __cinit__(self, Tree tree not None):
        self.tree = tree
        self.seed = int.from_bytes(os.urandom(8), "little")
        self.mask = 1023
        self.slots = <uint32_t *> calloc(1024, 4)
        if self.slots == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.slots)

    cdef int64_t find(self, uint64_t group, const uint8_t *hash) noexcept:
        """The node of that group and content, -1 if none."""
        return <int64_t> self.slots[self.slot(group, hash)] - 1

    cdef int add(self, uint32_t node) except -1:
        """Enter a node that `find` did not find; its first stream is there already."""
        cdef Node *n = &self.tree.nodes[node]
        self.slots[self.slot(n.file_id, self.tree.streams[n.first_stream].hash)] = node + 1
        self.count += 1
        if self.count * 2 > self.mask:
            self.grow()
        return 0

    cdef uint64_t slot(self, uint64_t group, const uint8_t *hash) noexcept:
        """Where that node stands, or would stand."""
        cdef uint64_t key
        cdef Node *n
        if blob_key(hash) == NULL:
            hash = NO_HASH
        key = _mixed(_mixed(_mixed(_mixed(self.seed ^ group) ^ get64(hash)) ^ get64(hash + 8)) ^ get32(hash + 16))
        key &= self.mask
        while self.slots[key]:
            n = &self.tree.nodes[self.slots[key] - 1]
            if n.file_id == group and memcmp(self.tree.streams[n.first_stream].hash, hash, 20) == 0:
                break
            key = (key + 1) & self.mask
        return key

    cdef int grow(self) except -1:
        cdef uint32_t *old = self.slots
        cdef uint64_t i, room = self.mask + 1
        cdef Node *n
        self.slots = <uint32_t *> calloc(room * 2, 4)
        if self.slots == NULL:
            self.slots = old
            raise MemoryError
        self.mask = room * 2 - 1
        for i in range(room):
            if old[i]:
                n = &self.tree.nodes[old[i] - 1]
                self.slots[self.slot(n.file_id, self.tree.streams[n.first_stream].hash)] = old[i]
        free(old)
        return 0


cdef uint64_t _mixed(uint64_t x) noexcept nogil:
    x *= <uint64_t> 0x9E3779B97F4A7C15
    return x ^ x >> 29
