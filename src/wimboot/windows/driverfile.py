r"""Driver files that users give: what they are, and whether the Windows they are meant for would take them.

Of the overlay driver for Windows 7 and 8 is known: Microsoft's own, from the Deployment and Imaging tools of the
Windows 10 ADK (folder DISM of each architecture), called wofadk.sys, the same driver as wof.sys, so it names the table
of data sources, WimOverlay, in its text. Its signature has a hash of SHA-2, which a Windows 7 of 64 bits checks since
KB3033929. A driver of 64 bits without a good signature stops the start (0xC0000428).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.errors import Damaged, FormatError, Refused
from wimboot.formats.authenticode import Signature, read_signature
from wimboot.formats.peversion import ProgramFile
from wimboot.frozen import Frozen
from wimboot.windows.identify import MACHINES
from wimboot.windows.services import WOFADK, Service

if TYPE_CHECKING:
    from wimboot.windows.identify import Architecture, System
    from wimboot.windows.rootdevice import RootDevice

__all__ = [
    "MAX_DRIVER_SIZE", "WOFADK_NAME", "Driver", "DriverAltered", "DriverArchitecture", "DriverFile", "DriverUnknown",
    "DriverUnsigned", "NotADriver", "check_architecture", "overlay_driver", "read_driver",
]

MAX_DRIVER_SIZE: Final = 16 << 20
WOFADK_NAME: Final = "wofadk.sys"
_OWN_NAMES: Final = frozenset({WOFADK_NAME, "wof.sys"})
_NATIVE: Final = 1
_DRIVER: Final = 3
_MARK: Final = "WimOverlay".encode("utf-16-le")
_MAKER: Final = "Microsoft"


class NotADriver(Damaged):
    """A file that Windows could not load as a driver."""

    id = "not-a-driver"
    sentence = "{driver} is no driver for Windows: {problem}"
    advice = "Take the file from where its maker gives it, and compare its size and hash."


class DriverAltered(Damaged):
    """A signed file that is not what was signed."""

    id = "driver-altered"
    sentence = "{driver} was changed or cut after it was signed: its {algorithm} is not the one in its signature"
    advice = "Windows would refuse it (0xC0000428). Take a good copy of the file."


class DriverUnsigned(Refused):
    """A file without a signature, where Windows demands one."""

    id = "driver-unsigned"
    sentence = "{driver} has no signature"
    advice = "Take the file as its maker gives it: Microsoft's are signed, and a 64-bit Windows takes no others."


class DriverArchitecture(Refused):
    """A driver for other processors."""

    id = "driver-architecture"
    sentence = "{driver} is a driver for {found}, and {where} holds a Windows for {wanted}"
    advice = "Take the file for that architecture; the ADK has one folder for each."


class DriverUnknown(Refused):
    """A driver that is not the one that is needed, or that nothing is known of."""

    id = "driver-unknown"
    sentence = "{driver} is not a driver known here: {problem}"
    advice = (
        "wofadk.sys is in the DISM folder of the Windows 10 ADK's Deployment Tools; SVBus, FiraDisk and WinVBlock come "
        "with an INF, which --inf names."
    )


class DriverFile(Frozen):
    """A driver file that was looked at. `original` and `maker` are its own words; `signature` None: it has none."""

    where: str
    data: bytes
    program: ProgramFile
    signature: Signature | None
    original: str
    maker: str

    @property
    def version(self) -> str:
        """As "10.0.10240.16384", empty where it does not say."""
        fixed = self.program.version
        return "" if fixed is None else ".".join(map(str, fixed.file))


class Driver(Frozen):
    r"""What is to be installed: a file under \Windows\System32\drivers, and its service."""

    file_name: str
    file: DriverFile
    service: Service
    device: RootDevice | None = None
    """Which it drives, where Windows would not find that by itself."""


def read_driver(data: bytes, where: str) -> DriverFile:
    """Look at a driver file. Raises NotADriver, DriverAltered."""
    try:
        program = ProgramFile.parse(data)
        strings = program.version.strings() if program.version is not None else {}
        signature = read_signature(data)
    except FormatError as error:
        raise NotADriver(driver=where, problem=str(error)) from error
    if program.subsystem != _NATIVE and (program.version is None or program.version.file_type != _DRIVER):
        raise NotADriver(driver=where, problem="it is a program or a library")
    if signature is not None and not signature.fits:
        raise DriverAltered(driver=where, algorithm=signature.algorithm)
    return DriverFile(where=where, data=data, program=program, signature=signature,
                      original=strings.get("OriginalFilename", ""), maker=strings.get("CompanyName", ""))


def check_architecture(file: DriverFile, wanted: Architecture | None, where: str) -> None:
    """Raises DriverArchitecture; also where the system's is not known, for a wrong one keeps it from starting."""
    found = MACHINES.get(file.program.machine)
    if found is None or found is not wanted:
        raise DriverArchitecture(
            driver=file.where, where=where, wanted="an unknown architecture" if wanted is None else wanted.value,
            found=f"machine {file.program.machine:#06x}" if found is None else found.value,
        )


def overlay_driver(file: DriverFile, system: System, where: str) -> Driver:
    """The overlay driver for a system that has none.

    Raises DriverUnknown, DriverUnsigned, DriverArchitecture.
    """
    named = file.original.lower().removesuffix(".mui")
    if file.program.version is None or not any(file.program.version.file):
        raise DriverUnknown(driver=file.where, problem="it has no version resource")
    if named not in _OWN_NAMES and _MARK not in file.data:
        raise DriverUnknown(driver=file.where, problem=f"it says to be {file.original or 'nothing'}, not {WOFADK_NAME}")
    if not file.maker.startswith(_MAKER):
        raise DriverUnknown(driver=file.where, problem=f"its maker is {file.maker or 'not told'}, not {_MAKER}")
    if file.signature is None:
        raise DriverUnsigned(driver=file.where)
    check_architecture(file, system.architecture, where)
    return Driver(file_name=WOFADK_NAME, file=file, service=WOFADK)
