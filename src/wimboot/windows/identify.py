r"""What Windows a volume holds, from its SOFTWARE and SYSTEM hives, else from the version of its kernel.

Keys and values (read from real hives of Windows 7, 8.1 and 10): in SOFTWARE
`Microsoft\Windows NT\CurrentVersion`; in SYSTEM `Select`, `Setup` and, in the default control set,
`Control\Windows`, `Control\ProductOptions`, `Control\Session Manager\Environment`, `Control\Nls\Language`,
`Control\MUI\UILanguages`, `services\Wof`.

`read` gives the bytes of a file of the volume by its path in any case, through pointers, or None.
"""

from __future__ import annotations

from dataclasses import field, replace
from enum import Enum
from locale import windows_locale
from typing import TYPE_CHECKING, Final, TypeAlias

from wimboot.errors import Damaged, HostError, Unsupported
from wimboot.formats.filetime import PER_SECOND, UNIX_EPOCH
from wimboot.formats.peversion import Machine, ProgramFile
from wimboot.formats.reglog import LogsUnusable
from wimboot.frozen import Frozen
from wimboot.registry import Hive
from wimboot.registry.controlsets import control_sets
from wimboot.registry.files import CONFIG_FOLDER, hives, load
from wimboot.windows.ramsystem import ram_services
from wimboot.windows.services import BOOT_START

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from wimboot.registry import Node

__all__ = [
    "MACHINES", "Architecture", "Overlay", "Read", "System", "UnknownWindows", "hives", "identify", "image_name",
    "looks_like_windows",
]

Read: TypeAlias = "Callable[[str], bytes | None]"

_KERNELS = ("\\Windows\\System32\\ntoskrnl.exe", "\\Windows\\System32\\kernel32.dll")
_DRIVERS = "\\Windows\\System32\\drivers\\"
_WINDOWS_11 = 22_000
_WINDOWS_10 = 10
_NAMES: Final = {(6, 0): "Vista", (6, 1): "7", (6, 2): "8", (6, 3): "8.1", (10, 0): "10"}
_WINDOWS_7_SP1 = (6, 1, 7601)


class UnknownWindows(Damaged):
    """A Windows is there, but nothing tells its version."""

    id = "unknown-windows"
    sentence = "a Windows is there, but its version cannot be read: {problem}"
    advice = "Check the volume with chkdsk in Windows; its registry or its kernel file is damaged."


class Architecture(Enum):
    """What the system's processors are; `number` as WIM's XML has it."""

    X86 = "x86"
    ARM = "arm"
    IA64 = "ia64"
    AMD64 = "amd64"
    ARM64 = "arm64"

    @property
    def number(self) -> int:
        """PROCESSOR_ARCHITECTURE_*."""
        return {"x86": 0, "arm": 5, "ia64": 6, "amd64": 9, "arm64": 12}[self.value]


MACHINES: Final[dict[int, Architecture]] = {
    Machine.X86: Architecture.X86, Machine.ARM: Architecture.ARM, Machine.ARM_NT: Architecture.ARM,
    Machine.IA64: Architecture.IA64, Machine.AMD64: Architecture.AMD64, Machine.ARM64: Architecture.ARM64,
}


class Overlay(Enum):
    """Which driver resolves pointers in this system."""

    INBOX = "wof"       # 8.1 Update and later
    ADDED = "wofadk"    # the driver of the Windows 10 ADK, for 7, 8 and 8.1
    NONE = "none"


class System(Frozen):
    """What is known of a Windows; empty or None where it is not."""

    product: str = ""
    edition: str = ""
    release: str = ""
    """Of Windows 10 and later, as "22H2"."""
    major: int = 0
    minor: int = 0
    build: int = 0
    service_pack: int = 0
    service_pack_build: int = 0
    architecture: Architecture | None = None
    languages: tuple[str, ...] = ()
    default_language: str = ""
    installed: int | None = None
    """FILETIME."""
    installation_type: str = ""
    product_type: str = ""
    product_suites: tuple[str, ...] = ()
    system_root: str = ""
    control_sets: tuple[int, ...] = ()
    """The default one first."""
    overlay: Overlay = Overlay.NONE
    ram_services: tuple[tuple[str, str], ...] = ()
    """What it starts that finds a disk in memory: "SVBus", "FiraDisk", "WinVBlock", each with the path of its file."""
    wimboot: bool = False
    """Setup\\WimBoot is set."""
    problems: tuple[str, ...] = field(default=())
    """Why something could not be read, a sentence each."""

    @property
    def version(self) -> str:
        """As "6.1"."""
        return f"{self.major}.{self.minor}"

    @property
    def name(self) -> str:
        """What to call it: its product, else by its version."""
        number = "11" if self.major == 10 and self.build >= _WINDOWS_11 else _NAMES.get((self.major, self.minor))
        return self.product or f"Windows {number or self.version}"

    @property
    def has_wof(self) -> bool:
        """Whether this system resolves pointers as it is."""
        return self.overlay is not Overlay.NONE


