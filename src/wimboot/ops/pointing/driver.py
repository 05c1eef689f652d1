"""Whether the Windows on a volume can read pointers. Installing a driver is a later step; until then it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import Refused
from wimboot.events import Emit, Note

if TYPE_CHECKING:
    from wimboot.windows.identify import System

__all__ = ["DriverNeeded", "DriverNotInstalled", "check_driver"]

NONE = "none"


class DriverNeeded(Refused):
    """A Windows that cannot start from pointers as it is."""

    id = "driver-needed"
    sentence = "{where} holds {product}, which has no overlay driver of its own and could not start from pointers"
    advice = (
        "Such a Windows needs wofadk.sys as a boot-start driver. If you install it yourself, say --driver none; "
        "the system will not start until you have."
    )


class DriverNotInstalled(Refused):
    """A driver file was named."""

    id = "driver-not-installed"
    sentence = "this version of wimboot cannot install {driver} into an offline system yet"
    advice = "Install it in the running Windows and convert then, or say --driver none and install it yourself."


def check_driver(system: System | None, driver: str | None, *, where: str, emit: Emit) -> None:
    """Let a system pass that has its driver, or whose user says that he sees to it. Raises Refused."""
    if driver is not None and driver != NONE:
        raise DriverNotInstalled(driver=driver)
    if system is None or system.has_wof:
        return
    if driver is None:
        raise DriverNeeded(where=where, product=_named(system))
    emit(
        Note(
            id="no-driver",
            warning=True,
            text=(
                f"{_named(system)} has no overlay driver: it will not start from its pointers until you have installed "
                "wofadk.sys as a boot-start driver (service WofAdk)."
            ),
        )
    )


def _named(system: System) -> str:
    return system.product or f"Windows {system.version}"
