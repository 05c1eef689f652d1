"""What `recover` says that it found."""

from __future__ import annotations

from pathlib import Path

import pytest

from converted import Converted
from mounting import mounted
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
