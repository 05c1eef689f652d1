"""The disk inside a dynamic or differencing VHD (structures: `formats.vhdsparse`).

A block that the file does not hold reads as zeros, or as what the parent has there; of a differencing disk's block so
do the sectors that its bitmap leaves out. In a dynamic disk's block all sectors are here, whatever the bitmap says; it
is kept for readers who look.

Writing needs a transaction's overlay below. A write to an absent block puts a new block where the footer was and the
footer behind it, in one piece with zeros in the gap before it, so the file has no holes (Windows attaches no sparse
file). The data of a new block begins on 4 KiB, as Windows has it. What changes nothing, zeros where zeros are read,
allocates no block. A differencing disk takes 8 sectors over from its parent at once, one byte of the bitmap: libvhdi
(20260901) reads zeros for those that follow the last set bit of a byte.
One thread writes; any number may read while none writes. Bitmaps are loaded when first needed, under the interpreter's
lock.
"""

from libc.errno cimport EFBIG, EIO, ENOMEM, EROFS
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from wimboot.disk._placed cimport clear_free
from wimboot.errors import Internal

cdef enum:
    SECTOR = 512
    PAGE = 4096
    GROUP = 4096         # sectors that a differencing disk takes over together: those of one byte of the bitmap

cdef enum:
    UNUSED = 0xFFFFFFFF


cdef inline bint is_zero(const unsigned char *data, int64_t size) noexcept nogil:
    return size == 0 or (data[0] == 0 and memcmp(data, data + 1, size - 1) == 0)


cdef inline bint bit_of(const unsigned char *bits, int64_t number) noexcept nogil:
    return (bits[number >> 3] >> (7 - (number & 7))) & 1


