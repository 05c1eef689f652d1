"""What `recover` says that it found."""

from __future__ import annotations

from pathlib import Path

from running import done


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
