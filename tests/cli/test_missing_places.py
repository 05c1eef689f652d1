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
