"""Volumes seen through the ntfs-3g driver: mounted for a test, and surely unmounted after it.

Several tests may do so at once: each mount has its own folder and its own driver process. The driver runs in the
foreground as our child, so that its end, not only the end of `umount`, says that everything has been written.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["carve", "copy_sparse", "mounted", "need_mounts"]

STREAMS = "streams_interface=windows,noatime,compression,efs_raw"
UTF_8 = {**os.environ, "LC_ALL": "C.UTF-8"}
PATIENCE_SECONDS = 30.0


def need_mounts() -> None:
    """Skip the test where volumes can't be mounted; fail it where WIMBOOT_REQUIRE_FUSE says that they can."""
    missing = ("mounting needs root" if os.geteuid() else
               "mounting needs /dev/fuse" if not Path("/dev/fuse").exists() else
               "mounting needs ntfs-3g" if shutil.which("ntfs-3g") is None else "")
    if missing and os.environ.get("WIMBOOT_REQUIRE_FUSE"):
        pytest.fail(f"{missing}, and WIMBOOT_REQUIRE_FUSE is set")
    if missing:
        pytest.skip(missing)


@contextmanager
def mounted(image: Path, *, offset: int = 0, write: bool = False) -> Iterator[Path]:
    """The volume at byte `offset` of `image` as a folder. A volume inside a disk can only be read."""
    need_mounts()
    with tempfile.TemporaryDirectory(prefix="wimboot-mount-") as scratch:
        volume = image
        if offset:
            assert not write, "a volume inside a disk is carved out of it: changes would be lost"
            volume = carve(image, offset, Path(scratch) / "volume.img")
        folder = Path(scratch) / "mnt"
        folder.mkdir()
        mode, said = "rw" if write else "ro", Path(scratch) / "said"
        with said.open("wb") as output:  # not a pipe: the driver says much about pointers, and a full pipe stops it
            driver = subprocess.Popen(["ntfs-3g", "-o", f"{mode},no_detach,{STREAMS}", str(volume), str(folder)],
                                      env=UTF_8, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            _wait_for_mount(driver, folder, said)
            yield folder
        finally:
            _unmount(driver, folder)


def _wait_for_mount(driver: subprocess.Popen[bytes], folder: Path, said: Path) -> None:
    outside = folder.parent.stat().st_dev
    deadline = time.monotonic() + PATIENCE_SECONDS
    while folder.stat().st_dev == outside:
        if driver.poll() is not None:
            raise AssertionError(f"ntfs-3g refused the volume: {said.read_text(errors='replace')}")
        if time.monotonic() > deadline:
            driver.kill()
            raise AssertionError("ntfs-3g did not mount the volume in time")
        time.sleep(0.004)


def _unmount(driver: subprocess.Popen[bytes], folder: Path) -> None:
    if driver.poll() is None:
        for arguments in ([], [], ["-l"]):
            if subprocess.run(["umount", *arguments, str(folder)], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
    try:
        driver.wait(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        driver.kill()
        driver.wait()
        raise


def carve(image: Path, offset: int, out: Path) -> Path:
    """Copy the NTFS volume at byte `offset` of `image` into the sparse file `out`."""
    with image.open("rb") as file:
        boot = os.pread(file.fileno(), 512, offset)
    assert boot[3:7] == b"NTFS", f"no NTFS volume at byte {offset} of {image}"
    sector, sectors = struct.unpack_from("<H", boot, 11)[0], struct.unpack_from("<Q", boot, 40)[0]
    copy_sparse(image, out, source_offset=offset, size=(sectors + 1) * sector)
    return out


def copy_sparse(source: Path, target: Path, *, source_offset: int = 0, target_offset: int = 0,
                size: int | None = None) -> None:
    """Copy bytes (`size` of them, or all) but not holes. `target` is made if need be, and grows to hold them."""
    with source.open("rb") as reader, target.open("r+b" if target.exists() else "w+b") as writer:
        whole = os.fstat(reader.fileno()).st_size
        size = whole if size is None else min(whole, source_offset + size)
        if os.fstat(writer.fileno()).st_size < target_offset + size - source_offset:
            writer.truncate(target_offset + size - source_offset)
        place = source_offset
        while place < size:
            try:
                place = os.lseek(reader.fileno(), place, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole to the end
                break
            end = min(size, os.lseek(reader.fileno(), place, os.SEEK_HOLE))
            while place < end:
                data = os.pread(reader.fileno(), min(end - place, 1 << 20), place)
                os.pwrite(writer.fileno(), data, target_offset + place - source_offset)
                place += len(data)
