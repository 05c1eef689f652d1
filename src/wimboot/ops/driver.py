"""Put a boot driver into an offline system: the overlay driver, or one that finds a disk in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import Refused
from wimboot.events import Emit, Note, Phase
from wimboot.formats.inf import MAX_INF_SIZE
from wimboot.frozen import Frozen
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.storing import commit
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.preparing.choosing import read_driver_file
from wimboot.ops.preparing.preparation import Preparation
from wimboot.ops.preparing.prepare import prepare, rehearse
from wimboot.storage import read_start
from wimboot.windows.driverfile import overlay_driver, read_driver
from wimboot.windows.driverinf import inf_driver
from wimboot.windows.identify import Overlay, UnknownWindows, identify
from wimboot.windows.services import DRIVERS_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.options import TargetOptions
    from wimboot.windows.driverfile import Driver
    from wimboot.windows.identify import System

__all__ = ["DriverInstalled", "DriverNotNeeded", "DriverOptions", "driver"]


class DriverNotNeeded(Refused):
    """A second overlay driver beside the one that Windows has."""

    id = "driver-not-needed"
    sentence = "{where} holds {product}, which has an overlay driver of its own; another one beside it does harm"
    advice = "Nothing has to be installed: convert or apply as it is."


class DriverOptions(Frozen):
    """Installing the driver `file`; without `inf` it is the overlay driver."""

    target: TargetOptions
    file: Path
    inf: Path | None = None


class DriverInstalled(Frozen):
    """What was installed, or with a dry run would be. `changed` False: all of it was there already."""

    service: str
    path: str
    version: str
    architecture: str
    signature: str
    """The name of the signature's hash, empty where the file has none."""
    device: str
    control_sets: tuple[int, ...]
    changed: bool


def driver(options: DriverOptions, emit: Emit) -> DriverInstalled:
    """Write the file, its service in every control set, and what its INF asks for.

    Raises DriverUnknown, DriverUnsigned, DriverAltered, DriverArchitecture, NotADriver, InfRefused, DriverNotNeeded,
    and what editing the hive and opening raise.
    """
    file = read_driver(read_driver_file(options.file), str(options.file))
    inf = None if options.inf is None else read_start(options.inf, MAX_INF_SIZE + 1)
    dry_run = options.target.dry_run
    with open_volume(options.target, emit, write=not dry_run) as opened:
        read = Contents(opened.tree, opened.device, opened.volume).read_path
        system = identify(read)
        if system is None:
            raise UnknownWindows(problem="it has no registry")
        if inf is None or options.inf is None:
            if system.overlay is Overlay.INBOX:
                raise DriverNotNeeded(where=opened.where, product=system.name)
            chosen = overlay_driver(file, system, opened.where)
        else:
            chosen = inf_driver(file, options.file.name, inf, str(options.inf), system, opened.where)
            _tell(chosen, emit)
        wish = Preparation(driver=chosen)
        path = f"{DRIVERS_FOLDER}\\{chosen.file_name}"
        changed = rehearse(read, wish, where=opened.where) or read(path) != file.data
        if changed and opened.transaction is not None:
            prepare(opened, wish, emit)
            emit(Phase(name="commit"))
            commit(opened.transaction, None, opened.target.path)
        return _told(chosen, path, system, changed=changed)


def _told(chosen: Driver, path: str, system: System, *, changed: bool) -> DriverInstalled:
    signature = chosen.file.signature
    return DriverInstalled(
        service=chosen.service.name, path=path, version=chosen.file.version,
        architecture="" if system.architecture is None else system.architecture.value,
        signature="" if signature is None else signature.algorithm,
        device="" if chosen.device is None else chosen.device.hardware_id,
        control_sets=system.control_sets, changed=changed,
    )


def _tell(chosen: Driver, emit: Emit) -> None:
    if chosen.file.signature is None:
        emit(Note(id="driver-unsigned-x86", warning=True, text=(
            f"{chosen.file.where} has no signature; a 32-bit Windows takes it all the same.")))
    else:
        emit(Note(id="driver-trust", text=(
            f"Who signed {chosen.file.where} is not looked at: a build that is signed for testing only starts where "
            "Windows is told to allow that (bcdedit: testsigning), or has the root certificate that comes with it.")))
    if chosen.device is not None:
        emit(Note(id="driver-device", text=(
            f"The device {chosen.device.hardware_id} is as running systems have it. Where Windows does not take it "
            "so, install the driver in the running system before it is captured.")))