def looks_like_windows(exists: Callable[[str], bool]) -> bool:
    """Whether a volume has what every Windows has: its SYSTEM hive or its kernel."""
    return any(exists(path) for path in (f"{CONFIG_FOLDER}\\SYSTEM", *_KERNELS))


def image_name(system: System, now_local: datetime) -> str:
    """The name of the system's next image, "Win_6.1_201505101200"."""
    return f"Win_{system.version}_{now_local:%Y%m%d%H%M}"


def identify(read: Read) -> System | None:
    """The Windows of a volume; None where there is none. Raises UnknownWindows where nothing says which."""
    problems: list[str] = []
    system = System()
    software = _hive(read, "SOFTWARE", problems)
    if software is not None:
        system = _with(software, _read_software, system, "SOFTWARE", problems)
    hive = _hive(read, "SYSTEM", problems)
    if hive is not None:
        system = _with(hive, _read_system, system, "SYSTEM", problems)
        if system.overlay is not Overlay.NONE and read(f"{_DRIVERS}{system.overlay.value}.sys") is None:
            system = replace(system, overlay=Overlay.NONE)
        there = tuple(one for one in system.ram_services if read(one[1]) is not None)
        system = replace(system, ram_services=there)
    if not system.major or system.architecture is None:
        system = _read_kernel(read, system, problems)
    if system.major:
        return replace(system, problems=tuple(problems))
    if software is None and hive is None and not problems:
        return None
    raise UnknownWindows(problem=problems[0] if problems else "no hive and no kernel file says it")


def _hive(read: Read, name: str, problems: list[str]) -> bytes | None:
    """The bytes of a hive, as new as they can be had."""
    path = f"{CONFIG_FOLDER}\\{name}"
    replayed = None
    try:
        replayed = load(read, path)
    except LogsUnusable as error:
        problems.append(f"{name}: {error}")
        return read(path)
    except (Damaged, HostError, Unsupported) as error:
        problems.append(f"{name}: {error}")
    return replayed.data if replayed else None


def _with(data: bytes, reader: Callable[[Node, System], System], system: System, name: str,
          problems: list[str]) -> System:
    """What `reader` finds in a hive; the system as it was where the hive is damaged."""
    try:
        with Hive(data) as hive:
            return reader(hive.root, system)
    except (Damaged, HostError, Unsupported) as error:
        problems.append(f"{name}: {error}")
        return system


def _read_software(root: Node, system: System) -> System:
    key = root.find("Microsoft\\Windows NT\\CurrentVersion")
    if key is None:
        return system
    major, minor = key.number("CurrentMajorVersionNumber"), key.number("CurrentMinorVersionNumber")
    if major is None or minor is None:      # before 10; 10 itself still says 6.3 there
        major, minor = _version(key.text("CurrentVersion"))
    lab = (key.text("BuildLabEx") or key.text("BuildLab") or "").split(".")
    build = _number(key.text("CurrentBuild")) or _number(key.text("CurrentBuildNumber")) or _number(lab[0])
    product = _told(key, "ProductName")
    if build >= _WINDOWS_11 and major == 10:
        product = product.replace("Windows 10", "Windows 11", 1)    # its registry never learnt the new name
    seconds = key.number("InstallDate")
    return replace(system, product=product, edition=_told(key, "EditionID"), release=_release(key, major),
                   major=major, minor=minor, build=build, architecture=_lab_architecture(lab),
                   service_pack=_number((key.text("CSDVersion") or "").rpartition(" ")[2]),
                   installed=UNIX_EPOCH + seconds * PER_SECOND if seconds else None,
                   installation_type=_told(key, "InstallationType"), system_root=_told(key, "SystemRoot"))


