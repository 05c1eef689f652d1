"""The pass over $MFT."""

from libc.stdint cimport uint8_t, uint32_t

from wimboot.ntfs._rows cimport Rows
from wimboot.storage._device cimport Device
from wimboot.tree._tree cimport Run


cdef class Pass(Rows):
    cdef Device device
    cdef bytes bitmap               # $MFT's: which records are in use
    cdef const uint8_t *used
    cdef Run *mft_runs
    cdef uint32_t mft_run_count
    cdef uint32_t record_size, cluster_size
    cdef run(self)
    cdef void _block(self, uint8_t *block, uint32_t first, uint32_t count) noexcept nogil
    cdef int _record(self, uint8_t *record, uint32_t number) noexcept nogil
    cdef int _file(self, const uint8_t *record, uint32_t number) noexcept nogil
    cdef int _extension(self, const uint8_t *record, uint32_t number) noexcept nogil
