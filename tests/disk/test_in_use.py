"""Whoever uses the bytes of a target, by whatever name and lock, is noticed before they are read or written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wimboot.disk import Mounted, Place, Transaction, open_target, waiting_logs
from wimboot.disk.errors import LogWaits
from wimboot.disk.target import Locked
from wimboot.storage import HostFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 8 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A file of zeros."""
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(SIZE))
    return path


def is_free(path: Path, *, write: bool) -> bool:
    """Whether the target can be opened."""
    try:
        open_target(Place(path), write=write, log_folder=path.parent).close()
    except (Locked, Mounted):
        return False
    return True


# -- locks held for a moment

def test_a_writer_waits_for_who_only_looks(image: Path) -> None:
    """udev, or a run that looks who uses a WIM, has a lock for a fraction of a second."""
    with image.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        release = threading.Timer(0.3, fcntl.flock, (other, fcntl.LOCK_UN))
        release.start()
        assert is_free(image, write=True)
        release.join()


# -- byte-range locks


@pytest.mark.parametrize(("kind", "start", "size", "free"), [
    (fcntl.F_WRLCK, 0, 0, {False: False, True: False}),
    (fcntl.F_RDLCK, 101, 1, {False: False, True: False}),  # as QEMU says that it writes
    (fcntl.F_RDLCK, 100, 1, {False: True, True: False}),   # as it says that it reads
    (fcntl.F_RDLCK, 0, 0, {False: True, True: False}),
], ids=["all", "writing", "reading", "all shared"])
def test_byte_range_locks_are_respected(image: Path, kind: int, start: int, size: int, free: dict[bool, bool]) -> None:
    """A lock of an open file description, as virtual machines take it, keeps us out."""
    with image.open("r+b") as other:
        fcntl.fcntl(other, fcntl.F_OFD_SETLK, struct.pack("@hhqqi4x", kind, os.SEEK_SET, start, size, 0))
        assert {write: is_free(image, write=write) for write in (False, True)} == free
    assert is_free(image, write=True)


