"""What the host refuses, as an error of this program."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from wimboot.errors import HostError
from wimboot.storage import HostFolder, HostMissing, HostNotUsable, OutOfSpace, host_error, read_start, resolved


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


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR])
def test_a_place_that_cannot_be_used_is_told_apart(code: int) -> None:
    """With advice: another place, or another permission."""
    error = host_error("creating", "x", OSError(code, "no"))
    assert type(error) is HostNotUsable
    assert (str(error), error.facts["errno"]) == ("creating x failed: no", code)
    assert "permissions" in error.hint


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    """The folder where that is what is missing, else the file; it is the command that is wrong."""
    with pytest.raises(HostMissing, match=f"^{tmp_path / 'none'} does not exist") as caught:
        HostFolder(tmp_path / "none").create("file")
    assert caught.value.exit_code == 2
    assert caught.value.hint
    with pytest.raises(HostMissing, match=f"^{tmp_path / 'none'} does not exist"):
        HostFolder(tmp_path / "none").free_size()
    with pytest.raises(HostMissing, match=f"^{tmp_path / 'file'} does not exist"):
        read_start(tmp_path / "file", 1)


def test_links_are_followed_as_far_as_there_is_something(tmp_path: Path) -> None:
    """To a file that does not exist yet too; a circle of links, or a link into one, is refused."""
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert resolved(tmp_path / "link/new.wim", "it") == tmp_path.resolve() / "folder/new.wim"
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    for path in (tmp_path / "one", tmp_path / "two/file"):
        with pytest.raises(HostError, match="opening it failed: its symbolic links lead in a circle"):
            resolved(path, "it")
