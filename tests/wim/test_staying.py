"""A WIM that another program moves, deletes, replaces or writes over while a run holds it open and locked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from wim_making import add_image
from wimboot.events import Counter
from wimboot.storage import HostFolder
from wimboot.wim import Append, CreateOptions, Relation, Rewrite, Spare, keep_images, open_store, record_name
from wimboot.wim.errors import WimChanged

NAME, SPARE, OTHER = "s.wim", "spare.wim", "other"


def _grow(folder: Path, name: str, *images: str) -> None:
    for image in images:
        with Append(HostFolder(folder), name, create=CreateOptions(guid=bytes(16)), where=name) as append:
            add_image(append, {"file": image.encode() * 9000}, image, threads=1)
            append.finish()


def _move(path: Path) -> None:
    path.rename(path.parent / "moved")


def _replace(path: Path) -> None:
    shutil.copy(path.parent / OTHER, path.parent / "incoming")
    (path.parent / "incoming").replace(path)


def _write_over(path: Path) -> None:
    shutil.copyfile(path.parent / OTHER, path)


def _append(folder: Path, meddle: Callable[[Path], None]) -> None:
    with Append(HostFolder(folder), NAME, create=None, where=NAME) as append:
        add_image(append, {"file": b"new" * 9000}, "new", threads=1)
        append.seal()
        meddle(folder / NAME)
        append.finish()


def _rewrite(folder: Path, meddle: Callable[[Path], None]) -> None:
    with Rewrite(HostFolder(folder), NAME, where=NAME) as change:
        change.write(keep_images(change.store, [2]), Counter())
        meddle(folder / NAME)
        change.finish()


def _sync(folder: Path, meddle: Callable[[Path], None], *, whole: bool) -> None:
    with open_store(folder / NAME) as source, Spare(source, HostFolder(folder), SPARE, where=SPARE) as spare:
        assert spare.relation is Relation.EARLIER
        (spare.rewrite if whole else spare.append)(Counter())
        meddle(folder / SPARE)
        spare.finish()


def _sync_more(folder: Path, meddle: Callable[[Path], None]) -> None:
    _sync(folder, meddle, whole=False)


def _sync_whole(folder: Path, meddle: Callable[[Path], None]) -> None:
    _sync(folder, meddle, whole=True)


@pytest.mark.parametrize("meddle", [_move, Path.unlink, _replace, _write_over])
@pytest.mark.parametrize("change", [_append, _rewrite, _sync_more, _sync_whole])
def test_what_others_did_to_the_wim_stays_and_nothing_is_made_of_it(
    tmp_path: Path, change: Callable[[Path, Callable[[Path], None]], None], meddle: Callable[[Path], None]
) -> None:
    """The run fails, the file is what the other program made it, byte for byte, and nothing is left beside it."""
    _grow(tmp_path, NAME, "one", "two")
    shutil.copy(tmp_path / NAME, tmp_path / SPARE)
    _grow(tmp_path, NAME, "three")
    _grow(tmp_path, OTHER, *"longer")
    name = NAME if change in (_append, _rewrite) else SPARE
    before, other = (tmp_path / name).read_bytes(), (tmp_path / OTHER).read_bytes()
    with pytest.raises(WimChanged):
        change(tmp_path, meddle)
    there = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name not in (NAME, SPARE, OTHER)}
    assert there == ({"moved": before} if meddle is _move else {})
    assert not (tmp_path / record_name(name)).exists()
    if meddle in (_replace, _write_over):
        assert (tmp_path / name).read_bytes() == other
    else:
        assert not (tmp_path / name).exists()


def test_a_copy_that_somebody_made_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Where there was no copy, none that has come since is overwritten."""
    _grow(tmp_path, NAME, "one")
    with open_store(tmp_path / NAME) as source, Spare(source, HostFolder(tmp_path), SPARE, where=SPARE) as spare:
        spare.rewrite(Counter())
        (tmp_path / SPARE).write_bytes(b"somebody else's")
        with pytest.raises(Exception, match="meanwhile"):
            spare.finish()
    assert (tmp_path / SPARE).read_bytes() == b"somebody else's"
