"""The structures of a VHD file, read and checked before anything is done with them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from wimboot.errors import FormatError, Refused, Unsupported
from wimboot.formats.vhdfooter import COOKIE, FOOTER_SIZE, MAX_DISK_SIZE, OLD_FOOTER_SIZE, SECTOR, DiskType, Footer
from wimboot.formats.vhdsparse import (
    MAX_LOCATOR_SIZE,
    SPARSE_HEADER_SIZE,
    Locator,
    SparseHeader,
    check_places,
    parse_table,
)
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from array import array

    from wimboot.storage import File

__all__ = ["Layout", "VhdKind", "VhdSaved", "is_vhd", "parent_id_of", "read_layout", "structures_of"]

_SPARSE_COOKIE = b"cxsparse"


class VhdKind(Unsupported):
    """A kind of VHD that nobody makes any more."""

    id = "vhd-kind"
    sentence = "{where} is a VHD of kind {kind:d}; fixed (2), dynamic (3) and differencing (4) ones can be used"
    advice = "Convert it first: qemu-img convert -O vpc -o subformat=dynamic,force_size=on {where} disk.vhd"


class VhdSaved(Refused):
    """A virtual machine has been paused on it."""

    id = "vhd-saved"
    sentence = "a virtual machine is saved on {where}: what it holds in memory is not on the disk yet"
    advice = "Start that machine and shut it down."


class Layout(Frozen):
    """What a VHD file says of itself. `header` and `table` are None for a fixed disk.

    `footer_offset` is where the footer is, or has to be. `head_problem` and `tail_problem` say what is wrong with the
    copy at the start and the footer at the end; at most one of them is not empty.
    """

    footer: Footer
    footer_offset: int
    header: SparseHeader | None = None
    table: array[int] | None = None
    head_problem: str = ""
    tail_problem: str = ""

    @property
    def kind(self) -> DiskType:
        return DiskType(self.footer.type)


def is_vhd(file: File) -> bool:
    """Whether a file has a VHD's footer, its copy, or the header behind that, be they sound or not."""
    size = file.size()
    tail = file.pread(max(0, size - FOOTER_SIZE), FOOTER_SIZE)
    head = file.pread(0, FOOTER_SIZE + len(_SPARSE_COOKIE))
    return (COOKIE in (tail[:8], tail[1:9], head[:8])) or head[FOOTER_SIZE:] == _SPARSE_COOKIE


def _find_footer(file: File) -> tuple[Footer | None, int, FormatError | None]:
    """The footer at the end, where it is, and what is wrong with it."""
    size = file.size()
    problem = None
    for length in (FOOTER_SIZE, OLD_FOOTER_SIZE):
        try:
            return Footer.parse(file.pread(max(0, size - length), length)), size - length, None
        except FormatError as error:
            problem = problem or error
    return None, 0, problem


def _find_copy(file: File) -> tuple[Footer | None, FormatError | None]:
    try:
        return Footer.parse(file.pread(0, FOOTER_SIZE)), None
    except FormatError as error:
        return None, error


def parent_id_of(file: File) -> bytes | None:
    """The unique id of the parent of a differencing disk; None for everything else, a damaged disk too."""
    footer = _find_footer(file)[0] or _find_copy(file)[0]
    if footer is None or footer.type != DiskType.DIFFERENCING:
        return None
    try:
        return SparseHeader.parse(file.pread(footer.data_offset, SPARSE_HEADER_SIZE)).parent_id
    except FormatError:
        return None


