r"""QEMU starts a disk of ours, in software, and boot code of our own tells over the serial line where it was reached.

The code is two small real-mode programs in GNU assembler, a master boot record's and a volume boot record's. They do
what Windows' own do: the first finds the active partition and loads its first sector, the second trusts the BPB that it
lies in. The second then reports what it sees, and whether reading by the BPB's hidden sectors and by the partition
entry's cylinder, head and sector both lead back to itself.

`put_boot_code` writes them around what describes the disk and the volume; none of our code takes part.
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mounting import UTF_8

__all__ = ["Start", "boot_code_files", "put_boot_code", "start_disk"]

_MBR = r"""
    .code16
start:
    cli
    xorw %ax, %ax
    movw %ax, %ss
    movw $0x7c00, %sp
    movw %ax, %ds
    movw %ax, %es
    sti
    cld
    movw $0x7c00, %si           # out of the way of the sector that is loaded
    movw $0x0600, %di
    movw $256, %cx
    rep movsw
    ljmp $0, $(moved - start + 0x600)
moved:
    movw $0x7be, %si
    movw $4, %cx
look:
    testb $0x80, (%si)
    jnz found
    addw $16, %si
    loop look
    movb $'M', %al              # no active partition
    jmp give_up
found:
    movl 8(%si), %eax
    movl %eax, (packet - start + 0x600 + 8)
    pushw %si
    movw $(packet - start + 0x600), %si
    movb $0x42, %ah
    int $0x13
    popw %si
    movb $'R', %al              # it cannot be read
    jc give_up
    movb $'S', %al              # it is no boot sector
    cmpw $0xaa55, 0x7dfe
    jne give_up
    ljmp $0, $0x7c00
give_up:
    movw $0x3f8, %dx
    outb %al, %dx
    movw $0xf4, %dx
    outb %al, %dx
stay:
    jmp stay
packet:
    .byte 16, 0
    .word 1, 0x7c00, 0
    .quad 0
"""

_VBR = r"""
    .code16
    .org 0x54
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movb %dl, drive
    movw $entry, %di            # DS:SI is the entry that led here
    movw $16, %cx
    cld
    rep movsb
    movw $0x7c1c, %si           # hidden sectors, of the BPB
    movw $4, %cx
    call show
    movw $entry, %si
    movw $16, %cx
    call show
    movb $8, %ah                # geometry: last head, last sector and cylinder
    movb drive, %dl
    xorw %di, %di
    int $0x13
    movb %dh, geometry
    movw %cx, geometry + 1
    pushw %ds
    popw %es
    movw $geometry, %si
    movw $3, %cx
    call show
    movw $16, packet            # by the BPB's own word
    movw $1, packet + 2
    movl $0x9000, packet + 4
    movl 0x7c1c, %eax
    movl %eax, packet + 8
    movl $0, packet + 12
    movw $packet, %si
    movb $0x42, %ah
    movb drive, %dl
    int $0x13
    call same
    movw $0x9000, %di           # by the entry's cylinder, head and sector
    xorw %ax, %ax
    movw $256, %cx
    rep stosw
    movw $0x0201, %ax
    movw $0x9000, %bx
    movw entry + 2, %cx
    movb entry + 1, %dh
    movb drive, %dl
    int $0x13
    call same
    movb $'\n', %al
    call send
    movw $0xf4, %dx             # isa-debug-exit
    xorb %al, %al
    outb %al, %dx
stay:
    jmp stay

same:                           # Y where what was read is this sector
    movw $0x7c00, %si
    movw $0x9000, %di
    movw $256, %cx
    repe cmpsw
    movb $'Y', %al
    je send
    movb $'N', %al
    jmp send

show:                           # CX bytes at SI in hexadecimal, and a space
    lodsb
    pushw %ax
    shrb $4, %al
    call digit
    popw %ax
    andb $15, %al
    call digit
    loop show
    movb $' ', %al
    jmp send
digit:
    addb $'0', %al
    cmpb $'9', %al
    jbe send
    addb $39, %al
send:
    pushw %dx
    pushw %ax
    movw $0x3fd, %dx
busy:
    inb %dx, %al
    testb $0x20, %al
    jz busy
    popw %ax
    movw $0x3f8, %dx
    outb %al, %dx
    popw %dx
    ret

    .set drive, 0x7000          # outside, so that the sector stays what it is on the disk
    .set geometry, 0x7001
    .set entry, 0x7010
    .set packet, 0x7020
