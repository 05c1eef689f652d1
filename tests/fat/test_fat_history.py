"""Histories at will on FAT volumes: what a model says is what the volume, mtools and 7z say; fsck.fat is content."""

from __future__ import annotations

import os
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fat_judge import sound_fat
from wimboot.fat import FatVolume, format_volume
from wimboot.fat.refusals import FatFolderNotEmpty, FatFull, FatNotAFile, FatNotAFolder, FatRootFull
from wimboot.formats.fatname import fat_name_problem
from wimboot.formats.names import fold_text
from wimboot.storage.memory import Image, MemoryFile

NAMES = ["bootmgr", "Boot", "BCD", "EFI", "a long name.txt", "a long name.text", "A LONG nickname.txt", "中文",
         "中文 字体.ttf", "é", "x.y.z", "~1", "dir", "b" * 100]
WISHES = st.lists(st.tuples(
    st.sampled_from(("write", "write", "write", "remove", "folder", "reopen")),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3), st.integers(0, 30_000)), min_size=8, max_size=80)
VOLUMES = {"fat12": {"size": 300 << 10}, "fat16": {"size": 6 << 20}, "fat32": {"size": 34 << 20},
           "large clusters": {"size": 24 << 20, "cluster_size": 4096}, "large sectors": {"size": 24 << 20,
                                                                                       "sector_size": 4096}}


@dataclass
class Model:
    """What ought to be there: folded path, and the path as it was first written with its content (None: a folder)."""

    there: dict[tuple[str, ...], tuple[tuple[str, ...], bytes | None]] = field(default_factory=dict)

    def get(self, parts: tuple[str, ...]) -> bytes | bool | None:
        """The content, None for a folder, False for nothing."""
        return None if not parts else self.there.get(_key(parts), ((), False))[1]

    def make(self, parts: tuple[str, ...]) -> bool:
        """Make folders; False where a file is in the way."""
        if any(isinstance(self.get(parts[:depth]), bytes) for depth in range(1, len(parts) + 1)):
            return False
        for depth in range(1, len(parts) + 1):
            if self.get(parts[:depth]) is False:
                self.there[_key(parts[:depth])] = (self.spelled(parts[:depth - 1]) + parts[depth - 1:depth], None)
        return True

    def spelled(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        """A path as its folders are called."""
        return () if not parts else self.there[_key(parts)][0]

    def inside(self, parts: tuple[str, ...]) -> bool:
        """Whether a folder has something in it."""
        key = _key(parts)
        return any(len(other) > len(key) and other[:len(key)] == key for other in self.there)

    @property
    def files(self) -> dict[str, bytes]:
        """Every file by its path with slashes."""
        return {"/".join(path): data for path, data in self.there.values() if data is not None}


def _key(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(fold_text, parts))


def step(opened: FatVolume, model: Model, wish: str, parts: tuple[str, ...], size: int) -> None:
    """One wish, carried out or refused by both."""
    path, before = "\\".join(parts), model.get(parts)
    try:
        if wish == "write":
            data = random.Random(size).randbytes(size)
            opened.write(path, data)
            assert before is not None
            assert model.make(parts[:-1])
            spelled = model.spelled(parts) if before is not False else model.spelled(parts[:-1]) + parts[-1:]
            model.there[_key(parts)] = (spelled, data)
        elif wish == "folder":
            opened.make_folder(path)
            assert model.make(parts)
        else:
            opened.remove(path)
            assert before is not None or not model.inside(parts)
            model.there.pop(_key(parts), None)
    except FatNotAFile:
        assert before is None
    except FatNotAFolder:
        assert any(isinstance(model.get(parts[:depth]), bytes) for depth in range(1, len(parts) + 1))
    except FatFolderNotEmpty:
        assert model.inside(parts)
    except (FatFull, FatRootFull):
        assert wish != "remove"
        assert opened.free_size < size + 60 * opened.boot.cluster_size


def live(volume: str, wishes: list[tuple[str, list[str], int]], *, judges: bool) -> None:
    """A volume's life, and what is left of it."""
    file = MemoryFile(Image(size=VOLUMES[volume]["size"]))
    wishes_for = VOLUMES[volume]
    format_volume(file, wishes_for["size"], serial=7, cluster_size=wishes_for.get("cluster_size"),
                  sector_size=wishes_for.get("sector_size", 512))
    model = Model()
    opened = FatVolume(file, write=True)
    free = opened.free_size
    for wish, names, size in wishes:
        if wish == "reopen":
            opened.flush()
            opened = FatVolume(file, write=True)
        else:
            step(opened, model, wish, tuple(names), size)
    opened.flush()
    again = FatVolume(file, write=True)     # which looks at all of it
    assert again.free_size == opened.free_size
    for parts, data in model.there.values():
        assert again.read("\\".join(parts)) == data
        assert again.is_folder("\\".join(parts)) == (data is None)
    if judges:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "volume.img"
            file.image.save(path)
            sound_fat(path, model.files)
    for parts, _ in sorted(model.there.values(), key=lambda entry: -len(entry[0])):
        again.remove("\\".join(parts))
    root = again.boot.root_cluster and again.boot.cluster_size * (free - again.free_size != 0)
    assert again.free_size >= free - 8 * root     # folders keep the clusters that they have grown by


@pytest.mark.parametrize("volume", VOLUMES)
@given(wishes=WISHES)
@settings(max_examples=25)
def test_any_history_agrees_with_the_model(volume: str, wishes: list[tuple[str, list[str], int]]) -> None:
    """Whatever is written, replaced, removed, refused for want of room: the model's files, and no others."""
    live(volume, wishes, judges=False)


@pytest.mark.parametrize("volume", VOLUMES)
@given(wishes=WISHES)
@settings(max_examples=6)
def test_any_history_is_sound_to_the_judges(volume: str, wishes: list[tuple[str, list[str], int]]) -> None:
    """The same in the eyes of fsck.fat, mtools and 7z."""
    live(volume, wishes, judges=True)


@pytest.mark.heavy
@pytest.mark.parametrize("volume", VOLUMES)
def test_long_lives_are_sound_to_the_judges(volume: str) -> None:
    """Thousands of changes: full volumes, scattered files, grown folders."""
    for seed in range(int(os.environ.get("WIMBOOT_LIVES", "4"))):
        chance = random.Random(seed)
        wishes = [(chance.choice(("write", "write", "write", "remove", "folder", "reopen")),
                   [chance.choice(NAMES) for _ in range(chance.randint(1, 4))], chance.choice((0, 511, 5000, 60_000)))
                  for _ in range(1500)]
        live(volume, wishes, judges=True)


@given(st.lists(st.text(min_size=1, max_size=30).filter(lambda name: not fat_name_problem(name)), min_size=1,
                max_size=40))
@settings(max_examples=40)
def test_names_of_any_kind_stay_apart(names: list[str]) -> None:
    """Every name that can be one leads to its own file; names alike but for their case lead to one."""
    file = MemoryFile(Image(size=6 << 20))
    format_volume(file, 6 << 20)
    held: dict[str, str] = {}
    with FatVolume(file, write=True) as opened:
        for name in names:
            if any(fold_text(name) == fold_text(entry.name) for entry in opened.list()) or not opened.exists(name):
                opened.write(name, name.encode("utf-8", "surrogatepass"))
                held[fold_text(name)] = name
    opened = FatVolume(file)
    assert {fold_text(entry.name) for entry in opened.list()} == set(held)
    for name in held.values():
        assert opened.read(name) == name.encode("utf-8", "surrogatepass")