def read_layout(file: File, where: str) -> Layout:
    """Raises FormatError, VhdKind, VhdSaved, HostError."""
    footer, footer_offset, problem = _find_footer(file)
    if footer is not None and footer.type == DiskType.FIXED:
        _check_use(footer, where)
        if footer.size > footer_offset:
            raise FormatError("VHD footer", 48, f"a disk of {footer.size:,} bytes in a file of {file.size():,}")
        return Layout(footer=footer, footer_offset=footer_offset)
    copy, copy_problem = _find_copy(file)
    sound = footer or copy
    if sound is None:
        raise problem or FormatError("VHD footer", 0, "there is none")
    if footer is None and sound.type == DiskType.FIXED:
        raise problem or FormatError("VHD footer", 0, "it is lost")
    _check_use(sound, where)
    if footer is not None and copy is not None and footer != copy:
        if (footer.type, footer.size, footer.data_offset, footer.unique_id) != (
                copy.type, copy.size, copy.data_offset, copy.unique_id):
            raise FormatError("VHD footer", 0, "it and its copy at the start of the file tell of two different disks")
        copy_problem = FormatError("VHD footer", 0, "it differs from the one at the end of the file")
    return _read_sparse(file, sound, footer_offset, str(copy_problem or ""), str(problem or ""))


def _check_use(footer: Footer, where: str) -> None:
    if footer.type not in tuple(DiskType):
        raise VhdKind(where=where, kind=footer.type)
    if footer.saved:
        raise VhdSaved(where=where)


def _read_sparse(file: File, footer: Footer, footer_offset: int, head_problem: str, tail_problem: str) -> Layout:
    """The rest of a dynamic or differencing disk; `footer_offset` counts where the footer at the end is sound."""
    size = file.size()
    if footer.size > MAX_DISK_SIZE:
        raise FormatError("VHD footer", 48, f"a dynamic disk of {footer.size:,} bytes")
    if not FOOTER_SIZE <= footer.data_offset <= size - SPARSE_HEADER_SIZE:
        raise FormatError("VHD footer", 16, f"the header is not in the file, at byte {footer.data_offset:,}")
    header = SparseHeader.parse(file.pread(footer.data_offset, SPARSE_HEADER_SIZE))
    if header.entries < -(-footer.size // header.block_size):
        raise FormatError("VHD header", 28, f"{header.entries:,} blocks are too few for {footer.size:,} bytes")
    if header.table_offset + header.table_size > size:
        raise FormatError("VHD header", 16, "the table is not in the file")
    others = _structures(footer, header)
    for one, two in pairwise(sorted(others)):
        if one[0] + one[1] > two[0]:
            raise FormatError("VHD header", 16, f"two structures share the bytes from {two[0]} on")
    if footer.type == DiskType.DIFFERENCING:
        others += [_locator_place(locator, number, size) for number, locator in enumerate(header.locators)]
    table = parse_table(file.pread(header.table_offset, header.table_size), header.entries)
    end = check_places(table, header.block_size, others, size if tail_problem else footer_offset)
    if tail_problem:
        end = max(end, size - FOOTER_SIZE, *(offset + length for offset, length in others))
        footer_offset = -(-end // SECTOR) * SECTOR
    return Layout(footer=footer, footer_offset=footer_offset, header=header, table=table, head_problem=head_problem,
                  tail_problem=tail_problem)


def _structures(footer: Footer, header: SparseHeader) -> list[tuple[int, int]]:
    return [(0, FOOTER_SIZE), (footer.data_offset, SPARSE_HEADER_SIZE), (header.table_offset, header.table_size)]


def structures_of(layout: Layout) -> list[tuple[int, int]]:
    """What a dynamic or differencing disk holds besides blocks and the last footer, as offset and size; with the room
    that a parent's place has, whether that is told in sectors or in bytes.
    """
    if layout.header is None:
        return []
    found = _structures(layout.footer, layout.header)
    if layout.kind is DiskType.DIFFERENCING:
        found += [(one.offset, max(one.length, min(one.space, MAX_LOCATOR_SIZE)))
                  for one in layout.header.locators if any(one.kind) and one.length]
    return [(offset, -(-(offset + size) // SECTOR) * SECTOR - offset) for offset, size in found]


def _locator_place(locator: Locator, number: int, file_size: int) -> tuple[int, int]:
    """What a locator occupies. Raises FormatError where that is not in the file."""
    if not any(locator.kind) or not locator.length:
        return 0, 0
    if locator.length > MAX_LOCATOR_SIZE or locator.offset > file_size - locator.length:
        raise FormatError("VHD header", 576 + 24 * number, "the parent's place is not in the file")
    return locator.offset, locator.length
