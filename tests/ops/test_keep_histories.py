"""Random changes to a volume and random --keep: what they name stays as it was, all else is the image's."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from judges import sound_volume
from mounting import copy_sparse, mounted
from running import NO_PLACE, done, wimboot
from snapshots import Facts, Snapshot, differences, seen_through, snapshot
from volume_edits import rewrite

SPARED = ("System Volume Information", "Windows/Temp", "pagefile.sys")
PLACES = ("Users", "Program Files", "Windows/winsxs", "Features", "Work")
NOT_COMPARED = ("change_time", "record", "last_access")


def change(volume: Path, chance: Random) -> None:
    """Twenty changes of any kind, where no hive and nothing excluded lies."""
    with mounted(volume, write=True) as root:
        (root / "Work").mkdir(exist_ok=True)
        for _ in range(20):
            paths = [path for place in PLACES for path in sorted((root / place).rglob("*"))
                     if "NTUSER" not in path.name and "junctions" not in path.parts]
            files = [path for path in paths if not path.is_dir() or path.is_symlink()]
            folders = [root / "Work", *(path for path in paths if path.is_dir() and not path.is_symlink())]
            _change_one(chance, chance.choice(files), chance.choice(folders))


def _change_one(chance: Random, file: Path, folder: Path) -> None:
    new = folder / f"new {chance.getrandbits(40)} [x].txt"
    kind = chance.randrange(8)
    if kind == 0:
        file.unlink()
    elif kind == 1:
        rewrite(file, chance.randbytes(chance.randint(0, 5000)))
    elif kind in (2, 3):
        new.write_bytes(chance.randbytes(chance.randint(0, 3000)))
    elif kind == 4:
        file.rename(new)
    elif kind == 5:
        os.link(file, new, follow_symlinks=False)
    elif kind == 6:
        file.unlink()
        file.mkdir()
        (file / "inner.txt").write_bytes(b"in what was a file")
    elif folder.name not in PLACES and folder.parent.name != "Users":
        shutil.rmtree(folder)
        folder.write_bytes(b"a file where a folder was")


def some_globs(before: Snapshot, chance: Random) -> list[str]:
    """Paths of the volume, with and without stars."""
    paths = sorted(path for path in before if path.startswith(PLACES))
    globs = []
    for _ in range(chance.randint(1, 4)):
        path = chance.choice(paths)
        folder, _, name = path.rpartition("/")
        globs.append(chance.choice([f"/{path}", f"\\{folder}\\*" if folder else f"\\{path}", name.upper(),
                                    f"*{name[-6:]}", f"/{path[:-2]}??".lower()]))
    return globs


class Expected:
    """What has to come out, worked out from the two snapshots with none of our code."""

    def __init__(self, before: Snapshot, image: Snapshot, globs: list[str]) -> None:
        self.before, self.image = before, image
        self.patterns = [_pattern(glob) for glob in globs]
        named = {path for path in before if self.is_named(path)}
        self.kept = {link for path in named for link in before[path].links}
        self.absent = {path for path in image if self.is_named(path) and not _holds(before, path)}
        self.holding = {above for path in self.kept for above in _above(path)}

    def is_named(self, path: str) -> bool:
        """Whether a glob matches the path or a folder above it."""
        return any(pattern.fullmatch("/" + each.lower()) for each in (path, *_above(path)) if each
                   for pattern in self.patterns)

    def is_free(self, path: str) -> bool:
        """Whether the image's file can stand there: nothing kept is at its place, or is a file above it."""
        if path in self.kept or path in self.absent or (
                not self.image[path].folder and path in self.holding):
            return False
        return not any(above in self.kept or above in self.absent or
                       (above in self.holding and not self.image[above].folder) for above in _above(path))

    def check(self, now: Snapshot) -> list[str]:
        """What is not as it should be."""
        wrong = differences(_some(self.before, self.kept), _some(now, self.kept), ignore=NOT_COMPARED)
        wrong += [f"{path} was made" for path in self.absent if path in now and path not in self.before]
        free = {path for path in self.image if self.is_free(path)}
        wanted = {path: replace(self.image[path], links=tuple(sorted(free.intersection(self.image[path].links))))
                  for path in free}
        wrong += differences(wanted, _some(now, free), ignore=NOT_COMPARED, attribute_mask=0x280)
        extra = now.keys() - self.image.keys() - self.kept - self.holding
        return wrong + [f"{path} stayed" for path in extra]


def _pattern(glob: str) -> re.Pattern[str]:
    text = glob.lower().replace("\\", "/").rstrip("/")
    if not text.startswith("/"):
        text = "*/" + text
    parts = (".*" if each == "*" else "." if each == "?" else re.escape(each) for each in text)
    return re.compile("".join(parts), re.DOTALL)


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _holds(before: Snapshot, path: str) -> bool:
    return path.lower() in {each.lower() for each in before}


def _some(these: Snapshot, paths: set[str]) -> dict[str, Facts]:
    return {path: facts for path, facts in these.items() if path in paths}


def _without_spared(these: Snapshot) -> Snapshot:
    return {path: facts for path, facts in these.items() if path and not path.startswith(SPARED)}


def run_history(seed: int, pristine: Path, folder: Path) -> None:
    """One volume, changed and restored three times."""
    chance = Random(seed)
    volume, wim = folder / "volume.img", folder / "s.wim"
    copy_sparse(pristine, volume)
    done("convert", volume, "--wim", wim, *NO_PLACE)
    image = _without_spared(seen_through(snapshot(volume)))
    for _ in range(3):
        change(volume, chance)
        before = _without_spared(seen_through(snapshot(volume)))
        globs = some_globs(before, chance)
        told = wimboot("restore", volume, "--wim", wim, *(part for glob in globs for part in ("--keep", glob)))
        assert told.code == 0, (seed, globs, told.err[-600:])
        now = _without_spared(seen_through(snapshot(volume)))
        wrong = Expected(before, image, globs).check(now)
        assert not wrong, (seed, globs, wrong[:10])
    sound_volume(volume)


def test_kept_is_kept_and_all_else_restored(pristine_small: Path, tmp_path: Path) -> None:
    """Two histories."""
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        run_history(seed, pristine_small, tmp_path / str(seed))


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_histories_of_keeping(seed: int, pristine_small: Path, tmp_path: Path) -> None:
    """Each with twenty changes before each of three restores."""
    run_history(seed, pristine_small, tmp_path)
