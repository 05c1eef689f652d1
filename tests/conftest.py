"""What every test can ask for: volumes that others built, a clean environment."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import build
from boot_systems import bootable, bootable_volume, esp, newer_volume
from converted import SMALL, converted, converted_once, pristine_small
from data_disks import DURABLE
from deploy_plans import deployed, deployed_once, yard
from mounting import copy_sparse, need_mounts
from own_wims import alone, stick
from ram_systems import seven
from repair_rig import pair, pair_once
from wim_places import data_volume, place, two_places
from wimboot.disk import attached_volumes, mounts_of_ntfs
from wimboot.disk.lookup import Disks, attached_disks
from wimboot.disk.loops import backing_of
from wimboot.disk.mounts import HOST, Host, Mount
from wimboot.ops.finding import athand
from wimboot.ops.pointing import placecheck
from wimboot.ops.sharing import users

# How long an example takes is up to what else the machine does. What checks a change tries the same examples each time;
# `WIMBOOT_EXPLORE=1 make test` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("explore" if os.environ.get("WIMBOOT_EXPLORE") else "same")

__all__ = ["alone", "bootable", "bootable_volume", "converted", "converted_once", "data_volume", "deployed",
           "deployed_once", "esp", "newer_volume", "pair", "pair_once", "place", "pristine_small", "seven", "stick",
           "two_places", "yard"]


MEMORY, ROOM = Path("/dev/shm"), 4 << 30  # noqa: S108 - the tests' folders in it are their own
"""Where the default suite has its temporary files if there is that much room."""
WORKERS_NEED = 2 << 30
"""Bytes of memory besides."""


def free_memory() -> int:
    """Bytes, of the machine and of the container that this may be."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) << 10
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        return free if limit == "max" else min(free, int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):       # no container, or one of another kind
        return free


def pytest_configure(config: pytest.Config) -> None:
    """Most of what the tests would wait for is the disk: they make gigabytes, and each verb syncs what it writes.

    What takes minutes stays on the disk, and TMPDIR names any other place. Subprocesses and xdist's workers inherit it.
    """
    if ("TMPDIR" not in os.environ and "not heavy" in config.option.markexpr and os.access(MEMORY, os.W_OK | os.X_OK)
            and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC and shutil.disk_usage(MEMORY).free >= ROOM
            and free_memory() >= ROOM + WORKERS_NEED):
        os.environ["TMPDIR"], tempfile.tempdir = str(MEMORY), None


@pytest.fixture
def durable() -> Iterator[Path]:
    """A folder of the test's own on a disk, where the log of a change of a device has to lie."""
    with tempfile.TemporaryDirectory(dir=DURABLE, prefix="wimboot-durable-") as folder:
        yield Path(folder)


@pytest.fixture(autouse=True, scope="session")
def answer_interrupts() -> None:
    """Whoever starts the tests in the background may have SIGINT ignored, or, by nohup, SIGHUP; tests need both."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's environment reaches a test."""
    for name in ("WIMBOOT_WIMPATH", "WIMBOOT_WOFADK", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def only_own_devices(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No other devices of the host are attached, among them those of tests that run at the same time: one may be
    locked, half made, or have the signature that a test of its own looks for. Nor are volumes of such tests mounted:
    while one is looked at, its own test cannot unmount it.
    """
    own = tmp_path_factory.getbasetemp()

    def is_foreign(path: Path) -> bool:
        if path.is_block_device():
            loop = backing_of(path, HOST)
            return loop is None or not Path(loop.backing).is_relative_to(own)
        return "/pytest-of-" in str(path) and not path.is_relative_to(own)

    def volumes(host: Host = HOST) -> list[Path]:
        return [path for path in attached_volumes(host) if not is_foreign(path)]

    def disks(host: Host = HOST) -> Disks:
        found = attached_disks(host)
        return Disks(found=tuple(disk for disk in found.found if not is_foreign(disk.path)),
                     unread=tuple(path for path in found.unread if not is_foreign(path)))

    def mounts(host: Host = HOST) -> list[Mount]:
        return [mount for mount in mounts_of_ntfs(host) if not is_foreign(Path(mount.source))]

    monkeypatch.setattr(users, "attached_volumes", volumes)
    monkeypatch.setattr(users, "mounts_of_ntfs", mounts)
    for module in (athand, placecheck):
        monkeypatch.setattr(module, "attached_disks", disks)


@pytest.fixture(scope="session")
def built_system(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., build.System]:
    """Build a system once a session for each set of arguments; the result is shared, so only for reading."""
    need_mounts()
    built: dict[str, build.System] = {}

    def builder(**arguments: object) -> build.System:
        key = repr(sorted(arguments.items()))
        if key not in built:
            folder = tmp_path_factory.mktemp("system")
            built[key] = build.build_system(folder / "system.img", **arguments)  # type: ignore[arg-type]  # as given
        return built[key]

    return builder


@pytest.fixture(scope="session")
def pristine_volume(built_system: Callable[..., build.System]) -> Path:
    """A bare volume with a Windows 7 and every feature, for reading only."""
    return built_system().path


@pytest.fixture
def sample_volume(pristine_volume: Path, tmp_path: Path) -> Path:
    """The test's own copy of that volume, to do with as it likes."""
    own = tmp_path / "sample.img"
    copy_sparse(pristine_volume, own)
    return own


@pytest.fixture
def small_volume(built_system: Callable[..., build.System], tmp_path: Path) -> Path:
    """The test's own copy of a Windows 7 with few files: about 80, a dozen of them in \\Features."""
    own = tmp_path / "small.img"
    copy_sparse(built_system(size=24 << 20, files=12, features=SMALL).path, own)
    return own


@pytest.fixture
def sample_disk(built_system: Callable[..., build.System], tmp_path: Path) -> build.System:
    """The test's own copy of an MBR disk with a Windows 8.1 at 1 MiB."""
    system = built_system(table="mbr", version="6.3")
    own = tmp_path / "disk.img"
    copy_sparse(system.path, own)
    return build.System(path=own, offset=system.offset, size=system.size, version=system.version,
                        architecture=system.architecture, table=system.table)