cdef class SparseDisk(Device):
    """`size` bytes over `base`. `table` holds the block table's entries as they are checked already: no block leaves
    the file or shares a byte with anything. `parent` is None for a dynamic disk; else it has the same size.

    Writable where `base` is a transaction's overlay.
    """

    def __cinit__(self, Device base, Device parent, int64_t size, int64_t block_size, int64_t bitmap_size, table,
                  int64_t table_offset, bytes footer, int64_t footer_offset):
        cdef const unsigned int[::1] entries = table
        cdef int64_t i
        if parent is not None and parent.length != size:
            raise Internal(what="a parent of another size")
        self.base, self.parent, self.length = base, parent, size
        self.overlay = base if isinstance(base, Overlay) else None
        self.block_size, self.bitmap_size = block_size, bitmap_size
        while (<int64_t> 1) << self.shift < block_size:
            self.shift += 1
        self.blocks = (size + block_size - 1) >> self.shift
        if entries.shape[0] < self.blocks or len(footer) != SECTOR or (<int64_t> 1) << self.shift != block_size:
            raise Internal(what="a VHD's table is too short for its disk")
        self.table_offset, self.footer_offset = table_offset, footer_offset
        memcpy(self.footer, <const unsigned char *> footer, SECTOR)
        self.table = <uint32_t *> malloc(self.blocks * sizeof(uint32_t))
        self.bitmaps = <unsigned char **> calloc(self.blocks, sizeof(void *))
        self.whole = <unsigned char *> calloc(self.blocks, 1)
        if self.table == NULL or self.bitmaps == NULL or self.whole == NULL:
            raise MemoryError
        for i in range(self.blocks):
            self.table[i] = entries[i]

    def __dealloc__(self):
        cdef int64_t i
        if self.bitmaps != NULL:
            for i in range(self.blocks):
                free(self.bitmaps[i])
        free(self.bitmaps)
        free(self.table)
        free(self.whole)
        free(self.scratch)

    cpdef check(self, int code, str what):
        if self.parent_failed:
            self.parent.check(code, what)
        self.base.check(code, what)

    cdef int64_t place(self, int64_t block) noexcept nogil:
        # Where a block's data begins in the file.
        return <int64_t> self.table[block] * SECTOR + self.bitmap_size

    cdef int load_bitmap(self, int64_t block) noexcept nogil:
        # The bitmap of a block that is there; `whole` where it has no clear bit in the disk.
        cdef unsigned char *bits
        cdef int64_t i, count
        cdef int code
        if self.whole[block] or self.bitmaps[block] != NULL:
            return 0
        with gil:
            if self.whole[block] or self.bitmaps[block] != NULL:
                return 0
            bits = <unsigned char *> malloc(self.bitmap_size)
            if bits == NULL:
                return ENOMEM
            code = self.base.read(bits, self.bitmap_size, <int64_t> self.table[block] * SECTOR)
            if code:
                free(bits)
                return code
            count = min(self.block_size, self.length - (block << self.shift)) // SECTOR
            i = 0
            while i < count and bit_of(bits, i):
                i += 1
            if i == count:
                free(bits)
                self.whole[block] = 1
            else:
                self.bitmaps[block] = bits
        return 0

    # -- reading

    cdef int read_below(self, void *buffer, int64_t size, int64_t offset) noexcept nogil:
        # What is read where the file holds nothing.
        cdef int code
        if self.parent is None:
            memset(buffer, 0, size)
            return 0
        code = self.parent.read(buffer, size, offset)
        if code:
            self.parent_failed = True
        return code

    cdef int read_mixed(self, unsigned char *out, int64_t size, int64_t block, int64_t inside) noexcept nogil:
        cdef int64_t sector, part
        cdef bint here
        cdef int code = self.load_bitmap(block)
        if code:
            return code
        if self.whole[block]:
            return self.base.read(out, size, self.place(block) + inside)
        while size > 0:
            sector = inside // SECTOR
            here = bit_of(self.bitmaps[block], sector)
            part = min(size, SECTOR - inside % SECTOR)
            while part < size and bit_of(self.bitmaps[block], sector + 1) == here:
                part = min(size, part + SECTOR)
                sector += 1
            if here:
                code = self.base.read(out, part, self.place(block) + inside)
            else:
                code = self.read_below(out, part, (block << self.shift) + inside)
            if code:
                return code
            out += part
            inside += part
            size -= part
        return 0

    cdef int read(self, void *buffer, int64_t size, int64_t offset) noexcept nogil:
        cdef unsigned char *out = <unsigned char *> buffer
        cdef int64_t block, inside, part
        cdef int code
        if offset < 0 or size < 0:
            return EIO
        if offset >= self.length or size > self.length - offset:
            part = max(0, self.length - offset)
            memset(out + part, 0, size - part)
            size = part
        while size > 0:
            block = offset >> self.shift
            inside = offset & (self.block_size - 1)
            part = min(size, self.block_size - inside)
            if self.table[block] == UNUSED:
                code = self.read_below(out, part, offset)
            elif self.parent is None:
                code = self.base.read(out, part, self.place(block) + inside)
            else:
                code = self.read_mixed(out, part, block, inside)
            if code:
                return code
            out += part
            offset += part
            size -= part
        return 0

    # -- writing

    cdef int keep_edges(self, unsigned char *data, int64_t size, int64_t offset) noexcept nogil:
        # `data` stands for the whole groups of sectors around `size` bytes at `offset`: give its edges what is read
        # there
        cdef int64_t before = offset % GROUP
        cdef int64_t behind = -(offset + size) & (GROUP - 1)
        cdef int code = 0
        if before:
            code = self.read(data, before, offset - before)
        if behind and not code:
            code = self.read(data + before + size, behind, offset + size)
        return code

    cdef int mark(self, int64_t block, int64_t first, int64_t last) noexcept nogil:
        # Set the bits of sectors `first` to `last` (included) in the bitmap, here and in the file.
        cdef unsigned char *bits = self.bitmaps[block]
        cdef int64_t i
        cdef bint changed = False
        for i in range(first, last + 1):
            if not bit_of(bits, i):
                bits[i >> 3] |= <unsigned char> (0x80 >> (i & 7))
                changed = True
        if not changed:
            return 0
        return self.base.write(bits + (first >> 3), (last >> 3) - (first >> 3) + 1,
                               <int64_t> self.table[block] * SECTOR + (first >> 3))

    cdef int write_mixed(self, const unsigned char *data, int64_t size, int64_t block, int64_t inside) noexcept nogil:
        # Into a block that is there, whose bitmap may have clear bits.
        cdef int64_t start, end
        cdef unsigned char *groups
        cdef int code = self.load_bitmap(block)
        if code:
            return code
        if self.whole[block]:
            return self.base.write(data, size, self.place(block) + inside)
        if self.parent is None:
            code = self.base.write(data, size, self.place(block) + inside)
            return code if code else self.mark(block, inside // SECTOR, (inside + size - 1) // SECTOR)
        start = inside // GROUP * GROUP
        end = (inside + size + GROUP - 1) // GROUP * GROUP
        if start == inside and end == inside + size:
            code = self.base.write(data, size, self.place(block) + inside)
        else:
            groups = <unsigned char *> malloc(end - start)
            if groups == NULL:
                return ENOMEM
            code = self.keep_edges(groups, size, (block << self.shift) + inside)
            memcpy(groups + (inside - start), data, size)
            if not code:
                code = self.base.write(groups, end - start, self.place(block) + start)
            free(groups)
        return code if code else self.mark(block, start // SECTOR, end // SECTOR - 1)

    cdef int is_nothing_new(self, const unsigned char *data, int64_t size, int64_t offset) noexcept nogil:
        # 1 where zeros are to be written over what reads as zeros, 0 where not; minus an errno.
        cdef unsigned char *below
        cdef int code
        if not is_zero(data, size):
            return 0
        if self.parent is None:
            return 1
        below = <unsigned char *> malloc(size)
        if below == NULL:
            return -ENOMEM
        code = self.read_below(below, size, offset)
        code = -code if code else <int> is_zero(below, size)
        free(below)
        return code

    cdef int allocate(self, const unsigned char *data, int64_t size, int64_t block, int64_t inside) noexcept nogil:
        # A new block with `data` at `inside`: gap, bitmap, data and the footer behind it as one piece.
        cdef int64_t start, end, total, i, before
        cdef unsigned char entry[4]
        cdef unsigned char *at
        cdef uint32_t number
        cdef int code
        start = (self.footer_offset + self.bitmap_size + PAGE - 1) // PAGE * PAGE - self.bitmap_size
        end = start + self.bitmap_size + self.block_size
        total = end + SECTOR - self.footer_offset
        if start // SECTOR >= UNUSED:
            return EFBIG
        if self.scratch == NULL:
            self.scratch = <unsigned char *> malloc(PAGE + self.bitmap_size + self.block_size + SECTOR)
            if self.scratch == NULL:
                return ENOMEM
        memset(self.scratch, 0, total)
        at = self.scratch + (start - self.footer_offset)
        if self.parent is None:
            memset(at, 0xFF, self.bitmap_size)
        else:
            for i in range(inside // GROUP, (inside + size - 1) // GROUP + 1):
                at[i] = 0xFF
            before = inside % GROUP
            code = self.keep_edges(at + self.bitmap_size + inside - before, size, (block << self.shift) + inside)
            if code:
                return code
        memcpy(at + self.bitmap_size + inside, data, size)
        memcpy(self.scratch + total - SECTOR, self.footer, SECTOR)
        code = self.overlay.grow(end + SECTOR)
        if not code:
            code = self.base.write(self.scratch, total, self.footer_offset)
        if code:
            return code
        number = <uint32_t> (start // SECTOR)
        for i in range(4):
            entry[i] = (number >> (24 - 8 * i)) & 0xFF
        code = self.base.write(entry, 4, self.table_offset + 4 * block)
        if code:
            return code
        self.footer_offset = end
        self.table[block] = number
        if self.parent is None:
            self.whole[block] = 1
        return 0

    cdef int write_blocks(self, const unsigned char *data, int64_t size, int64_t offset) noexcept nogil:
        cdef int64_t block, inside, part
        cdef int code
        while size > 0:
            block = offset >> self.shift
            inside = offset & (self.block_size - 1)
            part = min(size, self.block_size - inside)
            if self.table[block] == UNUSED:
                code = self.is_nothing_new(data, part, offset)
                if code < 0:
                    return -code
                code = 0 if code else self.allocate(data, part, block, inside)
            elif self.whole[block]:
                code = self.base.write(data, part, self.place(block) + inside)
            else:
                code = self.write_mixed(data, part, block, inside)
            if code:
                return code
            data += part
            offset += part
            size -= part
        return 0

    cdef int write(self, const void *buffer, int64_t size, int64_t offset) noexcept nogil:
        cdef int code
        if offset < 0 or size < 0 or offset > self.length or size > self.length - offset:
            return EIO
        if self.overlay is None:
            return EROFS
        code = self.write_blocks(<const unsigned char *> buffer, size, offset)
        if code:
            self.overlay.spoil(code)
        return code

    cdef int flush(self) noexcept nogil:
        return self.base.flush()

    # -- what the transaction asks

    @property
    def head_size(self):
        """Bytes at the start of the file up to the end of the table."""
        return self.table_offset + 4 * self.blocks

    def mend(self):
        """Write the footer where it or its copy at the start of the file is broken. Raises HostError."""
        cdef int code = 0
        if self.head_is_broken:
            code = self.base.write(self.footer, SECTOR, 0)
        if self.tail_is_broken and not code:
            code = self.overlay.grow(self.footer_offset + SECTOR)
            if not code:
                code = self.base.write(self.footer, SECTOR, self.footer_offset)
        if code:
            self.check(code, "writing")
        self.head_is_broken = self.tail_is_broken = False

    def places(self, int64_t offset, int64_t size):
        """Where bytes of the disk lie in the file: (offset, size) pairs in their order; None where some are absent."""
        cdef int64_t block, inside, part
        found = []
        while size > 0:
            block = offset >> self.shift
            inside = offset & (self.block_size - 1)
            part = min(size, SECTOR - offset % SECTOR)
            if offset < 0 or block >= self.blocks or self.table[block] == UNUSED:
                return None
            if self.parent is not None:
                self.check(self.load_bitmap(block), "reading")
                if not self.whole[block] and not bit_of(self.bitmaps[block], inside // SECTOR):
                    return None
            found.append((self.place(block) + inside, part))
            offset += part
            size -= part
        return found

    def free_pages(self, int64_t start, int64_t unit_size, bytes bitmap, int64_t count):
        """The file's pages of 4 KiB that lie in free units of a volume at `start` of the disk, which was told as to
        `Transaction.set_free`: (a map with a bit a page, low bit first, clear where free; number of pages).
        """
        cdef int64_t pages = self.base.length // PAGE
        cdef const unsigned char *bits = bitmap
        cdef int64_t block
        if start < 0 or unit_size <= 0 or count < 0 or (count + 7) // 8 > len(bitmap) or start > self.length \
                or count > (self.length - start) // unit_size:
            raise Internal(what="the map of free clusters does not fit the disk")
        result = bytearray(b"\xff" * (pages // 8 + 1))
        cdef unsigned char[::1] out = result
        with nogil:
            for block in range(self.blocks):
                if self.table[block] != UNUSED:
                    clear_free(&out[0], pages, self.place(block), self.block_size, (block << self.shift) - start, bits,
                               unit_size, count)
        return bytes(result), pages
