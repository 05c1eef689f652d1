"""What `recover` says that it found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from converted import Converted
from mounting import copy_sparse, mounted
from running import done, refused, wimboot
from wimboot.disk import Transaction
from wimboot.errors import HostError
from wimboot.storage import HostFolder
from wimboot.wim import Append


def test_recover_tells_that_it_removed_an_unfinished_wim(small_volume: Path, tmp_path: Path) -> None:
    """By name, for people and for programs; a second time there is nothing to tell."""
    wim = tmp_path / "store.wim"
    for told in (("--json",), ()):
        (tmp_path / "store.wim.wimboot-new").write_bytes(b"the beginning of a WIM")
        run = done("recover", small_volume, "--wim", wim, *told)
        if told:
            assert (run.json["removed"], run.json["wim"]) == (["store.wim.wimboot-new"], "nothing")
        else:
            assert "store.wim.wimboot-new, which an unfinished run left beside the WIM, was removed." in run.out
        assert not (tmp_path / "store.wim.wimboot-new").exists()
    assert "removed" not in done("recover", small_volume, "--wim", wim).out


def test_a_log_is_not_dropped_because_another_run_holds_the_wim(
    converted: Converted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The WIM had become the new one when the power went: while it grows again for somebody else, whether it had
    cannot be told, so the volume has to wait, and is finished afterwards."""
    with mounted(converted.volume, write=True) as root:
        (root / "added.bin").write_bytes(b"added" * 9000)

    def cut(transaction: Transaction, *_: object) -> None:
        transaction.leave()
        raise HostError(what="writing", where="the volume", why="the power went")

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "commit", cut)
        assert wimboot("update", converted.volume).code == 1
    log = [path for path in converted.wim.parent.iterdir() if path not in (converted.wim, converted.volume)]
    assert len(log) == 1
    with Append(HostFolder(converted.wim.parent), converted.wim.name, create=None, where="x") as append:
        append.add_blob(b"of another run" * 900)
        refused("wim-busy", 4, "recover", converted.volume, watching=(converted.volume, *log))
        refused("wim-busy", 4, "update", converted.volume, watching=(converted.volume, *log))
    assert "finished" in done("recover", converted.volume).out
    done("verify", converted.volume)
    assert done("status", converted.volume, "--json").json["changes"] == []


def test_a_log_is_finished_though_the_wim_has_grown_since(
    converted: Converted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power went between two volumes of a prune, and the first was updated before anyone looked at the second: that
    one gets its new image number all the same, and does not stand on an image of the other from then on."""
    first = tmp_path / "first.img"
    copy_sparse(converted.volume, first)
    done("update", _edited(first), "--name", "second", "--target", converted.volume)
    done("update", _edited(converted.volume), "--name", "third", "--target", first)
    commit, commits = Transaction.commit, []

    def cut(transaction: Transaction, *counter: Any) -> None:
        commits.append(transaction)
        if len(commits) == 2:
            transaction.leave()
            raise HostError(what="writing", where="the volume", why="the power went")
        commit(transaction, *counter)

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "commit", cut)
        volumes = ("--target", first, "--target", converted.volume)
        assert wimboot("prune", converted.wim, "--drop", "first", *volumes, "--yes").code == 1
    done("update", _edited(first), "--name", "fourth")
    told = done("status", converted.volume, "--json")
    assert told.json["image"] == {"index": 2, "name": "third"}
    assert told.json["changes"] == []
    done("relocate", converted.volume, "--wim", converted.wim)
    done("verify", converted.volume)


def _edited(volume: Path) -> Path:
    with mounted(volume, write=True) as root:
        (root / f"{len(list(root.iterdir()))}.bin").write_bytes(os.urandom(9000))
    return volume
