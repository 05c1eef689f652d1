# distutils: libraries = ntfs-3g
# distutils: include_dirs = /usr/include/ntfs-3g
"""libntfs-3g on our own bytes: mounting, reading, and the one place where its errors become ours.

One thread owns a volume; the library keeps state without locks. It keeps no table of open inodes either: two
handles of one record overwrite each other, so every method opens a file, works and closes it, and what is kept open
between calls is let go by `release`. The GIL is given back around every call of the library.
"""

from libc.errno cimport (EACCES, EALREADY, EIO, EISDIR, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EOPNOTSUPP, EPERM,
                         errno)
from libc.stdint cimport int64_t, uint16_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport strerror
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from wimboot.ntfs._ntfs3g cimport *
from wimboot.ntfs._bridge cimport bridge_device, bridge_free, bridge_open
from wimboot.storage._device cimport Device

from wimboot.ntfs import refusals

silence_log()

cdef enum:
    RECORD_MASK_BITS = 48
    READ_STEP = 1 << 20
    READ_LIMIT = 1 << 30    # in one call; a damaged size may be anything


cdef class Mount:
    """A volume opened by the library. `Volume` adds the checks before and the changes after."""

    def __cinit__(self, Device device not None, *, bint write, str where not None, **_):
        self.device = device
        self.where = where
        self.writable = write
        bridge_open(&self.bridge, device, write)

    def __dealloc__(self):
        if self.volume != NULL:         # never closed: nothing can be told any more, only freed
            self.bridge.writable = False
            ntfs_umount(self.volume, 0)
        bridge_free(&self.bridge)

    # errors -------------------------------------------------------------------------------------------------------

    cdef int fail(self, const char *call, int code) noexcept nogil:
        self.call = call
        self.code = code if code else EIO
        return -1

    cdef object error(self, uint64_t file_id):
        """The exception for the call that failed last."""
        facts = {"where": self.where, "file": f"record {MREF(file_id)}", "what": self.call.decode(),
                 "why": strerror(self.code).decode("utf-8", "replace"), "errno": self.code}
        kinds = {EACCES: refusals.FileEncrypted, EALREADY: refusals.ReparseTaken, EISDIR: refusals.NotAFile,
                 EIO: refusals.VolumeDamaged, ENOENT: refusals.FileNotFound, ENOSPC: refusals.VolumeFull,
                 ENOTDIR: refusals.NotAFolder, ENOTEMPTY: refusals.FolderNotEmpty, EPERM: refusals.RecordReserved}
        return kinds.get(self.code, refusals.CallFailed)(**facts)

    cdef int settle(self, int result, uint64_t file_id) except -1:
        """Raise if the device failed (even where the library dropped it) or `result` says a call did."""
        if self.bridge.code:
            self.device.check(self.bridge.code, "using")
        if result:
            raise self.error(file_id)
        return 0

    cdef int ready(self, bint change) except -1:
        if self.volume == NULL:
            raise refusals.VolumeClosed(where=self.where)
        if change and not self.writable:
            raise refusals.ReadOnlyVolume(where=self.where)
        if self.bridge.code:
            self.device.check(self.bridge.code, "using")
        return 0

    # mounting -----------------------------------------------------------------------------------------------------

    def mount(self):
        """Open the volume. Raises Hibernated, LogNotClean, VersionUnsupported, VolumeDirty or VolumeDamaged."""
        cdef ntfs_device *raw = bridge_device(&self.bridge)
        cdef unsigned long flags = 0 if self.writable else NTFS_MNT_RDONLY
        cdef int code = EIO
        if raw == NULL:
            raise MemoryError
        with nogil:
            errno_set(0)
            self.volume = ntfs_device_mount(raw, flags)
            if self.volume == NULL:
                code = errno
                NDevClearOpen(raw)
                ntfs_device_free(raw)
            else:
                ntfs_create_lru_caches(self.volume)     # without: look-ups in $Extend fail with EINVAL
                NVolSetCompression(self.volume)         # else folders' compression is not inherited as asked
                ntfs_volume_get_free_space(self.volume)
        if self.volume == NULL:
            self._refuse(code)
        version = self.version
        if version < (3, 0):
            raise refusals.VersionUnsupported(where=self.where, version="{}.{}".format(*version))
        if self.writable and self.dirty:
            raise refusals.VolumeDirty(where=self.where)

    def _refuse(self, int code):
        if self.bridge.code:
            self.device.check(self.bridge.code, "opening")
        if code == EPERM:
            raise refusals.Hibernated(where=self.where)
        if code == EOPNOTSUPP:
            raise refusals.LogNotClean(where=self.where)
        raise refusals.VolumeDamaged(where=self.where, what="opening", why=strerror(code or EIO).decode())

    def log_state(self):
        """(clean, kept by Windows) of $LogFile: what a mount for writing looks at, for one that is only read."""
        cdef ntfs_inode *inode
        cdef ntfs_attr *log = NULL
        cdef RESTART_PAGE_HEADER *page = NULL
        cdef bint clean = False, kept = False
        self.ready(False)
        with nogil:
            inode = ntfs_inode_open(self.volume, FILE_LogFile)
            if inode != NULL:
                log = ntfs_attr_open(inode, AT_DATA, AT_UNNAMED, 0)
            if log != NULL:
                clean = ntfs_check_logfile(log, &page) and ntfs_is_logfile_clean(log, page)
                kept = page != NULL and page.major_ver == 2 and page.minor_ver == 0
                free(page)
                ntfs_attr_close(log)
            ntfs_inode_close(inode)
        self.settle(0, FILE_LogFile)
        return bool(clean), bool(kept)

    cdef int release(self) noexcept nogil:
        """Close what is kept open between calls."""
        return 0

    def unmount(self, *, bint discard=False):
        """Write what is left and close. With `discard` nothing more is written and nothing raised."""
        cdef ntfs_volume *volume = self.volume
        cdef int result, code = 0
        if volume == NULL:
            return
        if discard:
            self.bridge.writable = False
        with nogil:
            result = self.release()
            self.volume = NULL
            errno_set(0)
            if ntfs_umount(volume, 0) and not result:
                result = self.fail(b"ntfs_umount", errno)
        if not discard:
            self.settle(result, FILE_root)

    # facts --------------------------------------------------------------------------------------------------------

    @property
    def closed(self):
        """Whether it was unmounted."""
        return self.volume == NULL

    @property
    def version(self):
        self.ready(False)
        return self.volume.major_ver, self.volume.minor_ver

    @property
    def dirty(self):
        self.ready(False)
        return bool(self.volume.flags & VOLUME_IS_DIRTY)

    @property
    def cluster_size(self):
        self.ready(False)
        return self.volume.cluster_size

    @property
    def cluster_count(self):
        self.ready(False)
        return self.volume.nr_clusters

    @property
    def free_clusters(self):
        self.ready(False)
        return self.volume.free_clusters

    @property
    def label(self):
        """The volume's name."""
        cdef ntfs_attr_search_ctx *context
        self.ready(False)
        context = ntfs_attr_get_search_ctx(self.volume.vol_ni, NULL)
        if context == NULL:
            raise MemoryError
        try:
            if ntfs_attr_lookup(AT_VOLUME_NAME, AT_UNNAMED, 0, CASE_SENSITIVE, 0, NULL, 0, context):
                return ""
            raw = (<const char *> context.attr + context.attr.value_offset)[:context.attr.value_length]
            return raw.decode("utf-16-le", "replace")
        finally:
            ntfs_attr_put_search_ctx(context)

    # files --------------------------------------------------------------------------------------------------------

    cdef ntfs_inode *open_file(self, uint64_t file_id) noexcept nogil:
        """An inode by its reference; NULL and `fail` where it is not there (its sequence number says so)."""
        cdef ntfs_inode *inode
        cdef uint16_t sequence = file_id >> RECORD_MASK_BITS
        errno_set(0)
        inode = ntfs_inode_open(self.volume, MREF(file_id))     # by record: a stale sequence would look like damage
        if inode == NULL:
            self.fail(b"ntfs_inode_open", errno)
        elif (sequence and inode.mrec.sequence_number != sequence) or inode.mrec.base_mft_record:
            ntfs_inode_close(inode)
            self.fail(b"ntfs_inode_open", ENOENT)
            inode = NULL
        return inode

    cdef int close_file(self, ntfs_inode *inode, int result) noexcept nogil:
        errno_set(0)
        if ntfs_inode_close(inode) and not result:
            result = self.fail(b"ntfs_inode_close", errno)
        return result

    def lookup(self, uint64_t folder, bytes name not None, *, bint fold=True):
        """The file called `name` (UTF-16LE; an exact match first, then with `fold` any case) in a folder, or None."""
        cdef const ntfschar *raw = <const ntfschar *> PyBytes_AS_STRING(name)
        cdef int size = len(name) // 2, result = 0
        cdef uint64_t found = <uint64_t> -1
        cdef ntfs_inode *inode
        self.ready(False)
        with nogil:
            result = self.release()
            inode = NULL if result else self.open_file(folder)
            if inode == NULL:
                result = -1
            elif not inode.mrec.flags & MFT_RECORD_IS_DIRECTORY:
                result = self.close_file(inode, self.fail(b"looking up a name", ENOTDIR))
            else:
                errno_set(0)
                found = ntfs_inode_lookup_by_name(inode, raw, size)
                if found == <uint64_t> -1 and fold and errno == ENOENT:
                    NVolClearCaseSensitive(self.volume)
                    found = ntfs_inode_lookup_by_name(inode, raw, size)
                    NVolSetCaseSensitive(self.volume)
                if found == <uint64_t> -1 and errno != ENOENT:
                    result = self.fail(b"ntfs_inode_lookup_by_name", errno)
                result = self.close_file(inode, result)
        self.settle(result, folder)
        return None if found == <uint64_t> -1 else found

    cdef bytes _read(self, ntfs_attr *data, int64_t offset, int64_t size, uint64_t file_id):
        cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
        cdef char *buffer = PyBytes_AS_STRING(out)
        cdef int64_t done = 0, part
        cdef int result = 0
        with nogil:
            while done < size:
                errno_set(0)
                part = ntfs_attr_pread(data, offset + done, min(size - done, <int64_t> READ_STEP), buffer + done)
                if part <= 0:
                    result = self.fail(b"ntfs_attr_pread", errno)
                    break
                done += part
        self.settle(result, file_id)
        return out

    def read(self, uint64_t file_id, bytes name not None=b"", int64_t offset=0, int64_t size=-1):
        """Bytes of a stream (decompressed where NTFS compressed it); up to its end, all of it by default.

        Raises FileNotFound (also for a stream that is not there), FileEncrypted, ReadTooLarge for more than 1 GiB, and
        PointerUnread for the unnamed data of a file whose content lies elsewhere: the library would give zeros.
        """
        cdef ntfs_inode *inode
        cdef ntfs_attr *data = NULL
        cdef int result = 0
        self.ready(False)
        if not name and self.reparse_tag(file_id) in ELSEWHERE:
            raise refusals.PointerUnread(where=self.where, file=f"record {MREF(file_id)}")
        with nogil:
            result = self.release()
            inode = NULL if result else self.open_file(file_id)
            if inode == NULL:
                result = -1
        self.settle(result, file_id)
        try:
            errno_set(0)
            data = ntfs_attr_open(inode, AT_DATA, stream_name(name), len(name) // 2)
            if data == NULL:
                self.settle(self.fail(b"ntfs_attr_open", errno), file_id)
            if data.data_flags & ATTR_IS_ENCRYPTED:
                self.settle(self.fail(b"reading", EACCES), file_id)
            left = max(data.data_size - max(offset, 0), 0)
            size = left if size < 0 else min(size, left)
            if offset < 0 or size > READ_LIMIT:
                raise refusals.ReadTooLarge(where=self.where, file=f"record {MREF(file_id)}", size=size)
            return self._read(data, offset, size, file_id)
        finally:
            if data != NULL:
                ntfs_attr_close(data)
            ntfs_inode_close(inode)

    def reparse(self, uint64_t file_id):
        """The reparse value with its 8-byte header; b"" for a file that is no reparse point."""
        cdef ntfs_inode *inode
        cdef char *value = NULL
        cdef int64_t size = 0
        cdef int result = 0
        self.ready(False)
        with nogil:
            result = self.release()
            inode = NULL if result else self.open_file(file_id)
            if inode == NULL:
                result = -1
            else:
                if inode.flags & FILE_ATTR_REPARSE_POINT:
                    errno_set(0)
                    value = <char *> ntfs_attr_readall(inode, AT_REPARSE_POINT, NULL, 0, &size)
                    if value == NULL:
                        result = self.fail(b"ntfs_attr_readall", errno)
                result = self.close_file(inode, result)
        try:
            self.settle(result, file_id)
            return value[:size] if value != NULL else b""
        finally:
            free(value)

    def reparse_tag(self, uint64_t file_id):
        """The tag of a file's reparse point, 0 where it has none."""
        return int.from_bytes(self.reparse(file_id)[:4], "little")


ELSEWHERE = frozenset({0x80000017, 0x80000013})     # WOF and deduplication: the unnamed data reads as zeros


cdef ntfschar *stream_name(bytes name):
    # The library compares the pointer: an empty name has to be its own constant.
    return <ntfschar *> PyBytes_AS_STRING(name) if name else AT_UNNAMED