def test_image_of_a_running_machine_is_refused(image: Path) -> None:
    """QEMU's block layer has the image open to write, and is found by its locks alone."""
    if shutil.which("qemu-io") is None:
        pytest.skip("qemu-io is not installed")
    with subprocess.Popen(["qemu-io", "-f", "raw", str(image)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as machine:
        assert machine.stdin is not None
        assert machine.stdout is not None
        machine.stdin.write("length\n")
        machine.stdin.flush()
        assert machine.stdout.readline()
        for write in (False, True):
            with pytest.raises(Locked):
                open_target(Place(image), write=write)
        machine.stdin.close()
    assert is_free(image, write=True)


def test_image_that_is_open_here_is_refused_by_qemu(image: Path) -> None:
    """To write it, QEMU is kept out entirely; to read it, other readers are let in, writers are not."""
    if shutil.which("qemu-io") is None:
        pytest.skip("qemu-io is not installed")

    def opens(*options: str) -> bool:
        command = ["qemu-io", "-f", "raw", *options, "-c", "length", str(image)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    with open_target(Place(image), write=True):
        assert (opens("-r"), opens()) == (False, False)
    with open_target(Place(image), write=False), open_target(Place(image), write=False):
        assert (opens("-r"), opens()) == (True, False)
    assert opens()


# -- other names


def test_process_that_writes_the_file_is_named(image: Path, tmp_path: Path) -> None:
    """It locks nothing, and has the file open by a name that is gone."""
    alias = tmp_path / "alias.img"
    alias.hardlink_to(image)
    script = f"import sys; f = open({str(alias)!r}, 'r+b'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        alias.unlink()
        for write in (False, True):
            with pytest.raises(Mounted, match=f"process {other.pid}") as caught:
                open_target(Place(image), write=write)
            assert caught.value.exit_code == 4
        other.kill()
    assert is_free(image, write=True)


def test_process_that_reads_the_file_is_let_be(image: Path) -> None:
    """A reader harms nothing, nor does who writes another file."""
    script = f"import sys; f = open({str(image)!r}, 'rb'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        assert is_free(image, write=True)
        other.kill()


def test_image_mounted_under_another_name_is_refused(image: Path, tmp_path: Path) -> None:
    """Renamed after mounting, and by a hard link."""
    point, renamed, link = tmp_path / "mounted", tmp_path / "renamed.img", tmp_path / "link.img"
    point.mkdir()
    link.hardlink_to(image)
    subprocess.run(["mkntfs", "-q", "-Q", "-F", str(image)], check=True, capture_output=True)
    if subprocess.run(["ntfs-3g", str(image), str(point)], capture_output=True, check=False).returncode:
        pytest.skip("FUSE does not work here")
    try:
        with pytest.raises(Mounted, match=str(point)):
            open_target(Place(link), write=True)
        image.rename(renamed)
        for path in (renamed, link):
            with pytest.raises(Mounted, match="ntfs-3g"):
                open_target(Place(path), write=True)
    finally:
        subprocess.run(["umount", str(point)], check=True)
    for _ in range(100):  # the driver ends a moment after the mount does
        if is_free(link, write=True):
            return
        time.sleep(0.02)
    pytest.fail("the target stayed in use")


# -- loop devices


@pytest.fixture
def loop(image: Path) -> Iterator[Path]:
    """A loop device over the image."""
    made = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    try:
        yield Path(made.stdout.strip())
    finally:
        subprocess.run(["losetup", "--detach", made.stdout.strip()], check=False, capture_output=True)


def test_file_under_a_loop_device_is_not_written(image: Path, loop: Path, tmp_path: Path) -> None:
    """By no name that the file has; reading it is allowed."""
    link, renamed = tmp_path / "link.img", tmp_path / "renamed.img"
    link.hardlink_to(image)
    image.rename(renamed)
    for path in (link, renamed):
        with pytest.raises(Mounted, match=str(loop)):
            open_target(Place(path), write=True)
        open_target(Place(path), write=False).close()


def test_loop_device_and_its_file_exclude_each_other(image: Path, loop: Path, tmp_path: Path, durable: Path) -> None:
    """Who writes the device has the file locked too, and finds the log that waits beside it."""
    with open_target(Place(loop), write=True, log_folder=durable), pytest.raises(Locked):
        open_target(Place(image), write=False)
    with open_target(Place(image), write=False), pytest.raises(Locked):
        open_target(Place(loop), write=True, log_folder=durable)
    (tmp_path / "disk.img.wimboot-log").touch()
    with pytest.raises(LogWaits):
        open_target(Place(loop), write=True, log_folder=durable)


def test_file_put_in_place_of_the_one_under_a_loop_device_is_another(
    image: Path, loop: Path, tmp_path: Path, durable: Path
) -> None:
    """The path that the device tells is not taken for the file."""
    image.rename(tmp_path / "renamed.img")
    image.write_bytes(bytes(SIZE))
    with open_target(Place(loop), write=True, log_folder=durable):
        assert is_free(image, write=True)


# -- logs out of sight


def test_waiting_logs_are_named_with_their_targets(image: Path, tmp_path: Path) -> None:
    """Those that tell what they are for, and those that do not."""
    folder = tmp_path / "logs"
    folder.mkdir()
    assert waiting_logs(folder) == waiting_logs(tmp_path / "none") == []
    (folder / "broken.wimboot-log").write_bytes(b"WBLOG\r\n\x1a" + bytes(5000))
    (folder / "other.txt").touch()
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(open_target(Place(image), write=True))
        transaction = stack.enter_context(
            Transaction(target.file, HostFolder(folder), "usb.wimboot-log", where="/dev/sd\nb#2"))
        transaction.device.pwrite(0, b"new")
        transaction.prepare()
        assert waiting_logs(folder) == ["broken.wimboot-log", "usb.wimboot-log (/dev/sd?b#2)"]
