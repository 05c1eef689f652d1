"""Formatting a volume anew keeps what it cannot do without: sector size, boot sector's copy; or refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import build
from converted import LOST_BITS
from judges import every_pointer_leads_home, sound_volume
from mounting import UTF_8, copy_sparse, mounted
from partition_table import partition
from running import NO_PLACE, done, refused
from snapshots import differences, seen_through, snapshot
from wimboot.formats.ntfsboot import BootSector
from wimboot.ntfs.metafile import BITMAP_RECORD, DATA, Metafiles
from wimboot.storage import HostFile

LARGE = 4096
LEFT_OUT = ("System Volume Information",)


def large_sectors(path: Path, source: Path, size: int = 32 << 20) -> Path:
    """The files of a volume on one for a disk whose sectors have 4,096 bytes."""
    path.write_bytes(b"")
    with path.open("r+b") as file:
        file.truncate(size)
    subprocess.run(["mkntfs", "-q", "-Q", "-F", "-s", str(LARGE), "-p", "256", "-H", "255", "-S", "63", str(path)],
                   check=True, capture_output=True, env=UTF_8)
    wim = path.with_suffix(".wim")
    done("capture", source, "--wim", wim)
    done("apply", wim, "1", path, "--full")
    wim.unlink()
    return path


def test_sectors_of_4096_bytes_stay_so(pristine_small: Path, tmp_path: Path) -> None:
    """In the boot sector and in its copy, which lies in the last sector; a 4Kn disk mounts no other volume."""
    volume, wim = large_sectors(tmp_path / "large.img", pristine_small), tmp_path / "store.wim"
    before = snapshot(volume)
    done("convert", volume, "--wim", wim, "--format", "--yes", *NO_PLACE)
    data = volume.read_bytes()
    boot = BootSector.parse(data)
    assert boot.sector_size == LARGE
    assert boot.volume_size == len(data) - LARGE
    assert data[:512] == data[-LARGE:-LARGE + 512]
    sound_volume(volume)
    assert not differences(before, seen_through(snapshot(volume)), attribute_mask=LOST_BITS, without=LEFT_OUT)
    assert every_pointer_leads_home(volume, wim, {}) > 20
    done("apply", wim, "1", volume, "--full", "--format", "--yes")
    assert BootSector.parse(volume.read_bytes()).sector_size == LARGE
    sound_volume(volume)


def test_hidden_sectors_count_the_disks_own(pristine_small: Path, tmp_path: Path) -> None:
    """A partition at 1 MiB begins at sector 256 of a disk with large sectors."""
    volume, wim, disk = tmp_path / "large.img", tmp_path / "store.wim", tmp_path / "disk.img"
    large_sectors(volume, pristine_small)
    done("capture", volume, "--wim", wim)
    place = f"start={(1 << 20) // 512}, size={(32 << 20) // 512}"
    partition(disk, f"label: dos\nlabel-id: {build.DISK_SIGNATURE:#x}\n{place}, type=7\n", size=34 << 20)
    copy_sparse(volume, disk, target_offset=1 << 20)
    done("apply", wim, "1", f"{disk}#1", "--full", "--format", "--yes")
    boot = BootSector.parse(disk.read_bytes()[1 << 20:])
    assert (boot.sector_size, boot.hidden_sectors) == (LARGE, 256)
    sound_volume(disk, 1 << 20)


@pytest.fixture
def worn(small_volume: Path) -> Path:
    """A volume whose last cluster is bad, as chkdsk notes it: a run in $BadClus:$Bad, a bit in $Bitmap."""
    device = HostFile.open(small_volume, write=True)
    files = Metafiles(device)
    last, size = files.boot.total_clusters - 1, files.boot.cluster_size
    bitmap = files.attribute(BITMAP_RECORD, DATA)
    assert bitmap is not None
    place = (bitmap.runs[0][0] or 0) * size + last // 8
    (bits,) = device.pread(place, 1)
    assert not bits & 1 << last % 8
    device.pwrite(place, bytes((bits | 1 << last % 8,)))
    record = files.boot.mft_lcn * size + 8 * files.boot.record_size
    raw = device.pread(record, files.boot.record_size)
    runs = b"\x02" + (last + 1).to_bytes(2, "little") + bytes(5)     # one hole, as mkntfs makes it
    now = b"\x02" + last.to_bytes(2, "little") + b"\x21\x01" + last.to_bytes(2, "little") + b"\0"
    assert raw.count(runs) == 1
    device.pwrite(record, raw.replace(runs, now))
    device.close()
    return small_volume


def test_bad_clusters_are_never_forgotten(worn: Path, tmp_path: Path) -> None:
    """Formatting is refused before anything is written; converting in place is not."""
    wim = tmp_path / "store.wim"
    refused("bad-clusters", 4, "convert", worn, "--wim", wim, "--format", "--yes", *NO_PLACE, watching=(worn, wim))
    done("convert", worn, "--wim", wim, *NO_PLACE)
    refused("bad-clusters", 4, "apply", wim, "1", worn, "--full", "--format", "--yes", watching=(worn, wim))
    refused("bad-clusters", 4, "restore", worn, "--wim", wim, "--format", "--yes", watching=(worn, wim))
    with mounted(worn) as root:
        assert (root / "Windows").is_dir()
