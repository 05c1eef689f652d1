"""What a WIM's XML says of the Windows in an image, from what was found out about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.formats.wimxml import WindowsFacts

if TYPE_CHECKING:
    from wimboot.windows.identify import System

__all__ = ["facts"]


def facts(system: System) -> WindowsFacts:
    """The WINDOWS element, as imaging tools expect it: SYSTEMROOT has no drive letter."""
    return WindowsFacts(
        architecture=None if system.architecture is None else system.architecture.number, product_name=system.product,
        edition_id=system.edition, installation_type=system.installation_type, product_type=system.product_type,
        product_suite=" ".join(system.product_suites), system_root=system.system_root.rpartition("\\")[2].upper(),
        languages=system.languages, default_language=system.default_language, major=system.major, minor=system.minor,
        build=system.build, sp_build=system.service_pack_build, sp_level=system.service_pack)
