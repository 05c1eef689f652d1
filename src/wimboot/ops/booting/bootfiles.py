r"""The boot manager's files: from the system's own \Windows\Boot onto the system partition.

    \Windows\Boot\PCAT\bootmgr, bootnxt     \bootmgr, \BOOTNXT
    \Windows\Boot\PCAT\...                  \Boot\...                       memtest.exe, one folder a language
    \Windows\Boot\EFI\...                   \EFI\Microsoft\Boot\...         bootmgfw.efi, memtest.efi, languages
    \Windows\Boot\Fonts, Resources          \Boot\..., \EFI\Microsoft\Boot\...
    \Windows\Boot\EFI\bootmgfw.efi          \EFI\BOOT\BOOTX64.EFI           what UEFI starts from a disk it never saw

One boot manager starts every Windows that is not newer than itself, so that of the newest system stays. Where files are
there already they are replaced all together or not at all; files that are missing are added in either case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.errors import Damaged, FormatError, Refused
from wimboot.events import Emit, Note
from wimboot.formats.names import decode_name, fold_text
from wimboot.formats.peversion import Machine, ProgramFile
from wimboot.frozen import Frozen
from wimboot.ntfs.refusals import PointerUnread
from wimboot.ops.booting.options import BootFiles
from wimboot.ops.booting.partition import PartitionKind
from wimboot.tree import FileAttribute
from wimboot.windows.bcdentries import Firmware
from wimboot.windows.identify import Architecture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wimboot.ops.booting.systempartition import SystemPartition
    from wimboot.tree import Tree

__all__ = [
    "BootArchitecture",
    "BootFileDamaged",
    "BootFileSet",
    "FilesChange",
    "TooManyBootFiles",
    "Version",
    "boot_file_set",
    "renewed",
]

_SOURCE: Final = "\\Windows\\Boot"
_OWN: Final = {Firmware.BIOS: "PCAT", Firmware.UEFI: "EFI"}
_SHARED: Final = ("Fonts", "Resources")
_SPELT: Final = {firmware: (firmware.boot_manager, firmware.memory_tester, *more)
                 for firmware, more in ((Firmware.BIOS, ("\\BOOTNXT",)), (Firmware.UEFI, ()))}
"""What is looked for by its path, however the system spells it; and what lies elsewhere than the rest."""
_POINTER: Final = b""
_MAX_FILES: Final = 4096
_MAX_SIZE: Final = 512 << 20
_FALLBACK: Final[dict[int, str]] = {
    Machine.AMD64: "X64", Machine.X86: "IA32", Machine.ARM_NT: "ARM", Machine.ARM64: "AA64"}
_ARCHITECTURES: Final[dict[int, Architecture]] = {
    Machine.AMD64: Architecture.AMD64, Machine.X86: Architecture.X86, Machine.ARM_NT: Architecture.ARM,
    Machine.ARM64: Architecture.ARM64}

Version = tuple[int, int, int, int]


class BootArchitecture(Refused):
    """A boot manager for other processors."""

    id = "boot-architecture"
    sentence = "{path} of {where} is for {found} processors, and the system to be started is for {expected}"
    advice = "Take a system partition of its own for each kind of processor."


class BootFileDamaged(Damaged):
    """A boot manager that is no program."""

    id = "boot-file-damaged"
    sentence = "{path} of {where} is no sound program: {problem}"
    advice = "Nothing was changed. Mend the system first (sfc in Windows), or keep the boot files: --boot-files keep."


class TooManyBootFiles(Damaged):
    """A \\Windows\\Boot that is none."""

    id = "too-many-boot-files"
    sentence = "\\Windows\\Boot of {where} has over {count} files or {size} bytes"


class BootFileSet(Frozen):
    """The files of a system for one firmware: path on the system partition, and its stream on the system's volume."""

    firmware: Firmware
    where: str
    files: dict[str, int]
    read: Callable[[int], bytes]

    @property
    def complete(self) -> bool:
        """Whether the boot manager is among them."""
        return self.firmware.boot_manager in self.files

    def content(self, path: str) -> bytes | None:
        """The bytes of a file by its path on the system partition."""
        stream = self.files.get(path)
        return None if stream is None else self.read(stream)


class FilesChange(Frozen):
    """What happens to the boot files: `version` is the boot manager's that will be there, None where that is not known.

    `contents` are the files to be written; `replaced` says that older ones make room, `kept` that those there stay.
    """

    firmware: Firmware
    version: Version | None
    contents: dict[str, bytes]
    replaced: bool = False
    kept: bool = False
    memory_tester: bool = False


def boot_file_set(tree: Tree, read: Callable[[int], bytes], firmware: Firmware, where: str) -> BootFileSet:
    """The boot files that a system brings; `read` gives what a stream of its tree holds. Raises TooManyBootFiles."""
    folder, found, size = firmware.boot_folder, dict[str, int](), 0
    spelt = {fold_text(path.rpartition("\\")[2]): path for path in _SPELT[firmware]}
    for source in (_OWN[firmware], *_SHARED):
        for path, stream in _files(tree, f"{_SOURCE}\\{source}"):
            target = f"{folder}\\{source}\\{path}" if source in _SHARED else f"{folder}\\{path}"
            if source not in _SHARED:
                target = spelt.get(fold_text(path), target)
            found[target] = stream
            size += tree.stream(stream).size
            if len(found) > _MAX_FILES or size > _MAX_SIZE:
                raise TooManyBootFiles(where=where, count=_MAX_FILES, size=_MAX_SIZE)
    return BootFileSet(firmware=firmware, where=where, files=found, read=read)


