"""Whether a WIM grew from an earlier state of itself."""

from __future__ import annotations

from wim_making import add_image
from wimboot.events import Counter
from wimboot.storage import Folder
from wimboot.storage.faults import MemoryFolder
from wimboot.wim import Append, CreateOptions, Rewrite, Store, grew_from, keep_images

NAME = "s.wim"


def _grow(folder: Folder, name: str) -> bytes:
    """An image more; the hash of the table from then on."""
    with Append(folder, NAME, create=CreateOptions(guid=bytes(16)), where=NAME) as append:
        add_image(append, {"own": name.encode() * 5000, "shared": b"shared" * 5000}, name, threads=1)
        append.finish()
        return append.table_hash


def _store(folder: Folder) -> Store:
    return Store.open(folder.open(NAME), where=NAME)


def test_every_earlier_state_is_known_and_no_other() -> None:
    """However often it grew; a state that it never had is none."""
    folder = MemoryFolder()
    tables: list[bytes] = []
    for name in ("one", "two", "three", "four"):
        tables.append(_grow(folder, name))
        assert [grew_from(_store(folder), table) for table in tables] == [True] * len(tables)
    elsewhere = MemoryFolder()
    assert not grew_from(_store(folder), _grow(elsewhere, "another"))
    assert not grew_from(_store(folder), bytes(20))


def test_a_rewritten_wim_did_not_grow_from_what_it_was() -> None:
    """Blobs have other places and images other numbers; from then on it grows anew."""
    folder = MemoryFolder()
    tables = [_grow(folder, name) for name in ("one", "two", "three")]
    with Rewrite(folder, NAME, where=NAME) as change:
        change.write(keep_images(change.store, [2, 3]), Counter())
        change.finish()
        tables.append(change.table_hash)
    tables.append(_grow(folder, "four"))
    assert [grew_from(_store(folder), table) for table in tables] == [False, False, False, True, True]
