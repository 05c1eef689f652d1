r"""Which files Windows' loader reads because the registry says so, so that they stay real whatever a list says.

In every control set of SYSTEM: the ImagePath of each service that starts at boot (0) or system (1) time, wherever it
lies, and the OEM font that `Control\Nls\CodePage\OEMHAL` names. Forms of ImagePath seen in real hives of Windows 7,
8.1 and 10:

    (none)                                  \Windows\System32\drivers\NAME.sys
    system32\drivers\x.sys                  relative to \Windows
    \SystemRoot\System32\drivers\x.sys      \Windows
    \??\C:\Program Files\x\x.sys            the system's own drive
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from wimboot.errors import Damaged, HostError, Refused, Unsupported
from wimboot.registry import Hive
from wimboot.registry.controlsets import control_sets
from wimboot.registry.files import CONFIG_FOLDER, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wimboot.registry import Node

__all__ = ["boot_files", "image_path"]

_EARLY: Final = (0, 1)
_PREFIX: Final = re.compile(r"^\\?(?:\?\?\\)?(?:[a-z]:)?", re.IGNORECASE)
_SYSTEM_ROOT: Final = re.compile(r"^\\?(?:%systemroot%|systemroot)\\", re.IGNORECASE)


def boot_files(read: Callable[[str], bytes | None]) -> dict[str, str]:
    """Paths on the system's volume and what reads them, in order; none where its SYSTEM hive cannot be read (the
    built-in list has to do then).
    """
    found: dict[str, tuple[str, list[str]]] = {}
    try:
        hive_file = load(read, f"{CONFIG_FOLDER}\\SYSTEM")
        if hive_file is None:
            return {}
        with Hive(hive_file.data) as hive:
            for _, control_set in control_sets(hive.root):
                for path, reader in _of(control_set):
                    found.setdefault(path, (reader, []))[1].append(control_set.name)
    except (Damaged, HostError, Refused, Unsupported):
        return {}
    return {path: f"{reader} ({', '.join(dict.fromkeys(sets))})" for path, (reader, sets) in sorted(found.items())}


def image_path(name: str, value: str | None) -> str:
    """The path of a service's file on the system's volume; `value` is its ImagePath, None where it has none."""
    if not value:
        return f"\\Windows\\System32\\drivers\\{name}.sys"
    path = value.strip().strip('"').replace("/", "\\")
    rooted, count = _SYSTEM_ROOT.subn(lambda _: "\\Windows\\", path)
    if count:
        return rooted
    if path[:1] == "\\" or path[1:2] == ":":
        return _PREFIX.sub("", path) if path[:4] == "\\??\\" or path[1:2] == ":" else path
    return f"\\Windows\\{path}"


def _of(control_set: Node) -> Iterator[tuple[str, str]]:
    """(path, what reads it) of everything that a control set starts with."""
    services = control_set.child("services")
    for service in services.children() if services is not None else ():
        start = service.number("Start")
        if start in _EARLY and service.number("Type") in (1, 2, 8):
            name = "".join(character for character in service.name[:64] if character.isprintable())
            path = image_path(service.name, service.text("ImagePath"))
            yield path, f"service {name}, at {'boot' if start == 0 else 'system'} time"
    pages = control_set.find("Control\\Nls\\CodePage")
    font = pages.text("OEMHAL") if pages is not None else None
    if font:
        yield f"\\Windows\\Fonts\\{font}", "OEMHAL, the font of the loader"