def _release(key: Node, major: int) -> str:
    """Windows 10 was first counted by year and month, since 20H2 by half-years beside a number that stays."""
    return (_told(key, "DisplayVersion") or _told(key, "ReleaseId")) if major >= _WINDOWS_10 else ""


def _read_system(root: Node, system: System) -> System:
    setup = root.child("Setup")
    if setup is not None:
        system = replace(system, wimboot=setup.number("WimBoot") == 1)
    sets = control_sets(root)
    if not sets:
        return system
    default = sets[0][1]
    system = replace(system, control_sets=tuple(number for number, _ in sets), overlay=_overlay(default),
                     ram_services=ram_services(default))
    control = default.child("Control")
    return _read_control(control, system) if control is not None else system


def _read_control(control: Node, system: System) -> System:
    pack = _in(control, "Windows", "CSDVersion")
    pack_build = _in(control, "Windows", "CSDBuildNumber")
    options = control.child("ProductOptions")
    environment = control.find("Session Manager\\Environment")
    processor = (environment.text("PROCESSOR_ARCHITECTURE") or "").lower() if environment else ""
    known = {item.value: item for item in Architecture}
    languages, default = _languages(control)
    return replace(system, service_pack=system.service_pack if pack is None else pack >> 8 & 0xFF,
                   service_pack_build=pack_build or 0,
                   product_type=_told(options, "ProductType"),
                   product_suites=tuple(map(_plain, options.texts("ProductSuite"))) if options else (),
                   architecture=known.get(processor, system.architecture),
                   languages=languages, default_language=default)


def _overlay(control_set: Node) -> Overlay:
    """The driver that the control set starts at boot."""
    for overlay in (Overlay.INBOX, Overlay.ADDED):
        service = control_set.find(f"services\\{overlay.value}")
        if service is not None and service.number("Start") == BOOT_START:
            return overlay
    return Overlay.NONE


def _read_kernel(read: Read, system: System, problems: list[str]) -> System:
    """What is missing, from the machine and the version of the kernel's file."""
    for path in _KERNELS:
        try:
            data = read(path)
            program = ProgramFile.parse(data) if data is not None else None
        except (Damaged, HostError, Unsupported) as error:
            problems.append(f"{path}: {error}")
            continue
        if program is None or (program.version is None and not system.major):
            continue
        system = replace(system, architecture=system.architecture or MACHINES.get(program.machine))
        if program.version is None or system.major:
            return system
        major, minor, build, _ = program.version.file
        pack = system.service_pack or int((major, minor, build) == _WINDOWS_7_SP1)
        return replace(system, major=major, minor=minor, build=build, service_pack=pack)
    return system


def _told(key: Node | None, name: str) -> str:
    """A string to be shown or recorded; empty where there is none."""
    return _plain((key.text(name) if key is not None else None) or "")


def _plain(text: str) -> str:
    """At most a line of what can be printed and stand in XML."""
    return "".join(character for character in text[:256] if character.isprintable())


def _in(key: Node, path: str, name: str) -> int | None:
    found = key.find(path)
    return found.number(name) if found else None


def _version(text: str | None) -> tuple[int, int]:
    major, _, minor = (text or "").partition(".")
    return _number(major), _number(minor)


def _number(text: str | None) -> int:
    """A decimal number, 0 for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 9 else 0


def _lab_architecture(lab: list[str]) -> Architecture | None:
    """The third part of "7601.17514.amd64fre.win7sp1_rtm.101119-1850"."""
    kind = lab[2].removesuffix("fre").removesuffix("chk") if len(lab) > 2 else ""
    return next((item for item in Architecture if item.value == kind), None)


def _languages(control: Node) -> tuple[tuple[str, ...], str]:
    """The languages installed ("en-US") and that of the installation, which comes first."""
    language = control.find("Nls\\Language")
    number = _hexadecimal(language.text("InstallLanguage")) if language else None
    installed = control.find("MUI\\UILanguages")
    names = {_plain(node.name): node.number("LCID") for node in installed.children()} if installed else {}
    default = next((name for name, lcid in names.items() if number is not None and lcid == number), "")
    if not default and number is not None:
        default = windows_locale.get(number, "").replace("_", "-")
    default = default or next(iter(names), "")
    return ((default,) if default else ()) + tuple(name for name in names if name != default), default


def _hexadecimal(text: str | None) -> int | None:
    try:
        return int(text or "", 16)
    except ValueError:
        return None
