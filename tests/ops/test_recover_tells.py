"""What `recover` says that it found."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from converted import Converted
from mounting import copy_sparse, mounted
from repair_rig import Pair, problem_of
from running import done, refused, unchanged, wimboot
from wimboot.disk import Transaction
from wimboot.errors import HostError
from wimboot.storage import HostFolder, durable
from wimboot.wim import Append


def test_recover_tells_that_it_removed_an_unfinished_wim(small_volume: Path, tmp_path: Path) -> None:
    """By name, for people and for programs; a second time there is nothing of it, not even the WIM, and all is well."""
    wim = tmp_path / "store.wim"
    recover = ("recover", small_volume, "--wim", wim)
    for told in (("--json",), ()):
        (tmp_path / "store.wim.wimboot-new").write_bytes(b"the beginning of a WIM")
        run = done(*recover, *told)
        if told:
            assert (run.json["removed"], run.json["wim"]) == (["store.wim.wimboot-new"], "nothing")
            assert run.json["problems"] == [_missing(wim)]
        else:
            assert run.out.startswith("store.wim.wimboot-new, which an unfinished run left beside the WIM, was removed")
            assert "No interrupted run" not in run.out
        assert not (tmp_path / "store.wim.wimboot-new").exists()
    with unchanged(small_volume):
        again = done(*recover, "--json").json
        assert done(*recover).out == f"No interrupted run was found on the target. {wim}: there is no such WIM.\n"
    assert (again["removed"], again["wims"], again["problems"]) == ([], [], [_missing(wim)])


def _missing(wim: Path) -> dict[str, object]:
    return {"id": "wim-missing", "where": str(wim), "text": "there is no such WIM", "advice": "", "files": 0,
            "paths": []}


def test_recover_tells_of_several_wims_in_one_sentence(converted: Converted) -> None:
    """Where nothing is to be done with any."""
    second = converted.wim.with_name("second.wim")
    copy_sparse(converted.wim, second)
    run = done("recover", converted.volume)
    assert run.out == f"No interrupted run was found on the target, on {second}, on {converted.wim}.\n"


def test_recover_finds_the_wim(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed `prune` leaves its new WIM, and logs of the other volumes; a killed growth its record, with which the
    WIM may be torn. All that without --wim."""
    monkeypatch.chdir(pair.volume.parent)
    new, log = pair.wim.with_name("store.wim.wimboot-new"), pair.wim.with_name("other.img.wimboot-log")
    log.write_bytes(b"the beginning of a log")
    before = pair.wim.read_bytes()
    with unchanged(pair.volume, pair.wim, log):
        new.write_bytes(b"the beginning of a WIM")
        run = done("recover", pair.volume)
        assert f"{new.name}, which an unfinished run left beside the WIM, was removed." in run.out
        assert f"Files of other runs lie in {pair.volume.parent}: {log.name}." in run.out
        new.write_bytes(b"again")
        told = done("recover", pair.volume, "--json").json
    assert (told["target"], told["wim"]) == ("nothing", "nothing")
    assert (told["removed"], told["waiting"]) == ([new.name], [log.name])
    log.unlink()
    record = pair.wim.with_name("store.wim.wimboot-undo")
    with Append(HostFolder(pair.wim.parent), pair.wim.name, create=None, where="x") as append:
        append.add_blob(b"of a run that was killed" * 900)
        left, grown = record.read_bytes(), pair.wim.read_bytes()
    record.write_bytes(left)
    pair.wim.write_bytes(grown)
    told = done("recover", pair.volume, "--json").json
    assert told["wims"] == [{"wim": str(pair.wim), "found": "undone", "removed": []}]
    assert (pair.wim.read_bytes(), record.exists()) == (before, False)
    pair.wim.unlink()
    (problem,) = done("recover", pair.volume, "--json").json["problems"]
    checked = problem_of(json.loads(wimboot("verify", pair.volume, "--json").out))
    assert problem.keys() == checked.keys(), "as verify tells it"
    assert [problem[key] for key in ("id", "where", "data_source")] == ["wim-not-found", str(pair.volume), 0]
    assert "was not found. Name it with --wim." in done("recover", pair.volume).out


def test_recover_tells_of_a_volume_whose_wim_it_cannot_know(pair: Pair) -> None:
    """With the id of what is wrong, and what to do about it."""
    with pair.edited() as root:
        (root / "System Volume Information/WimOverlay.dat").write_bytes(b"x" * 100)
    (problem,) = done("recover", pair.volume, "--json").json["problems"]
    assert (problem["id"], problem["where"]) == ("overlay-damaged", str(pair.volume))
    assert problem["text"].startswith("which WIM it stands on cannot be told: ")
    assert "--repair` takes it from" in problem["advice"]
    assert f"{problem['text']}. {problem['advice']}" in done("recover", pair.volume).out


def test_recover_refuses_what_is_not_there(pair: Pair) -> None:
    """A partition, a disk, a WIM where the volume's own is not there either: exit code 0 would say that all is well.
    Where only the name was wrong, that is said, and the volume's own is looked at."""
    text = pair.wim.with_name("notes.txt")
    text.write_bytes(b"what I must not forget" * 300)
    both = (pair.volume, pair.wim)
    nosuch = pair.wim.with_name("nosuch.wim")
    with unchanged(*both):
        told = done("recover", pair.volume, "--wim", nosuch, "--json").json
        assert told["problems"] == [_missing(nosuch)]
        assert [one["wim"] for one in told["wims"]] == [str(pair.wim)]
    (pair.wim.parent / "elsewhere").mkdir()
    away = pair.wim.rename(pair.wim.parent / "elsewhere/store.wim")
    refused("wim-missing", 2, "recover", pair.volume, "--wim", nosuch, watching=(pair.volume, away))
    away.rename(pair.wim)
    refused("no-partition", 2, "recover", f"{pair.volume}#7", watching=both)
    refused("not-a-disk", 2, "recover", text, watching=(text,))


def test_recover_tells_what_it_dropped_beside_what_is_no_disk(tmp_path: Path) -> None:
    """A disk that was to become one: the torn log is gone, and told; there is nothing else to say of it."""
    target, log = tmp_path / "new.img", tmp_path / "new.img.wimboot-log"
    target.write_bytes(bytes(1 << 20))
    log.write_bytes(b"the beginning of a log")
    assert done("recover", target, "--json").json["target"] == "dropped"
    assert not log.exists()
    refused("not-a-disk", 2, "recover", target, watching=(target,))


def test_recover_tells_of_the_wim_that_a_log_goes_with(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at first, for the log is judged by it, and what was done with it is told all the same."""
    with pair.edited() as root:
        (root / "added.bin").write_bytes(b"added" * 9000)
    commit = Transaction.commit

    def cut(transaction: Transaction, *_: object) -> None:
        transaction.leave()
        raise HostError(what="writing", where="the volume", why="the power went")

    monkeypatch.setattr(Transaction, "commit", cut)
    monkeypatch.setattr(durable, "remove", lambda *_: None)     # nor was the record's removal kept
    assert wimboot("update", pair.volume, "--wim", pair.wim).code == 1
    monkeypatch.undo()
    assert Transaction.commit is commit
    monkeypatch.chdir(pair.volume.parent)
    told = done("recover", pair.volume, "--json").json
    assert (told["target"], told["wim"]) == ("completed", "completed")
    done("verify", pair.volume)


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
