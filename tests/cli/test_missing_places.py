"""Files and folders of the command line that are not there: named as such, with advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from running import refused


@pytest.mark.parametrize("verb", ["create", "capture", "driver", "convert"])
def test_what_is_not_there_is_named(verb: str, small_volume: Path, tmp_path: Path) -> None:
    """Not the call that failed, and not a name of our own making."""
    folder, file = tmp_path / "nodir", tmp_path / "nofile.sys"
    arguments, missing = {
        "create": ((folder / "x.vhd", "--size", "1G"), folder),
        "capture": ((small_volume, "--wim", folder / "x.wim"), folder),
        "driver": ((small_volume, file), file),
        "convert": ((small_volume, "--wim", tmp_path / "x.wim", "--wim-place", "later", "--driver", file), file),
    }[verb]
    told = refused("host-missing", 2, verb, *arguments, watching=(small_volume, file))
    assert f"wimboot: {missing} does not exist" in told.err
    assert "wimboot-new" not in told.err
    assert "spelled" in told.err
    assert not folder.exists()


@pytest.mark.parametrize(("error", "code", "arguments"), [
    ("host-missing", 2, ("capture", "{volume}", "--wim", "{base}/x.wim", "--config", "{base}/none.ini")),
    ("host-missing", 2, ("info", "{volume}", "--search", "{base}/none")),
    ("host-missing", 2, ("create", "{base}/x.vhd", "--parent", "{base}/none.vhd")),
    ("host-not-usable", 1, ("info", "{volume}", "--search", "{base}/file")),
    ("host-not-usable", 1, ("images", "{base}")),
    ("host-not-usable", 1, ("status", "{volume}", "--wim", "{base}")),
    ("host-not-usable", 1, ("images", "{base}/file/x.wim")),
    ("host-not-usable", 1, ("info", "{base}/file/x.img")),
    ("no-target", 2, ("info", "{base}/none.img")),
    ("wim-missing", 2, ("images", "{base}/none.wim")),
    ("no-partition", 2, ("info", "{volume}#7")),
    ("not-a-target", 2, ("info", "{base}")),
], ids=str)
def test_a_wrong_place_has_the_same_code_wherever_it_is_named(
        error: str, code: int, arguments: tuple[str, ...], small_volume: Path, tmp_path: Path) -> None:
    """What is not there, and what is of another kind: as an argument, as an option, as a target."""
    (tmp_path / "file").write_bytes(b"a text")
    told = refused(error, code, *(one.format(volume=small_volume, base=tmp_path) for one in arguments),
                   watching=(small_volume,))
    assert "Errno" not in told.err


@pytest.mark.parametrize("arguments", [
    ("images", "{wim}"), ("verify", "--wim", "{wim}"), ("info", "x.img", "--search", "{base}"),
    ("sync", "none.wim", "{wim}"), ("capture", "x.img", "--wim", "x.wim", "--config", "{wim}"),
], ids=str)
def test_what_may_not_be_read_is_no_wrong_usage(
        arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words that a target has that may not be read, with the same advice."""
    wim = tmp_path / "secret.wim"
    wim.write_bytes(b"a text")
    monkeypatch.setattr("os.access", lambda path, _mode: Path(path) not in (wim, tmp_path))    # root may read all
    told = refused("host-not-usable", 1, *(one.format(wim=wim, base=tmp_path) for one in arguments))
    assert "failed: Permission denied" in told.err
    assert "permissions" in told.err
