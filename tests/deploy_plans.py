"""Folders of two small systems on one WIM, built by `deploy` from a plan, and changed plans of the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import build
from converted import SMALL
from running import done

__all__ = ["HEAD", "X64", "X86", "Yard", "deployed", "deployed_once", "new_yard", "read_table", "system", "yard"]

HEAD = """\
folder = "disk"
[place]
disk = "5cbea03e"
partition = 1048576
[store]
wim = "wimboot/wimboot.wim"
[[store.image]]
name = "win7-x64"
capture = "x64.img"
[[store.image]]
name = "win7-x86"
capture = "x86.img"
"""


def system(name: str, image: str | int, file: str, *, size: str = "48 MB", more: str = 'driver = "none"') -> str:
    """One system of a plan."""
    return f'[[system]]\nname = "{name}"\nimage = {image!r}\nfile = "{file}"\nsize = "{size}"\n{more}\n'


X64 = system("x64", "win7-x64", "wimboot/x64/win7.vhd", more='driver = "none"\narchitecture = "x64"')
X86 = system("x86", "win7-x86", "wimboot/x86/win7.vhd", size="40 MB", more='driver = "none"\narchitecture = "x86"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """A plan in a folder of its own, with the systems that it captures."""

    base: Path

    @property
    def plan(self) -> Path:
        return self.base / "plan.toml"

    @property
    def folder(self) -> Path:
        return self.base / "disk"

    @property
    def wim(self) -> Path:
        return self.folder / "wimboot/wimboot.wim"

    @property
    def x64(self) -> Path:
        return self.folder / "wimboot/x64/win7.vhd"

    @property
    def x86(self) -> Path:
        return self.folder / "wimboot/x86/win7.vhd"

    def says(self, *parts: str) -> Path:
        """Write another plan."""
        self.plan.write_text("".join(parts), encoding="utf-8")
        return self.plan

    def files(self) -> dict[str, tuple[int, int, bytes]]:
        """What is in the folder: when written, how large, and the bytes."""
        return {path.relative_to(self.folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_ino,
                                                           path.read_bytes())
                for path in sorted(self.folder.rglob("*")) if path.is_file()}

    def names(self) -> list[str]:
        """The files of the folder."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


def new_yard(base: Path, built_system: Callable[..., build.System]) -> Yard:
    """A plan of two systems, nothing built of it."""
    for name, arguments in (("x64", {}), ("x86", {"architecture": "x86", "seed": 2})):
        built = built_system(size=24 << 20, files=12, features=SMALL, **arguments)
        (base / f"{name}.img").symlink_to(built.path)
    yard = Yard(base=base)
    yard.folder.mkdir()
    yard.says(HEAD, X64, X86)
    return yard


@pytest.fixture
def yard(built_system: Callable[..., build.System], tmp_path: Path) -> Yard:
    """A plan, and nothing built."""
    return new_yard(tmp_path, built_system)


@pytest.fixture(scope="session")
def deployed_once(built_system: Callable[..., build.System], tmp_path_factory: pytest.TempPathFactory) -> Yard:
    """Both systems built; for reading only."""
    yard = new_yard(tmp_path_factory.mktemp("deployed"), built_system)
    done("deploy", yard.plan)
    return yard


@pytest.fixture
def deployed(deployed_once: Yard, tmp_path: Path) -> Yard:
    """The test's own copy of that folder."""
    shutil.copytree(deployed_once.base, tmp_path / "yard", symlinks=True)
    return Yard(base=tmp_path / "yard")


def read_table(text: str) -> dict[str, str]:
    """By system, what the table says is done."""
    rows = [line.split("   ") for line in text.splitlines() if "win7" in line or "image" in line]
    return {row[0].strip(): row[-1].strip() for row in rows if len(row) > 3}
