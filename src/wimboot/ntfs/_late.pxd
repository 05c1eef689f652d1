"""Files whose attributes stand in several records, and values that lie outside of them."""

from libc.stdint cimport uint64_t

from wimboot.ntfs._records cimport Pass
from wimboot.ntfs._rows cimport Value


# The node of a record, -1 where there is none with that sequence number, -2 for the volume's own file.
cdef int node_of(Pass done, uint64_t record, uint64_t sequence) noexcept nogil

# The bytes of an attribute; None, and a fault, where they cannot be read.
cdef bytes value_bytes(Pass done, const Value *value, uint64_t limit)

# Finishes the nodes that wait, in order of their records.
cdef finish_waiting(Pass done)