"""

_MBR_ROOM = 440
_BPB = slice(0x03, 0x54)
_SIGNATURE = b"\x55\xaa"
_PATIENCE = 120
"""Seconds; it takes two on an idle machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What the volume's boot code saw. `first_chs` and `last_chs` are of the partition's entry."""

    hidden_sectors: int
    active: bool
    type: int
    first_chs: tuple[int, int, int]
    last_chs: tuple[int, int, int]
    first_sector: int
    sectors: int
    heads: int
    sectors_per_track: int
    found_by_hidden_sectors: bool
    found_by_chs: bool

    def by_chs(self, place: tuple[int, int, int]) -> int:
        """The sector at a cylinder, head, sector of the disk's geometry as the BIOS tells it."""
        cylinder, head, sector = place
        return (cylinder * self.heads + head) * self.sectors_per_track + sector - 1


@lru_cache
def _assemble(source: str, origin: int) -> bytes:
    with tempfile.TemporaryDirectory(prefix="wimboot-boot-") as scratch:
        there = Path(scratch)
        (there / "code.s").write_text(source)
        for command in (["as", "--32", "-o", "code.o", "code.s"],
                        ["ld", "-m", "elf_i386", f"-Ttext={origin:#x}", "-e", "0", "--oformat", "binary", "-o",
                         "code.bin", "code.o"]):
            done = subprocess.run(command, cwd=there, env=UTF_8, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        return (there / "code.bin").read_bytes()


def master_boot_code() -> bytes:
    """The first 440 bytes of a disk."""
    code = _assemble(_MBR, 0x7C00)
    assert len(code) <= _MBR_ROOM
    return code.ljust(_MBR_ROOM, b"\0")


def volume_boot_code() -> bytes:
    """A boot sector with nothing where the volume is described."""
    code = _assemble(_VBR, 0x7C00)
    assert len(code) <= 510
    return b"\xeb\x52\x90" + bytes(0x51) + code[0x54:].ljust(510 - 0x54, b"\0") + _SIGNATURE


def boot_code_files(folder: Path) -> tuple[Path, Path]:
    """Both in files as a user has them: an MBR, and the first 16 sectors of an NTFS volume."""
    mbr, volume = folder / "mbr.bin", folder / "volume.bin"
    mbr.write_bytes(master_boot_code() + bytes(70) + _SIGNATURE)
    sector = bytearray(volume_boot_code())
    sector[3:11] = b"NTFS    "
    volume.write_bytes(sector + bytes(15 * 512))
    return mbr, volume


def put_boot_code(disk: Path, offset: int) -> None:
    """Write both into a raw image whose volume begins at byte `offset`."""
    with disk.open("r+b") as file:
        file.write(master_boot_code())
        file.seek(offset)
        sector = bytearray(volume_boot_code())
        sector[_BPB] = file.read(512)[_BPB]
        file.seek(offset)
        file.write(sector)


def start_disk(disk: Path, form: str = "raw") -> Start:
    """Start a machine from `disk` (of that QEMU format, left as it is) and listen. Raises AssertionError."""
    done = subprocess.run(
        ["qemu-system-x86_64", "-accel", "tcg", "-m", "32", "-nodefaults", "-no-user-config", "-display", "none",
         "-serial", "stdio", "-no-reboot", "-snapshot",
         "-drive", f"file={disk},format={form},if=none,id=disk", "-device", "ide-hd,drive=disk,bios-chs-trans=lba",
         "-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
        stdin=subprocess.DEVNULL, capture_output=True, env=UTF_8, timeout=_PATIENCE, check=False)
    said = done.stdout.decode("ascii", "replace")
    words = said.split()
    assert (done.returncode, len(words)) == (1, 4), f"QEMU ended with {done.returncode}: {said!r} {done.stderr!r}"
    return _parse(*words)


def _parse(hidden: str, entry: str, geometry: str, same: str) -> Start:
    status, first, kind, last, lba, count = struct.unpack("<B3sB3sII", bytes.fromhex(entry))
    last_head, sector_and_more, _ = bytes.fromhex(geometry)
    return Start(hidden_sectors=int.from_bytes(bytes.fromhex(hidden), "little"), active=status == 0x80, type=kind,
                 first_chs=_chs(first), last_chs=_chs(last), first_sector=lba, sectors=count, heads=last_head + 1,
                 sectors_per_track=sector_and_more & 63, found_by_hidden_sectors=same[0] == "Y",
                 found_by_chs=same[1] == "Y")


def _chs(packed: bytes) -> tuple[int, int, int]:
    head, sector, cylinder = packed
    return cylinder | (sector & 0xC0) << 2, head, sector & 63
