"""libntfs-3g's device calls on one of our Devices."""

from wimboot.ntfs._ntfs3g cimport ntfs_device
from wimboot.ntfs._pages cimport Pages
from wimboot.storage._device cimport Device

ctypedef int (*Flusher)(void *) noexcept nogil


cdef struct Bridge:         # what libntfs-3g's device calls see of our Device
    Pages pages
    Flusher flush
    int code                # the first errno the device gave, kept: the library drops some
    bint writable


cdef int bridge_open(Bridge *bridge, Device device, bint writable) except -1
cdef void bridge_free(Bridge *bridge) noexcept
cdef ntfs_device *bridge_device(Bridge *bridge) except NULL
