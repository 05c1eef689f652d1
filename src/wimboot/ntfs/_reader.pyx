"""Contents of a volume's streams, read from its bytes along the runs that the scan noted. Nothing is written.

Small streams are read many at a time into one buffer, in the order in which they lie on the disk; those that lie close
together come with one read. Large ones are read through windows. What cannot be read along runs (NTFS-compressed and
encrypted streams) is asked of `by_library`. Pointers and Compact OS files have their content elsewhere or compressed:
they are refused, never read as the zeros that the volume has for them. Any number of threads may read.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport EIO
from libc.stdlib cimport qsort
from libc.string cimport memcpy, memmove, memset

from array import array

from wimboot.errors import Internal

from wimboot.ntfs._extents cimport HOLE, Cursor, read_runs
from wimboot.ntfs._streams cimport CompactPlace
from wimboot.tree._tree cimport BY_LIBRARY, COMPACT, POINTER, RESIDENT

cdef enum:
    MOST_STREAMS = 1 << 16      # of one fill
    NEAR = 8 << 10              # bytes that are read along rather than skipped between two streams

cdef extern from *:
    """
    #define WIMBOOT_RECORD (((uint64_t) 1 << 48) - 1)
    """
    const uint64_t RECORD "WIMBOOT_RECORD"


class NotOnVolume(Internal):
    """A pointer or Compact OS file was to be read as if its content were on the volume."""

    id = "not-on-volume"
    sentence = "Stream {stream} was to be read along its runs, but its content is not there"


class WrongSize(Internal):
    """The library gave another number of bytes than the file table tells."""

    id = "library-size"
    sentence = "Stream {stream} has {expected} bytes, but {found} were read"


cdef struct Key:
    uint64_t place          # of its first cluster; 0 where it has none
    uint64_t record
    uint32_t stream


cdef int _by_place(const void *a, const void *b) noexcept nogil:
    cdef const Key *x = <const Key *> a
    cdef const Key *y = <const Key *> b
    if x.place != y.place:
        return 1 if x.place > y.place else -1
    if x.record != y.record:
        return 1 if x.record > y.record else -1
    return 1 if x.stream > y.stream else -1 if x.stream < y.stream else 0


cdef class Reader:
    """Of the volume on `device`, whose scan gave `tree`. `by_library`: the whole content of a BY_LIBRARY stream."""

    def __init__(self, Device device, Tree tree, by_library=None):
        self.device = device
        self.tree = tree
        self.by_library = by_library

    def in_disk_order(self, streams):
        """The streams by their first cluster; those without any come first, in order of their file records."""
        cdef const uint32_t[::1] given = array("I", streams)
        cdef Py_ssize_t i, count = given.shape[0]
        cdef uint32_t k
        cdef Stream *stream
        cdef Key *keys = <Key *> PyMem_Malloc((count + 1) * sizeof(Key))
        if keys == NULL:
            raise MemoryError
        try:
            for i in range(count):
                self.tree._check(given[i], self.tree.stream_count)
                stream = &self.tree.streams[given[i]]
                keys[i].stream = given[i]
                keys[i].record = self.tree.nodes[stream.node].file_id & RECORD
                keys[i].place = 0
                if not stream.flags & (RESIDENT | POINTER | COMPACT):
                    for k in range(stream.first_run, stream.first_run + stream.run_count):
                        if self.tree.runs[k].clusters and self.tree.runs[k].lcn != HOLE:
                            keys[i].place = self.tree.runs[k].lcn + 1
                            break
            qsort(keys, count, sizeof(Key), _by_place)
            out = array("I", bytes(4 * count))
            for i in range(count):
                out[i] = keys[i].stream
            return out
        finally:
            PyMem_Free(keys)

    def fill(self, streams, uint64_t first, buffer):
        """Reads whole streams from streams[first] on, as many as fit, one behind the other into `buffer`.

        Returns the end of each in the buffer; none where the first alone is larger than the buffer: that is read in
        windows.
        """
        cdef const uint32_t[::1] given = streams
        cdef unsigned char[::1] out = buffer
        cdef uint64_t count = given.shape[0], done = 0, most, i
        cdef int code = 0
        cdef Batch batch
        cdef uint64_t *ends
        cdef Stream *stream
        if first >= count or out.shape[0] == 0:
            return []
        most = min(count - first, <uint64_t> MOST_STREAMS)
        memset(&batch, 0, sizeof(Batch) - sizeof(batch.pieces))
        batch.buffer = &out[0]
        batch.room = out.shape[0]
        ends = <uint64_t *> PyMem_Malloc(most * sizeof(uint64_t))
        if ends == NULL:
            raise MemoryError
        try:
            while done < most:
                with nogil:
                    done = self._fill_some(&given[0] + first, done, most, &batch, ends, &code)
                if code:
                    self.device.check(code, "reading")
                if done == most:
                    break
                stream = self._plain(given[first + done])       # why it stopped: refused, full, or for the library
                if not stream.flags & BY_LIBRARY or stream.size > batch.room - batch.at:
                    break
                data = self._library(given[first + done])
                memcpy(batch.buffer + batch.at, <const char *> data, stream.size)
                batch.at += stream.size
                ends[done] = batch.at
                done += 1
            return [ends[i] for i in range(done)]
        finally:
            PyMem_Free(ends)

    def read(self, uint32_t stream, uint64_t offset, uint64_t size):
        """A window of a stream; shorter where the stream ends."""
        cdef uint64_t whole = self._plain(stream).size
        out = bytearray(min(size, whole - offset) if offset < whole else 0)
        self.read_into(stream, offset, out)
        return bytes(out)

    def read_into(self, uint32_t stream, uint64_t offset, buffer):
        """Fills `buffer` from byte `offset` of a stream; how many bytes there were."""
        cdef Stream *row = self._plain(stream)
        cdef unsigned char[::1] out = buffer
        cdef uint64_t size
        cdef int code
        if offset >= row.size or out.shape[0] == 0:
            return 0
        size = min(<uint64_t> out.shape[0], row.size - offset)
        if row.flags & BY_LIBRARY:
            data = self._library(stream)
            memcpy(&out[0], <const char *> data + offset, size)
        elif row.flags & RESIDENT:
            memcpy(&out[0], self.tree.pool + row.first_run + offset, size)
        else:
            with nogil:
                code = self._window(self.tree.runs + row.first_run, row.run_count, offset, size, &out[0])
            if code:
                self.device.check(code, "reading")
        return size

    def compact_size(self, uint32_t stream):
        """Bytes of a COMPACT stream as it lies on the volume (the stream WofCompressedData)."""
        return self._compact(stream)[0]

    def raw_compact(self, uint32_t stream, uint64_t offset=0, size=None):
        """A COMPACT stream as it lies on the volume; a window of it where `size` is given."""
        cdef uint32_t first, count, resident
        cdef int code = 0
        whole, first, count, resident = self._compact(stream)
        cdef uint64_t part = max(0, min(whole - offset, whole if size is None else size))
        out = bytearray(part)
        cdef unsigned char[::1] view = out
        if part == 0:
            return b""
        if resident:
            memcpy(&view[0], self.tree.pool + first + offset, part)
        else:
            with nogil:
                code = self._window(self.tree.runs + first, count, offset, part, &view[0])
        if code:
            self.device.check(code, "reading")
        return bytes(out)

    def _compact(self, uint32_t stream):
        cdef CompactPlace place
        self.tree._check(stream, self.tree.stream_count)
        cdef Stream *row = &self.tree.streams[stream]
        if not row.flags & COMPACT:
            raise NotOnVolume(stream=stream)
        memcpy(&place, self.tree.pool + row.first_run + row.run_count, sizeof(CompactPlace))
        return place.size, place.first, place.count, place.resident

    cdef Stream *_plain(self, uint32_t stream) except NULL:
        self.tree._check(stream, self.tree.stream_count)
        if self.tree.streams[stream].flags & (POINTER | COMPACT):
            raise NotOnVolume(stream=stream)
        return &self.tree.streams[stream]

    cdef bytes _library(self, uint32_t stream):
        """The whole stream; kept until another is read, for windows of one come one after the other."""
        kept = self._kept
        if kept is not None and kept[0] == stream:
            return kept[1]
        if self.by_library is None:
            raise NotOnVolume(stream=stream)
        data = bytes(self.by_library(stream))
        if len(data) != self.tree.streams[stream].size:
            raise WrongSize(stream=stream, expected=self.tree.streams[stream].size, found=len(data))
        self._kept = stream, data
        return data

    cdef uint64_t _fill_some(self, const uint32_t *streams, uint64_t first, uint64_t count, Batch *batch,
                             uint64_t *ends, int *code) noexcept nogil:
        """Reads until one is not plain, does not fit, or fails; which one."""
        cdef Stream *stream
        while first < count:
            if streams[first] >= self.tree.stream_count:
                break
            stream = &self.tree.streams[streams[first]]
            if stream.flags & (POINTER | COMPACT | BY_LIBRARY) or stream.size > batch.room - batch.at:
                break
            code[0] = self._whole(batch, stream)
            if code[0]:
                return first
            ends[first] = batch.at
            first += 1
        code[0] = self._flush(batch)
        return first

    cdef int _whole(self, Batch *batch, const Stream *stream) noexcept nogil:
        """One stream to the end of the batch."""
        cdef uint64_t left = stream.size, part
        cdef uint32_t i
        cdef int code
        cdef const Run *run
        if left == 0:
            return 0
        if stream.flags & RESIDENT:
            code = self._flush(batch)
            memcpy(batch.buffer + batch.at, self.tree.pool + stream.first_run, left)
            batch.at += left
            return code
        run = self.tree.runs + stream.first_run
        if stream.run_count == 1 and run.lcn != HOLE and run.clusters:
            return self._add(batch, run.lcn * self.tree.cluster_size, left)
        if run[stream.run_count - 1].clusters:
            for i in range(stream.run_count):
                if run[i].lcn == HOLE:
                    break
            else:
                for i in range(stream.run_count):
                    part = min(left, run[i].clusters * self.tree.cluster_size)
                    code = self._add(batch, run[i].lcn * self.tree.cluster_size, part) if part else 0
                    if code:
                        return code
                    left -= part
                return 0
        code = self._flush(batch)       # holes, or zeros at its end
        if code == 0:
            code = self._window(run, stream.run_count, 0, left, batch.buffer + batch.at)
        batch.at += left
        return code

    cdef int _add(self, Batch *batch, uint64_t place, uint64_t size) noexcept nogil:
        """A piece of a stream: with what is pending if it lies close behind that and there is room for the gap."""
        cdef int code
        cdef Piece *piece
        if batch.count and (batch.count == PIECES or place < batch.place + batch.size
                            or place - (batch.place + batch.size) > NEAR
                            or place - batch.place + size > batch.room - batch.start):
            code = self._flush(batch)
            if code:
                return code
        if batch.count == 0:
            batch.place = place
            batch.start = batch.at
        piece = &batch.pieces[batch.count]
        batch.count += 1
        piece.inside = place - batch.place
        piece.size = size
        piece.target = batch.at
        batch.size = piece.inside + size
        batch.at += size
        return 0

    cdef int _flush(self, Batch *batch) noexcept nogil:
        """Reads what is pending, then moves its pieces over the gaps between them."""
        cdef uint32_t i
        cdef int code
        cdef Piece *piece
        if batch.count == 0:
            return 0
        code = self.device.read(batch.buffer + batch.start, <int64_t> batch.size, <int64_t> batch.place)
        for i in range(batch.count):
            piece = &batch.pieces[i]
            if piece.target != batch.start + piece.inside:
                memmove(batch.buffer + piece.target, batch.buffer + batch.start + piece.inside, piece.size)
        batch.count = 0
        return code

    cdef int _window(self, const Run *runs, uint32_t count, uint64_t offset, uint64_t size,
                     uint8_t *buffer) noexcept nogil:
        """Part of a stream that lies in clusters: zeros in holes and behind its initialized bytes."""
        cdef uint64_t written = size
        cdef Cursor cursor
        memset(&cursor, 0, sizeof(Cursor))
        if count and runs[count - 1].clusters == 0:
            written = min(size, runs[count - 1].lcn - offset) if offset < runs[count - 1].lcn else 0
            memset(buffer + written, 0, size - written)
        return read_runs(self.device, runs, count, self.tree.cluster_size, &cursor, offset, written, buffer)
