"""Which overlay driver a system gets: the one it has, the one that was named, or one that lies beside the WIM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from wimboot.errors import Refused
from wimboot.events import Emit, Note
from wimboot.ops.opening.inside import read_beside
from wimboot.storage import read_start
from wimboot.windows.driverfile import MAX_DRIVER_SIZE, WOFADK_NAME, Driver, overlay_driver, read_driver
from wimboot.windows.identify import Architecture

if TYPE_CHECKING:
    from wimboot.windows.identify import System

__all__ = ["NO_DRIVER", "DriverNeeded", "DriverTooLarge", "choose_driver", "read_driver_file"]

NO_DRIVER: Final = "none"
_WINDOWS_7: Final = (6, 1)


class DriverNeeded(Refused):
    """A Windows that cannot start from pointers as it is."""

    id = "driver-needed"
    sentence = "{where} holds {product}, which has no overlay driver of its own and could not start from pointers"
    advice = (
        "Give wofadk.sys of the Windows 10 ADK (folder DISM of its Deployment Tools, the one for {architecture}) with "
        "--driver, or put it beside the WIM: it is installed then. If you install it yourself, say --driver none; the "
        "system will not start until you have."
    )


class DriverTooLarge(Refused):
    """A file that no driver is as large as."""

    id = "driver-too-large"
    sentence = "{driver} has over {limit} bytes, more than any driver"
    advice = "Name the .sys file itself."


def choose_driver(system: System | None, driver: str | None, wim: Path, *, where: str, emit: Emit,
                  own: bytes | None = None) -> Driver | None:
    """The overlay driver to be installed; None where none is needed, or the user sees to it.

    `driver` is what the user named; `own` the driver that the volume had so far.

    Raises DriverNeeded where there is none, and what `read_driver`, `overlay_driver` raise for one that will not do.
    """
    if system is None:
        return None
    if system.has_wof:
        if driver not in (None, NO_DRIVER):
            text = f"{system.name} has an overlay driver: {driver} is not installed."
            emit(Note(id="driver-not-needed", text=text))
        return None
    if driver == NO_DRIVER:
        emit(Note(id="no-driver", warning=True, text=(
            f"{system.name} has no overlay driver: it will not start from its pointers until you have installed "
            "wofadk.sys as a boot-start driver (service WofAdk).")))
        return None
    found = _found(driver, wim, own)
    if found is None:
        architecture = "its architecture" if system.architecture is None else system.architecture.value
        raise DriverNeeded(where=where, product=system.name, architecture=architecture)
    chosen = overlay_driver(read_driver(*found), system, where)
    _tell(chosen, system, emit)
    return chosen


def read_driver_file(path: Path) -> bytes:
    """A driver file of the host. Raises HostError, DriverTooLarge."""
    data = read_start(path, MAX_DRIVER_SIZE + 1)
    if len(data) > MAX_DRIVER_SIZE:
        raise DriverTooLarge(driver=path, limit=MAX_DRIVER_SIZE)
    return data


def _found(driver: str | None, wim: Path, own: bytes | None) -> tuple[bytes, str] | None:
    """The bytes of a driver, and what to call it."""
    if driver is not None:
        return read_driver_file(Path(driver)), driver
    if own is not None:
        return own, f"the volume's own {WOFADK_NAME}"
    inside = read_beside(wim, WOFADK_NAME, MAX_DRIVER_SIZE + 1)
    if inside is not None:
        if len(inside[0]) > MAX_DRIVER_SIZE:
            raise DriverTooLarge(driver=inside[1], limit=MAX_DRIVER_SIZE)
        return inside
    beside = wim.absolute().parent / WOFADK_NAME
    return (read_driver_file(beside), str(beside)) if beside.is_file() else None


def _tell(driver: Driver, system: System, emit: Emit) -> None:
    """What the user should know of a driver that Windows may still refuse."""
    signature = driver.file.signature
    if ((system.major, system.minor) == _WINDOWS_7 and system.architecture is Architecture.AMD64
            and signature is not None and signature.algorithm != "sha1"):
        emit(Note(id="sha2-needed", text=(
            f"{driver.file.where} is signed with SHA-2: a 64-bit Windows 7 takes it with update KB3033929 (or a later "
            "one that has it), and without it stops with 0xc0000428.")))
