"""A volume as a folder of this host, to be read: pointers lead into their WIM, Compact OS files are unpacked.

While it is mounted the target is locked as by any run that reads: no other run of this program writes to it.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wimboot.errors import HostError, Unsupported, UsageError
from wimboot.events import Note
from wimboot.ops.browsing.blocks import BLOCK, KEPT, Blocks
from wimboot.ops.browsing.browser import Browser
from wimboot.ops.browsing.serving import Serving
from wimboot.ops.finding.unbacked import backed_stores
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.options import processors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wimboot.events import Emit
    from wimboot.ops.options import MountOptions

__all__ = ["BindingMissing", "FuseMissing", "MountFailed", "MountPointUnfit", "opened_files", "serve"]

_ENDED_BY_SIGNAL = 8
"""What fuse_main returns where its loop did not end by an unmount."""
_THREADS = 10
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8     # of malloc.h
_FOREVER_S = 3600
"""How long the kernel may keep what it was told: nothing changes while the volume is mounted."""


class BindingMissing(Unsupported):
    """The Python package that speaks to libfuse is an extra, and not installed."""

    id = "no-fuse-binding"
    sentence = "mounting needs the Python package mfusepy and the library libfuse: {why}"
    advice = "Install them: pip install 'wimboot[mount]', and the Debian package fuse3."


class FuseMissing(Unsupported):
    """The kernel's part of FUSE is not there."""

    id = "no-fuse-device"
    sentence = "mounting needs /dev/fuse, which is not there or may not be used"
    advice = "Load the kernel module (modprobe fuse); in a container, give it the device."


class MountPointUnfit(UsageError):
    """Something on which nothing can be mounted."""

    id = "mount-point"
    sentence = "the volume cannot be mounted on {where}: {why}"
    advice = "Name an empty folder."


class MountFailed(HostError):
    """libfuse gave up; it has said why on standard error."""

    id = "mount-failed"
    sentence = "mounting on {where} failed (libfuse: {why})"
    advice = "What libfuse said stands above. --allow-other needs user_allow_other in /etc/fuse.conf, but for root."


@contextmanager
def opened_files(options: MountOptions, emit: Emit, tell: Callable[[str], None]) -> Iterator[Serving]:
    """What a mount will show, opened and locked; `tell` gets a line for each file that cannot be read later.

    Raises BindingMissing, FuseMissing, MountPointUnfit, and what opening a volume and its WIMs raises.
    """
    _binding()
    _check_place(options.folder)
    with (
        open_volume(options.target, emit, write=False, windows=False, inspect=True) as opened,
        backed_stores(opened, options.wim, emit) as stores,
    ):
        blocks = Blocks(max(2, processors()))
        try:
            contents = Contents(opened.tree, opened.device, opened.volume, stores)
            browser = Browser(opened.tree, ignore_case=options.ignore_case)
            if not opened.tree.node_count:
                emit(Note(id="empty", text="The volume has no files.", warning=True))
            yield Serving(browser, contents, blocks, opened.facts, tell)
        finally:
            blocks.close()


def serve(serving: Serving, options: MountOptions, ready: Callable[[], None]) -> None:
    """Mount, call `ready`, and return when somebody unmounted it or a signal asked for the end. Raises MountFailed."""
    serving.ready = ready
    _keep_freed_memory()
    binding = _binding()
    given: dict[str, Any] = {"allow_other": True} if options.allow_other else {}
    if (binding.fuse_version_major, binding.fuse_version_minor) >= (3, 12):
        given |= {"max_threads": _THREADS, "max_idle_threads": _THREADS}    # 3.14 grumbles at its own default
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        for number, handler in previous.items():
            if handler not in (signal.SIG_IGN, None):
                signal.signal(number, signal.SIG_DFL)   # libfuse puts its own there, which end the mount
        binding.FUSE(
            serving, str(options.folder), foreground=True, ro=True, subtype="wimboot",
            fsname=_escaped(str(Path(options.target.place).absolute())), use_ino=True, default_permissions=True,
            kernel_cache=True, entry_timeout=_FOREVER_S,
            attr_timeout=_FOREVER_S, negative_timeout=_FOREVER_S, **given)
    except RuntimeError as error:
        if error.args == (_ENDED_BY_SIGNAL,) and serving.mounted:
            return
        raise MountFailed(where=str(options.folder), why=f"code {error}", what="mounting") from error
    finally:
        for number, handler in previous.items():
            if handler is not None:
                signal.signal(number, handler)


def _keep_freed_memory() -> None:
    """Have glibc keep what blocks give back: they come and go all the time, and new pages cost a tenth of the time."""
    with contextlib.suppress(OSError, AttributeError):
        tune = ctypes.CDLL(None).mallopt
        for option, value in ((_M_ARENA_MAX, 1), (_M_TRIM_THRESHOLD, 2 * KEPT), (_M_MMAP_THRESHOLD, 2 * BLOCK)):
            tune(option, value)


def _binding() -> Any:  # noqa: ANN401 - a module without types
    try:
        import mfusepy
    except ImportError as error:
        raise BindingMissing(why="mfusepy is not installed") from error
    except (OSError, AttributeError) as error:
        raise BindingMissing(why=str(error)) from error
    return mfusepy


def _check_place(folder: Path) -> None:
    device = Path("/dev/fuse")
    try:
        if not stat.S_ISCHR(device.stat().st_mode):
            raise FuseMissing
    except OSError as error:
        raise FuseMissing from error
    try:
        if not folder.is_dir():
            raise MountPointUnfit(where=str(folder), why="it is no folder" if folder.exists() else "it does not exist")
        if any(folder.iterdir()):
            raise MountPointUnfit(where=str(folder), why="it is not empty")
    except OSError as error:
        raise MountPointUnfit(where=str(folder), why=error.strerror or str(error)) from error


def _escaped(text: str) -> str:
    """A value among libfuse's options, where commas set them off."""
    return text.replace("\\", "\\\\").replace(",", "\\,")
