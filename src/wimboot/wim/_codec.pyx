# distutils: libraries = wim
"""libwim's XPRESS, LZX and LZMS, over batches of blobs and without the GIL.

A `Codec` keeps the library's compressor objects, which serve one thread at a time, in a pool: any number of threads may
call one Codec at once. `cancel()` makes the calls that are running return early with Cancelled. The input of every
decompressing call may be hostile: each offset and size is held against its buffer before it is used.
"""

from cpython.bytearray cimport PyByteArray_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from array import array

from wimboot.wim.errors import Cancelled, check_code

cdef extern from "wimlib.h" nogil:
    enum wimlib_compression_type:
        pass
    struct wimlib_compressor:
        pass
    struct wimlib_decompressor:
        pass
    int wimlib_global_init(int flags)
    int wimlib_create_compressor(wimlib_compression_type ctype, size_t block, unsigned level,
                                 wimlib_compressor **out)
    size_t wimlib_compress(const void *data, size_t size, void *out, size_t room, wimlib_compressor *compressor)
    void wimlib_free_compressor(wimlib_compressor *compressor)
    int wimlib_create_decompressor(wimlib_compression_type ctype, size_t block, wimlib_decompressor **out)
    int wimlib_decompress(const void *data, size_t size, void *out, size_t out_size,
                          wimlib_decompressor *decompressor)
    void wimlib_free_decompressor(wimlib_decompressor *decompressor)

cdef enum:
    POOL = 64
    STOPPED = -2

SOUND, BAD_TABLE, BAD_CHUNK = 0, 1, 2
cdef bint _ready = False


cdef _initialise():
    global _ready
    if not _ready:
        check_code(wimlib_global_init(0), "wimlib_global_init")
        _ready = True


