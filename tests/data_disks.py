"""A second disk with one NTFS partition at 1 MiB: as an image, attached as a device, or attached and mounted."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import build
from converted import fresh_volume
from mounting import copy_sparse, mounted
from partition_table import partition

__all__ = ["DURABLE", "MIB", "attached_disk", "data_disk", "make_disk", "node_of_partition"]

MIB = 1 << 20

DURABLE = Path("/var/tmp")  # noqa: S108 - only folders made for the purpose
"""Where files outlast a power cut, and device nodes can be used: not so in memory, where the default suite works."""


def make_disk(
    disk: Path, table: str, fill: Callable[[Path], object] | None = None, *, signature: int = build.DISK_SIGNATURE,
    size: int = 32 * MIB,
) -> Path:
    """A disk image; `fill` is given the root of its volume."""
    volume = disk.with_name(f"{disk.stem}-volume.img")
    fresh_volume(volume, size)
    if fill is not None:
        with mounted(volume, write=True) as root:
            fill(root)
    place = f"start={MIB // 512}, size={size // 512}"
    script = (f"label: dos\nlabel-id: {signature:#x}\n{place}, type=7\n" if table == "mbr" else
              f"label: gpt\nlabel-id: {build.DISK_GUID}\n{place}, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, "
              f"uuid={build.PARTITION_GUID}\n")
    partition(disk, script, size=size + 2 * MIB)
    copy_sparse(volume, disk, target_offset=MIB)
    volume.unlink()
    return disk


@contextmanager
def attached_disk(disk: Path, *options: str) -> Iterator[Path]:
    """The image as a block device with partitions; `options` are losetup's."""
    made = subprocess.run(["losetup", "--find", "--show", "--partscan", *options, str(disk)], capture_output=True,
                          text=True, check=False)
    if made.returncode:
        pytest.skip(f"there are no loop devices here: {made.stderr.strip()}")
    device = made.stdout.strip()
    try:
        yield Path(device)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def data_disk(folder: Path, table: str) -> Iterator[Path]:
    """A second disk with an NTFS partition, mounted as a user's would be."""
    disk = make_disk(folder / "data.img", table)
    with attached_disk(disk) as device, tempfile.TemporaryDirectory(dir=DURABLE, prefix="wimboot-nodes-") as nodes:
        partition = node_of_partition(device.name, Path(nodes))
        with mounted(partition, write=True) as root:
            yield root


def node_of_partition(name: str, folder: Path, number: int = 1) -> Path:
    """A partition of a loop device as a node; ours, in `folder`, where no udev makes one."""
    node = Path(f"/dev/{name}p{number}")
    if node.exists():
        return node
    known = Path(f"/sys/block/{name}/{name}p{number}/dev")
    if not known.exists():
        subprocess.run(["partx", "--add", f"/dev/{name}"], capture_output=True, check=False)
    if not known.exists():
        pytest.skip("loop devices have no partitions here")
    major, minor = map(int, known.read_text().split(":"))
    own = folder / node.name
    try:
        os.mknod(own, stat.S_IFBLK | 0o600, os.makedev(major, minor))
        own.open("rb").close()
    except OSError as error:
        pytest.skip(f"device nodes cannot be used here: {error}")
    return own
