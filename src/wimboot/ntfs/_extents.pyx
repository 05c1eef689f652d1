"""Run lists and reading along them; see `_extents.pxd`."""

from libc.errno cimport EIO
from libc.string cimport memset

cdef extern from *:
    """
    #define WIMBOOT_MOST_CLUSTERS ((uint64_t) 1 << 41)
    """
    const uint64_t MOST_CLUSTERS "WIMBOOT_MOST_CLUSTERS"    # times 2 MiB, the largest cluster, still fits 63 bits


cdef int64_t decode_runs(const uint8_t *pairs, const uint8_t *end, uint64_t limit, Run *runs, uint64_t *clusters,
                         uint64_t *occupied) noexcept nogil:
    cdef uint64_t total = 0, used = 0, length, delta, lcn = 0
    cdef uint32_t count = 0
    cdef int length_size, offset_size, i
    while pairs < end and pairs[0]:
        length_size = pairs[0] & 15
        offset_size = pairs[0] >> 4
        if length_size == 0 or length_size > 8 or offset_size > 8 or end - pairs < 1 + length_size + offset_size:
            return -1
        pairs += 1
        length = 0
        for i in range(length_size):
            length |= <uint64_t> pairs[i] << 8 * i
        pairs += length_size
        if length == 0 or length > MOST_CLUSTERS - total:
            return -1
        total += length
        if offset_size:
            delta = 0
            for i in range(offset_size):
                delta |= <uint64_t> pairs[i] << 8 * i
            if offset_size < 8 and pairs[offset_size - 1] & 0x80:
                delta |= <uint64_t> -1 << 8 * offset_size
            pairs += offset_size
            lcn += delta
            if lcn >= limit or length > limit - lcn:
                return -1
            used += length
            if count and runs[count - 1].lcn != HOLE and runs[count - 1].lcn + runs[count - 1].clusters == lcn:
                runs[count - 1].clusters += length
                continue
            runs[count].lcn = lcn
        else:
            runs[count].lcn = HOLE
        runs[count].clusters = length
        count += 1
    clusters[0] = total
    occupied[0] = used
    return count


cdef int read_runs(Device device, const Run *runs, uint32_t count, uint64_t cluster_size, Cursor *cursor,
                   uint64_t offset, uint64_t size, uint8_t *buffer) noexcept nogil:
    cdef uint64_t length, part
    cdef int code
    while size:
        if cursor.run >= count:
            return EIO
        length = runs[cursor.run].clusters * cluster_size
        if offset - cursor.start >= length:
            cursor.start += length
            cursor.run += 1
            continue
        part = min(size, length - (offset - cursor.start))
        if runs[cursor.run].lcn == HOLE:
            memset(buffer, 0, part)
        else:
            code = device.read(buffer, <int64_t> part,
                               <int64_t> (runs[cursor.run].lcn * cluster_size + (offset - cursor.start)))
            if code:
                return code
        buffer += part
        offset += part
        size -= part
    return 0