cdef class Codec:
    """One codec at one chunk size. `compression` 0 stores everything raw."""

    cdef readonly int compression, level
    cdef readonly uint64_t chunk_size
    cdef int cancelled
    cdef wimlib_compressor *compressors[POOL]
    cdef wimlib_decompressor *decompressors[POOL]
    cdef int compressor_count, decompressor_count

    def __init__(self, int compression, uint64_t chunk_size, int level=50):
        if compression and not 0 < chunk_size <= 1 << 30:
            raise ValueError("not a chunk size")
        self.compression = compression
        self.chunk_size = chunk_size
        self.level = level
        _initialise()

    def __dealloc__(self):
        cdef int i
        for i in range(self.compressor_count):
            wimlib_free_compressor(self.compressors[i])
        for i in range(self.decompressor_count):
            wimlib_free_decompressor(self.decompressors[i])

    def cancel(self):
        """Make running and later calls raise Cancelled."""
        self.cancelled = 1

    # ---- the pool: touched with the GIL held

    cdef wimlib_compressor *_take_compressor(self) except? NULL:
        cdef wimlib_compressor *made = NULL
        if self.compressor_count:
            self.compressor_count -= 1
            return self.compressors[self.compressor_count]
        check_code(wimlib_create_compressor(<wimlib_compression_type> self.compression, self.chunk_size, self.level,
                                            &made), "wimlib_create_compressor")
        return made

    cdef _give_compressor(self, wimlib_compressor *compressor):
        if self.compressor_count < POOL:
            self.compressors[self.compressor_count] = compressor
            self.compressor_count += 1
        else:
            wimlib_free_compressor(compressor)

    cdef wimlib_decompressor *_take_decompressor(self) except? NULL:
        cdef wimlib_decompressor *made = NULL
        if self.decompressor_count:
            self.decompressor_count -= 1
            return self.decompressors[self.decompressor_count]
        check_code(wimlib_create_decompressor(<wimlib_compression_type> self.compression, self.chunk_size, &made),
                   "wimlib_create_decompressor")
        return made

    cdef _give_decompressor(self, wimlib_decompressor *decompressor):
        if self.decompressor_count < POOL:
            self.decompressors[self.decompressor_count] = decompressor
            self.decompressor_count += 1
        else:
            wimlib_free_decompressor(decompressor)

    # ---- compression

    def compress_batch(self, data, spans):
        """Turn whole blobs into finished resources (chunk table and chunks; raw where that is not smaller).

        `spans` is an array('Q') of start and end of each blob in `data`. Returns the resources back to back, the size
        of each, and a byte for each that is 1 where it is compressed.
        """
        cdef const uint8_t[::1] source = data
        cdef const uint64_t[::1] span = spans
        cdef Py_ssize_t count = span.shape[0] // 2, i
        cdef uint64_t room = 0
        for i in range(count):
            if span[2 * i] >= span[2 * i + 1] or span[2 * i + 1] > <uint64_t> source.shape[0]:
                raise ValueError("a span leaves the buffer")
            room += span[2 * i + 1] - span[2 * i]
        sizes, flags = array("Q", bytes(8 * count)), bytearray(count)
        out = PyByteArray_FromStringAndSize(NULL, room)     # not zeroed: memory is taken as far as it is written
        cdef uint64_t[::1] size = sizes
        cdef uint8_t[::1] flag = flags
        cdef uint8_t[::1] target = out
        cdef uint64_t at = 0
        cdef wimlib_compressor *compressor = NULL
        if not count:
            return memoryview(out), sizes, flags
        if self.compression:
            compressor = self._take_compressor()
        with nogil:
            for i in range(count):
                if self.cancelled:
                    break
                size[i] = self._resource(&source[span[2 * i]], span[2 * i + 1] - span[2 * i], &target[at], compressor,
                                         &flag[i])
                at += size[i]
        if compressor != NULL:
            self._give_compressor(compressor)
        if self.cancelled:
            raise Cancelled()
        return memoryview(out)[:at], sizes, flags

    cdef uint64_t _resource(self, const uint8_t *data, uint64_t size, uint8_t *out, wimlib_compressor *compressor,
                            uint8_t *flag) noexcept nogil:
        """One resource into `out`, which has room for `size` bytes; its size there."""
        cdef uint64_t chunks, entry, table, at, done = 0, part, stored, start
        cdef uint32_t narrow
        flag[0] = 0
        if compressor != NULL:
            chunks = (size + self.chunk_size - 1) // self.chunk_size
            entry = 8u if size > 0xFFFFFFFFu else 4u
            table = at = (chunks - 1) * entry
            while done < size and at < size and not self.cancelled:
                if done:
                    start = at - table
                    narrow = <uint32_t> start
                    memcpy(out + (done // self.chunk_size - 1) * entry, &start if entry == 8 else <void *> &narrow,
                           entry)
                part = min(self.chunk_size, size - done)
                stored = wimlib_compress(data + done, part, out + at, min(part - 1, size - at), compressor) \
                    if part > 1 else 0
                if stored == 0:
                    if part > size - at:
                        break
                    memcpy(out + at, data + done, part)
                    stored = part
                at += stored
                done += part
            if done == size and at < size:
                flag[0] = 1
                return at
        memcpy(out, data, size)
        return size

    def compress_chunks(self, data):
        """Compress consecutive chunks; (the chunks back to back, an array('I') of their stored sizes)."""
        cdef const uint8_t[::1] source = data
        cdef uint64_t size = source.shape[0], done = 0, at = 0, part, stored
        cdef Py_ssize_t i = 0
        if not self.compression or size == 0:
            raise ValueError("nothing to compress")
        out = PyByteArray_FromStringAndSize(NULL, size)     # as above
        sizes = array("I", bytes(4 * ((size + self.chunk_size - 1) // self.chunk_size)))
        cdef uint8_t[::1] target = out
        cdef unsigned int[::1] length = sizes
        cdef wimlib_compressor *compressor = self._take_compressor()
        with nogil:
            while done < size and not self.cancelled:
                part = min(self.chunk_size, size - done)
                stored = wimlib_compress(&source[done], part, &target[at], part - 1, compressor) if part > 1 else 0
                if stored == 0:
                    memcpy(&target[at], &source[done], part)
                    stored = part
                length[i] = <uint32_t> stored
                i += 1
                at += stored
                done += part
        self._give_compressor(compressor)
        if self.cancelled:
            raise Cancelled()
        return memoryview(out)[:at], sizes

    # ---- decompression

    def decompress_batch(self, data, jobs, out):
        """Read whole resources out of `data` into `out`, back to back.

        `jobs` is an array('Q') of four numbers each: offset in `data`, size there, size of the blob, 1 if compressed.
        Returns a byte for each: SOUND, BAD_TABLE or BAD_CHUNK. Raises ValueError where a job leaves the buffers.
        """
        cdef const uint8_t[::1] source = data
        cdef const uint64_t[::1] job = jobs
        cdef uint8_t[::1] target = out
        cdef Py_ssize_t count = job.shape[0] // 4, i
        cdef uint64_t room = 0, length = source.shape[0]
        for i in range(count):
            if job[4 * i] > length or job[4 * i + 1] > length - job[4 * i] or job[4 * i + 2] == 0 \
                    or job[4 * i + 2] > <uint64_t> target.shape[0] - room \
                    or (not job[4 * i + 3] and job[4 * i + 1] != job[4 * i + 2]):
                raise ValueError("a resource leaves the buffer")
            room += job[4 * i + 2]
        states = bytearray(count)
        cdef uint8_t[::1] state = states
        cdef wimlib_decompressor *decompressor = NULL
        if not count:
            return states
        room = 0
        if self.compression:
            decompressor = self._take_decompressor()
        with nogil:
            for i in range(count):
                if self.cancelled:
                    break
                if not job[4 * i + 3]:
                    memcpy(&target[room], &source[job[4 * i]], job[4 * i + 2])
                elif decompressor == NULL:
                    state[i] = 1
                else:
                    state[i] = self._whole(&source[0] + job[4 * i], job[4 * i + 1], &target[room], job[4 * i + 2],
                                           decompressor)
                room += job[4 * i + 2]
        if decompressor != NULL:
            self._give_decompressor(decompressor)
        if self.cancelled:
            raise Cancelled()
        return states

    cdef uint8_t _whole(self, const uint8_t *data, uint64_t in_wim, uint8_t *out, uint64_t size,
                        wimlib_decompressor *decompressor) noexcept nogil:
        cdef uint64_t chunks = (size - 1) // self.chunk_size + 1
        cdef uint64_t entry = 8u if size > 0xFFFFFFFFu else 4u
        cdef uint64_t table, i, start = 0, end, part
        if chunks - 1 > in_wim // entry:
            return 1
        table = (chunks - 1) * entry
        for i in range(chunks):
            if i == chunks - 1:
                end = in_wim - table
            else:
                end = 0
                memcpy(&end, data + i * entry, entry)
            part = min(self.chunk_size, size - i * self.chunk_size)
            if end <= start or end > in_wim - table or end - start > part:
                return 1
            if end - start == part:
                memcpy(out + i * self.chunk_size, data + table + start, part)
            elif wimlib_decompress(data + table + start, end - start, out + i * self.chunk_size, part, decompressor):
                return 2
            start = end
            if self.cancelled:
                return 2
        return 0

    def decompress_chunks(self, data, sizes, out):
        """Read consecutive chunks of the stored `sizes` (an array('Q')), all but the last of `out` whole ones.

        Returns SOUND or BAD_CHUNK. Raises ValueError where they leave the buffers.
        """
        cdef const uint8_t[::1] source = data
        cdef const uint64_t[::1] length = sizes
        cdef uint8_t[::1] target = out
        cdef uint64_t size = target.shape[0], done = 0, at = 0, part
        cdef Py_ssize_t i
        cdef int failed = 0
        if size == 0 or <uint64_t> length.shape[0] != (size - 1) // self.chunk_size + 1 or not self.compression:
            raise ValueError("the chunks do not fill the buffer")
        for i in range(length.shape[0]):
            if length[i] == 0 or length[i] > <uint64_t> source.shape[0] - at:
                raise ValueError("a chunk leaves the buffer")
            at += length[i]
        at = 0
        cdef wimlib_decompressor *decompressor = self._take_decompressor()
        with nogil:
            for i in range(length.shape[0]):
                part = min(self.chunk_size, size - done)
                if length[i] == part:
                    memcpy(&target[done], &source[at], part)
                elif length[i] > part or wimlib_decompress(&source[at], length[i], &target[done], part, decompressor):
                    failed = 1
                    break
                at += length[i]
                done += part
                if self.cancelled:
                    break
        self._give_decompressor(decompressor)
        if self.cancelled:
            raise Cancelled()
        return BAD_CHUNK if failed else SOUND
