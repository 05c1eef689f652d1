"""Rows made of the attributes of file records, for `_records` to fill and `_scan` to put together."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from wimboot.ntfs._securities cimport Securities
from wimboot.ntfs._streams cimport Attr
from wimboot.tree._tree cimport Node, Tree


cdef enum:
    FIRST_FILE = 24         # records below are the volume's own files
    ROOT_RECORD = 5

cdef extern from *:
    """
    #define WIMBOOT_SYSTEM UINT32_MAX
    #define WIMBOOT_RECORD (((uint64_t) 1 << 48) - 1)
    """
    const uint32_t SYSTEM "WIMBOOT_SYSTEM"      # in `slots`: the volume's own file
    const uint64_t RECORD "WIMBOOT_RECORD"      # the record number in a reference


cdef struct Name:           # beside Tree.links, row for row; until _scan is done a Link's parent is a record number
    uint32_t record         # of the file that is so called
    uint16_t sequence
    uint16_t parent_sequence
    uint8_t space           # namespace: 0 POSIX, 1 Win32, 3 Win32 and DOS


cdef struct ShortName:      # a DOS name (namespace 2) whose long name stands in another record
    uint32_t record
    uint32_t parent
    uint16_t sequence
    uint16_t parent_sequence
    uint16_t name_size
    uint32_t name_offset


cdef struct Value:          # an attribute that few files have, in Tree.pool or at Tree.runs
    uint64_t size
    uint64_t clusters
    uint32_t record
    uint32_t first
    uint32_t count
    uint16_t sequence
    uint8_t kind            # type >> 4
    uint8_t resident


cdef struct Extension:      # a record that holds more attributes of another
    uint32_t record
    uint32_t base
    uint32_t attributes
    uint16_t base_sequence
    uint16_t sequence


cdef struct Waiting:        # a file that is put together after the pass
    uint32_t node
    uint32_t record
    uint32_t attributes     # in its base record
    bint listed             # whether it has an attribute list


cdef struct Fault:
    uint32_t record
    uint32_t problem


cdef struct Table:          # rows of one kind; room is made between blocks, with the GIL
    uint8_t *rows
    uint64_t count
    uint64_t room


cdef struct Owner:          # the file whose attributes are being read
    uint32_t record
    uint16_t sequence
    uint32_t attributes     # found so far
    Node *node              # NULL in an extension record
    bint informed           # $STANDARD_INFORMATION was found
    bint listed
    bint outside            # its reparse data lies outside of the record
    bint system             # it is one of the volume's own files


cdef int ensure(Table *table, uint64_t more, size_t item) except -1


cdef class Rows:
    cdef Tree tree
    cdef Securities securities
    cdef uint32_t record_count
    cdef uint64_t total_clusters
    cdef uint32_t *slots            # node + 1 of each record, 0 none, SYSTEM
    cdef Table late                 # Attr: of files that wait
    cdef Table values               # Value
    cdef Table names                # Name
    cdef Table shorts               # ShortName
    cdef Table extensions           # Extension
    cdef Table waiting              # Waiting, in order of record
    cdef Table faults               # Fault: the first few
    cdef uint64_t fault_count
    cdef bint have_root
    cdef uint32_t object_ids        # record of $ObjId, 0 where it was not met
    cdef int room(self, uint64_t size, uint32_t record_size) except -1
    cdef void fault(self, uint32_t record, int problem) noexcept nogil
    cdef int attributes(self, const uint8_t *record, Owner *owner) noexcept nogil
    cdef int _information(self, const uint8_t *value, uint32_t size, Owner *owner) noexcept nogil
    cdef int _name(self, const uint8_t *value, uint32_t size, Owner *owner) noexcept nogil
    cdef int _stream(self, const uint8_t *attribute, uint32_t size, Owner *owner) noexcept nogil
    cdef int _value(self, const uint8_t *attribute, uint32_t size, Owner *owner) noexcept nogil
    cdef int _runs(self, const uint8_t *attribute, uint32_t size, Attr *row) noexcept nogil
    cdef void pair_names(self, uint64_t first_name, uint64_t first_short) noexcept nogil
