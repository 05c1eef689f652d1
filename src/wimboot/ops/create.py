"""Make a new disk with an empty NTFS volume on it, or a differencing VHD on another one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.disk import DECIDED, TableKind
from wimboot.errors import UsageError
from wimboot.events import Emit, Note
from wimboot.figures import told_size
from wimboot.ops.creating.bootcode import read_boot_code
from wimboot.ops.creating.child import MadeChild, make_child
from wimboot.ops.creating.making import made_of, make_disk, plan_disk
from wimboot.ops.creating.options import ChildOptions
from wimboot.ops.creating.shape import DiskForm, DiskShape, MadeDisk

if TYPE_CHECKING:
    from wimboot.ops.creating.options import CreateOptions

__all__ = ["BootCodeForGpt", "create"]


class BootCodeForGpt(UsageError):
    """Boot code that nothing would run."""

    id = "boot-code-for-gpt"
    sentence = "boot code is what a BIOS runs, and a BIOS starts no Windows from a GPT disk"
    advice = "Leave out --boot-code (UEFI needs none), or say --table mbr."


def create(options: CreateOptions | ChildOptions, emit: Emit) -> MadeDisk | MadeChild:
    """Make it; what fails or is interrupted leaves no file, and no file that is there is touched.

    With a dry run everything is checked and nothing written; the ids told are then examples.

    Raises BootCodeForGpt, BootCodeUnusable, BootCodeTwice, and what `make_disk` and `make_child` raise.
    """
    DECIDED.clear()
    if isinstance(options, ChildOptions):
        return make_child(options.path, options.parent, size=options.size, dry_run=options.dry_run, final=True,
                          folders=options.folders)
    shape = options.shape
    if options.boot_code:
        if shape.table is TableKind.GPT:
            raise BootCodeForGpt
        shape = replace(shape, boot_code=read_boot_code(options.boot_code, emit, folders=options.folders))
    free = options.folders(options.path.parent).free_size()
    if options.dry_run:
        made = made_of(options.path, shape, plan_disk(options.path, shape, folders=options.folders))
    else:
        made = make_disk(options.path, shape, emit, folders=options.folders, final=True)
    _tell(made, shape, free, emit)
    return made


def _tell(made: MadeDisk, shape: DiskShape, free: int, emit: Emit) -> None:
    """What the disk lacks, and what it will want."""
    missing = [what for what, there in (("before its table", made.boots_mbr), ("on its volume", made.boots_volume))
               if not there]
    if made.table.kind is TableKind.MBR and missing:
        emit(Note(id="no-boot-code", text=(
            f"There is no boot code {' or '.join(missing)}, which is Windows' own: a BIOS does not start this disk by "
            "itself. A boot entry on another disk (`wimboot boot`) and grub4dos need none; else give that of your "
            "own Windows with --boot-code.")))
    ending = made.path.suffix.removeprefix(".").casefold()
    if ending != made.form.value and any(ending == form.value for form in DiskForm):
        emit(Note(id="other-ending", warning=True, text=(
            f"{made.path.name} is a {made.form.value} disk: programs that go by the ending will not read it.")))
    if made.form not in (DiskForm.RAW, DiskForm.VHD) and not made.fixed:
        emit(Note(id="only-read-as-it-lies", text=(
            f"A {made.form.value} disk that grows is only read by the other verbs: where they are to write it, make it "
            "with --fixed, or make a VHD.")))
    if made.form in (DiskForm.VHD, DiskForm.VHDX) and not made.fixed and free < shape.size:
        emit(Note(id="disk-outgrows-host", text=(
            f"It may grow to {told_size(shape.size)}, and {told_size(free)} are free here. A Windows that starts from "
            "it claims them all at once, unless VirtualDiskExpandOnMount says otherwise.")))
