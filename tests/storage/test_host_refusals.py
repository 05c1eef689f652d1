"""What the host refuses, as an error of this program."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from wimboot.errors import HostError
from wimboot.storage import OutOfSpace, host_error, read_start

if TYPE_CHECKING:
    from pathlib import Path


def test_the_start_of_a_file_is_read(tmp_path: Path) -> None:
    """No more than asked for, and no more than there is."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert (read_start(path, 2), read_start(path, 9)) == (b"ab", b"abc")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With what the system says of it."""
    with pytest.raises(HostError) as caught:
        read_start(tmp_path, 1)
    assert caught.value.facts == {
        "what": "reading", "where": str(tmp_path), "why": "Is a directory", "errno": errno.EISDIR}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_apart(code: int) -> None:
    """There the user can do something."""
    assert type(host_error("creating", "x", OSError(code, "full"))) is OutOfSpace
