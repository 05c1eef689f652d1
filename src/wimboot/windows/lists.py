r"""The rules of one run: what is built in and what the user's list says; every rule knows its origin.

`always.ini` holds for everybody. `default.ini` is the list where there is no other; its [PrepopulateList] is
the loader set, which other lists only add to where the loader cannot follow pointers, or where nobody chose
the list:

    Windows                   list given by the user     list found inside the system     none
    6.1, 6.2, 6.3 no Update   loader set and list        loader set and list              loader set
    6.3 with Update           list                       list (Microsoft's, for it)       loader set
    10.0 and later            list                       loader set and list (unverified) loader set

What is excluded is not captured and is left alone on the volume.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from wimboot.formats.ini import CaptureList, Pattern
from wimboot.formats.names import split_path
from wimboot.tree.selection import ListKind, Lists, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["SYSTEM_LIST", "Lists", "built_in", "compose", "needs_loader_set", "with_loader_set"]

ALWAYS: Final = "built in: holds for every system"
LOGS: Final = "built in: a registry hive's newest changes are in its logs"
LOADER: Final = "built in: this Windows' loader reads it and cannot follow pointers"
IN_MEMORY: Final = "built in: the loader reads it from a disk in memory, and follows no pointers to other disks"
DEFAULT: Final = "built in: the default list"
OWN: Final = "built in: the WIM that backs this volume, and what belongs to it"
BOOT_SERVICE: Final = "registry: a driver or data that this system starts with"

SYSTEM_LIST: Final = "\\Windows\\System32\\WimBootCompress.ini"
"""Where a Windows keeps a list of its own, and its name as an origin."""

NO_FILES: Final[Mapping[str, str]] = MappingProxyType({})

_UPDATED: Final = (6, 3)
_WINDOWS_10: Final = 10


@lru_cache(maxsize=2)
def built_in(name: str) -> CaptureList:
    """A list that comes with the program: "always" or "default"."""
    return CaptureList.parse(Path(__file__).with_name(f"{name}.ini").read_bytes())


def needs_loader_set(version: tuple[int, ...] | None, *, has_overlay_driver: bool) -> bool:
    """Whether a Windows' loader reads files before pointers can be resolved: 6.1, 6.2, 6.3 without Update.

    `version` is (major, minor, ...); None, not known, counts as such a Windows. 6.3 has its Update when it
    has an overlay driver of its own.
    """
    if version is None or version[:2] < _UPDATED:
        return True
    return version[:2] == _UPDATED and not has_overlay_driver


def compose(
    config: CaptureList | None, *, version: tuple[int, ...] | None, has_overlay_driver: bool,
    origin: str = "", own_files: Iterable[str] = (), boot_files: Mapping[str, str] = NO_FILES,
) -> Lists:
    r"""All rules for one volume.

    Args:
        config: the user's list or the system's own; None where there is none.
        version: of the Windows on the volume, (major, minor, ...); None where it is not known.
        has_overlay_driver: whether that Windows has wof.sys.
        origin: what to call `config` in explanations, usually its path; SYSTEM_LIST for the system's own.
        own_files: paths on this volume (`\dir\file`) of the WIM, its lock, logs and temporary files.
        boot_files: paths that the registry names, and what for: boot-start drivers, the OEM font.

    What the registry says of one file is named before what a list says of many.
    """
    always, default = built_in("always"), built_in("default")
    kind = ListKind
    rules = _own(own_files, OWN) + _started(boot_files)
    rules += _built(kind.FORBIDDEN, always.exclusion, ALWAYS) + _built(kind.KEPT, always.exception, LOGS)
    rules += _built(kind.REAL, always.prepopulate, ALWAYS)
    if needs_loader_set(version, has_overlay_driver=has_overlay_driver):
        rules += _built(kind.REAL, default.prepopulate, LOADER)
    elif config is None or (origin == SYSTEM_LIST and version is not None and version[0] >= _WINDOWS_10):
        rules += _built(kind.REAL, default.prepopulate, DEFAULT)
    if config is None:
        rules += _built(kind.EXCLUSION, default.exclusion, DEFAULT)
    else:
        rules += _named(kind.REAL, config.prepopulate, origin)
        rules += _named(kind.EXCLUSION, config.exclusion, origin)
        rules += _named(kind.EXCEPTION, config.exception, origin)
    return Lists(rules=tuple(rules))


def with_loader_set(lists: Lists) -> Lists:
    """The same rules for a volume on a disk in memory: any loader reads that through the BIOS, as Windows 7's does."""
    return Lists(rules=(*lists.rules, *_built(ListKind.REAL, built_in("default").prepopulate, IN_MEMORY)))


def _own(paths: Iterable[str], origin: str) -> list[Rule]:
    patterns = _patterns(paths)
    return _built(ListKind.FORBIDDEN, patterns, origin) + _built(ListKind.REAL, patterns, origin)


def _started(boot_files: Mapping[str, str]) -> list[Rule]:
    return [Rule(kind=ListKind.REAL, pattern=pattern, origin=BOOT_SERVICE, detail=boot_files[pattern.text])
            for pattern in _patterns(boot_files)]


def _patterns(paths: Iterable[str]) -> tuple[Pattern, ...]:
    """Absolute patterns of these paths."""
    named = ((path, split_path(path)) for path in paths)
    return tuple(Pattern(text=path, components=parts, absolute=True) for path, parts in named if parts)


def _built(kind: ListKind, patterns: Iterable[Pattern], origin: str) -> list[Rule]:
    return [Rule(kind=kind, pattern=pattern, origin=origin) for pattern in patterns]


def _named(kind: ListKind, patterns: Iterable[Pattern], origin: str) -> list[Rule]:
    return [Rule(kind=kind, pattern=pattern, origin=origin, line=pattern.line) for pattern in patterns]
