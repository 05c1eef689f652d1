"""Two systems that share one WIM, as `prune` and its tortures find them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import build
from converted import SMALL
from mounting import copy_sparse, mounted
from running import NO_PLACE, done
from volume_edits import rewrite

__all__ = ["Shared", "make_shared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """An x64 and an x86 system that stand on images 4 and 5 of one WIM.

    Images 1 x64-1, 2 x86-1, 3 x64-2, 4 x64-3, 5 x86-2.
    """

    wim: Path
    x64: Path
    x86: Path

    @property
    def all(self) -> tuple[Path, Path, Path]:
        return self.wim, self.x64, self.x86

    @property
    def targets(self) -> tuple[object, ...]:
        return "--target", self.x64, "--target", self.x86

    def copied(self, folder: Path) -> Shared:
        """Copies of the three files."""
        own = Shared(wim=folder / "store.wim", x64=folder / "x64.img", x86=folder / "x86.img")
        for old, new in zip(self.all, own.all, strict=True):
            copy_sparse(old, new)
        return own


def make_shared(folder: Path) -> Shared:
    """Convert both, and update each while the other one follows."""
    shared = Shared(wim=folder / "store.wim", x64=folder / "x64.img", x86=folder / "x86.img")
    build.build_system(shared.x64, size=24 << 20, files=12, features=SMALL)
    build.build_system(shared.x86, size=24 << 20, files=12, features=SMALL, architecture="x86", seed=2)
    done("convert", shared.x64, "--wim", shared.wim, "--name", "x64-1", *NO_PLACE)
    done("convert", shared.x86, "--wim", shared.wim, "--name", "x86-1", *NO_PLACE)
    for name, volume, other in (("x64-2", shared.x64, shared.x86), ("x64-3", shared.x64, shared.x86),
                                ("x86-2", shared.x86, shared.x64)):
        with mounted(volume, write=True) as root:
            rewrite(root / "Windows/System32/kernel32.dll", name.encode() * 20_000)
            (root / f"Windows/{name}.txt").write_bytes(os.urandom(30_000))
        done("update", volume, "--name", name, "--target", other)
    return shared
