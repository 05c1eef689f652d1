"""Formatting: mkntfs makes an empty volume in a sparse file, and what of it matters is copied to where it is wanted.

mkntfs can write neither into a partition of an image nor through a transaction, so it never sees the target.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Final, Self

from wimboot.errors import HostError, UsageError
from wimboot.ntfs.volume import Volume
from wimboot.storage import Device, FileDevice, HostFile
from wimboot.storage.scratch import path_for_child, scratch_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wimboot.events import Counter

__all__ = [
    "FormatFailed", "Formatted", "MkntfsMissing", "SizeNotFormattable", "check_formattable", "copy_formatted",
    "format_volume",
]

_SECTOR_SIZES: Final = (512, 1024, 2048, 4096)
_SMALLEST: Final = 2 << 20
"""Below about 1 MiB mkntfs fails; a Windows volume is never that small."""
_CLUSTER_SIZES: Final = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
_BITMAP_RECORD: Final = 6
_SERIAL_OFFSET: Final = 0x48
_STEP: Final = 1 << 20
_LABEL_LIMIT: Final = 32    # UTF-16 units, as Windows has it; mkntfs would take 128


class MkntfsMissing(HostError):
    """mkntfs is not installed."""

    id = "mkntfs-missing"
    sentence = "mkntfs is needed to format a volume, and it is not installed"
    advice = "Install the Debian package ntfs-3g."


class FormatFailed(HostError):
    """mkntfs did not make a volume."""

    id = "format-failed"
    sentence = "mkntfs failed: {why}"


class SizeNotFormattable(UsageError):
    """A size, cluster size or label that a volume cannot have."""

    id = "format-not-possible"
    sentence = (
        "a volume of {size:size} with clusters of {cluster_size} bytes and the label {label!r} cannot be made: {why}"
    )


class Formatted:
    """An empty NTFS volume in a sparse scratch file, which goes with `close`."""

    def __init__(self, file: HostFile) -> None:
        self.file = file

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_formattable(size: int, *, cluster_size: int = 4096, label: str = "", sector_size: int = 512,
                      hidden_sectors: int = 0) -> None:
    """Raises SizeNotFormattable where `format_volume` would."""
    why = None
    if sector_size not in _SECTOR_SIZES:
        why = f"no disk has sectors of {sector_size:,} bytes"
    elif size < _SMALLEST or size % sector_size:
        why = f"it takes whole sectors of {sector_size:,} bytes, {_SMALLEST:,} bytes at least"
    elif cluster_size not in _CLUSTER_SIZES:
        why = "that is no cluster size"
    elif cluster_size < sector_size:
        why = f"a cluster is never smaller than a sector, {sector_size:,} bytes"
    elif not 0 <= hidden_sectors < 1 << 32:
        why = f"its first sector, {hidden_sectors}, has no room in a boot sector"
    elif len(label.encode("utf-16-le", "surrogatepass")) > 2 * _LABEL_LIMIT or "\0" in label:
        why = f"a label has up to {_LABEL_LIMIT} characters"
    if why is not None:
        raise SizeNotFormattable(size=size, cluster_size=cluster_size, label=label, why=why)


def format_volume(size: int, *, cluster_size: int = 4096, label: str = "", sector_size: int = 512,
                  hidden_sectors: int = 0, serial: int | None = None,
                  folder: Path | None = None) -> Formatted:
    """Make an empty volume for a partition of `size` bytes that starts at sector `hidden_sectors` of its disk.

    `sector_size` is what the disk's sectors have: Windows mounts no volume that says otherwise.
    `folder` is where the temporary file lies; it takes about 70 MB, whatever the size.
    Raises MkntfsMissing, FormatFailed, SizeNotFormattable.
    """
    check_formattable(size, cluster_size=cluster_size, label=label, sector_size=sector_size,
                      hidden_sectors=hidden_sectors)
    volume = Formatted(scratch_file(folder, size=size))
    try:
        _run_mkntfs(volume.file, cluster_size, label, sector_size, hidden_sectors)
    except BaseException:
        volume.close()
        raise
    if serial is not None:
        for offset in (0, size - sector_size):
            volume.file.pwrite(offset + _SERIAL_OFFSET, serial.to_bytes(8, "little"))
    return volume


def _run_mkntfs(file: HostFile, cluster_size: int, label: str, sector_size: int, hidden_sectors: int) -> None:
    # -H and -S are what every BIOS of the last decades reports; Windows' boot code reads them.
    command = ["mkntfs", "-q", "-Q", "-F", "-s", str(sector_size), "-c", str(cluster_size), "-p", str(hidden_sectors),
               "-H", "255", "-S", "63", "-L", label, path_for_child(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False,
                              pass_fds=[file.fileno()],
                              env={"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    except FileNotFoundError as error:
        raise MkntfsMissing from error
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise FormatFailed(why=lines[-1] if lines else f"it ended with code {done.returncode}")


def copy_formatted(source: Formatted, device: Device, counter: Counter | None = None) -> None:
    """Write an empty volume over whatever `device` held. Its free clusters are left as they are.

    What mkntfs did not write in a cluster that it took is zeros, and is written as zeros. `counter` counts the bytes.
    """
    size = source.file.size()
    if device.size() != size:
        raise SizeNotFormattable(size=size, cluster_size=0, label="", why=f"{device.size():,} bytes are there for it")
    for start, end in _used(source, size):
        for offset in range(start, end, _STEP):
            part = source.file.pread(offset, min(_STEP, end - offset))
            device.pwrite(offset, part)
            if counter is not None:
                counter.add(len(part))


def _used(source: Formatted, size: int) -> Iterator[tuple[int, int]]:
    """Stretches of bytes that hold what is in use: clusters by $Bitmap, eight together, and the boot sector's copy."""
    with Volume(FileDevice(source.file), write=False, where="the new volume") as volume:
        bitmap = volume.read(_BITMAP_RECORD)
        step = 8 * volume.cluster_size
        end = volume.cluster_count * volume.cluster_size
    for run in re.finditer(rb"[^\x00]+", bitmap):
        if run.start() * step < end:
            yield run.start() * step, min(run.end() * step, end)
    yield end, size