def _files(tree: Tree, top: str) -> Iterator[tuple[str, int]]:
    """(path below it, stream) of each file with data below a folder."""
    node = tree.find(top)
    waiting = [(node, "")] if node >= 0 else []
    while waiting:
        folder, prefix = waiting.pop()
        for link in tree.children(folder):
            row = tree.link(link)
            path = prefix + decode_name(row.name)
            if tree.attributes(row.node) & FileAttribute.DIRECTORY:
                waiting.append((row.node, path + "\\"))
            elif (stream := tree.data_stream(row.node)) >= 0:
                yield path, stream


def renewed(files: BootFileSet, partition: SystemPartition, policy: BootFiles, architecture: Architecture | None,
            emit: Emit) -> FilesChange:
    """Which files have to be written. Raises BootArchitecture, BootFileDamaged, and what reading them raises."""
    firmware = files.firmware
    there = _present(partition, firmware.boot_manager)
    _check(files, there, partition.where, architecture)
    ours = _set_version(firmware, files.content, files.files)
    theirs = None if there is None else _set_version(firmware, lambda path: _present(partition, path),
                                                     _languages(partition, firmware))
    replace = there is not None and files.complete and (
        there == _POINTER or _is_to_replace(policy, ours, theirs, partition, emit))
    written = {}
    for path, stream in files.files.items():
        if replace and _present(partition, path) != (data := files.read(stream)):
            written[path] = data
        elif not replace and _is_lacking(partition, path):
            written[path] = files.read(stream)
    if firmware is Firmware.UEFI:
        written |= _fallback(files, partition, there, replace=replace)
    tester = firmware.memory_tester
    return FilesChange(firmware=firmware, version=theirs if there is not None and not replace else ours,
                       contents=written, replaced=replace, kept=there is not None and not replace,
                       memory_tester=tester in files.files or partition.exists(tester))


def _present(partition: SystemPartition, path: str) -> bytes | None:
    """A file of the system partition. Of a pointer a boot manager could not read anything: it counts as empty."""
    try:
        return partition.read(path)
    except PointerUnread:
        return _POINTER


def _is_lacking(partition: SystemPartition, path: str) -> bool:
    """Whether there is no such file, or a pointer, which only NTFS has."""
    if not partition.exists(path):
        return True
    return partition.kind is PartitionKind.NTFS and _present(partition, path) == _POINTER


def _is_to_replace(policy: BootFiles, ours: Version | None, theirs: Version | None, partition: SystemPartition,
                   emit: Emit) -> bool:
    if policy is not BootFiles.NEWEST:
        return policy is BootFiles.SYSTEM
    if ours is None or theirs is None:
        whose = "there" if theirs is None else "of the system"
        emit(Note(id="boot-version-unknown", text=(
            f"The version of the boot manager {whose} cannot be told: that on {partition.where} stays. Say "
            "--boot-files system where the system's is newer.")))
        return False
    return ours > theirs


def _check(files: BootFileSet, there: bytes | None, where: str, architecture: Architecture | None) -> None:
    """Both boot managers for UEFI are for the system's processors. For BIOS there is one kind."""
    if files.firmware is not Firmware.UEFI:
        return
    path = files.firmware.boot_manager
    own = files.content(path)
    machines = [] if own is None else [(_program(own, path, files.where).machine, files.where)]
    if there is not None and (machine := _machine(there)) is not None:
        machines.append((machine, where))
    for machine, place in machines:
        found = _ARCHITECTURES.get(machine)
        if architecture is not None and found is not architecture:
            raise BootArchitecture(path=path, where=place, expected=architecture.value,
                                   found=found.value if found is not None else f"unknown ({machine:#x})")


def _fallback(
    files: BootFileSet, partition: SystemPartition, there: bytes | None, *, replace: bool
) -> dict[str, bytes]:
    r"""\EFI\BOOT\BOOTX64.EFI, where there is none, or an older boot manager of Windows."""
    manager = files.content(files.firmware.boot_manager) if replace or there is None else there
    name = None if manager is None else _FALLBACK.get(_machine(manager) or 0)
    if manager is None or name is None:
        return {}
    fallback = f"\\EFI\\BOOT\\BOOT{name}.EFI"
    present = _present(partition, fallback)
    wanted = present is None or (replace and present == there and present != manager)
    return {fallback: manager} if wanted else {}


def _machine(data: bytes) -> int | None:
    """The machine that a program is for; None for what is no program."""
    try:
        return ProgramFile.parse(data).machine
    except FormatError:
        return None


def _program(data: bytes, path: str, where: str) -> ProgramFile:
    try:
        return ProgramFile.parse(data)
    except FormatError as error:
        raise BootFileDamaged(path=path, where=where, problem=str(error)) from error


def _set_version(firmware: Firmware, read: Callable[[str], bytes | None], paths: Iterable[str]) -> Version | None:
    """The version of a set: the boot manager's; that for BIOS is packed, and a file that comes with it tells."""
    others = [path for path in paths if fold_text(path).endswith("\\BOOTMGR.EXE.MUI")]
    beside = (firmware.memory_tester, *sorted(others)) if firmware is Firmware.BIOS else ()
    for path in (firmware.boot_manager, *beside):
        data = read(path)
        version = None if data is None else _program_version(data)
        if version is not None:
            return version
    return None


def _languages(partition: SystemPartition, firmware: Firmware) -> tuple[str, ...]:
    """Where the boot manager's texts may lie on a system partition."""
    folder = firmware.boot_folder
    return tuple(f"{folder}\\{each.name}\\bootmgr.exe.mui" for each in partition.list(folder) if each.is_folder)


def _program_version(data: bytes) -> Version | None:
    """The version that a program says it has; None for what is no program, or says nothing."""
    try:
        program = ProgramFile.parse(data)
    except FormatError:
        return None
    return None if program.version is None else program.version.file
