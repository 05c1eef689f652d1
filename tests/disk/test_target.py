"""Targets: what the user may name, what is refused and how, who holds the lock."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wimboot.disk import (
    BitLocker,
    DiskFormat,
    Mounted,
    NotADisk,
    Place,
    TableKind,
    Transaction,
    open_target,
    parse_place,
    peek,
    where_is,
)
from wimboot.disk.errors import LogWaits
from wimboot.disk.target import (
    Locked,
    LogFolderNeeded,
    LogVolatile,
    NoPartition,
    NotATarget,
    PartitionNeeded,
    ReadOnlyTarget,
    TargetMissing,
)
from wimboot.errors import Error, FormatError, UsageError
from wimboot.formats.mbr import Mbr, MbrEntry
from wimboot.storage.faults import Recorder

NTFS_SECTOR = b"\xebR\x90NTFS    ".ljust(510, b"\0") + b"\x55\xaa"


def an_mbr(*places: tuple[int, int, int], signature: int = 0x1234ABCD) -> bytes:
    """An MBR of (type, first sector, sectors)."""
    entries = [MbrEntry(type=kind, first_sector=first, sectors=count) for kind, first, count in places]
    one, two, three, four = (*entries, *(MbrEntry(),) * (4 - len(entries)))
    return Mbr(disk_signature=signature, entries=(one, two, three, four)).pack()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk with an NTFS partition, one that is not, and one of BitLocker."""
    path = tmp_path / "disk.img"
    data = bytearray(400 * 512)
    data[:512] = an_mbr((7, 63, 100), (0x83, 163, 10), (7, 200, 100))
    data[63 * 512:64 * 512] = NTFS_SECTOR
    data[200 * 512 + 3:200 * 512 + 11] = b"-FVE-FS-"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("text", "path", "partition"), [
    ("disk.img", "disk.img", None), ("disk.img#2", "disk.img", 2), ("a#b", "a#b", None), ("a#b#12", "a#b", 12),
    ("/dev/sda", "/dev/sda", None), ("#3", "#3", None), ("x#", "x#", None), ("x#-1", "x#-1", None),
])
def test_places_are_read_as_written(text: str, path: str, partition: int | None) -> None:
    """PATH or PATH#N; a # without a number belongs to the path."""
    assert parse_place(text) == Place(Path(path), partition)
    assert str(parse_place(text)) == text


@pytest.mark.parametrize("text", ["", "a\0b", "disk.img#0", "disk.img#1000", "x#00000000000000000001"])
def test_impossible_places_are_usage_errors(text: str) -> None:
    """Exit code 2, not a traceback."""
    with pytest.raises(UsageError):
        parse_place(text)


@given(st.text(max_size=20))
def test_any_text_is_a_place_or_a_usage_error(text: str) -> None:
    """And a place reads as it was written."""
    try:
        place = parse_place(text)
    except UsageError:
        return
    assert parse_place(str(place)) == place


def test_existing_file_with_a_number_in_its_name_is_itself(tmp_path: Path) -> None:
    """`disk#1` is that file where it exists."""
    (tmp_path / "disk#1").touch()
    assert parse_place(str(tmp_path / "disk#1")).partition is None
    assert parse_place(str(tmp_path / "disk#2")).partition == 2


def test_partitions_are_found_and_sliced(disk: Path) -> None:
    """Numbers, places in bytes, what Windows knows them by, which one is NTFS."""
    with open_target(parse_place(f"{disk}#1"), write=False) as target:
        assert target.table.kind is TableKind.MBR
        assert target.partition == 1
        assert target.slice(1) == (63 * 512, 100 * 512)
        assert [(one.number, one.ntfs, one.encrypted, one.type) for one in target.partitions] == [
            (1, True, False, "07"), (2, False, False, "83"), (3, False, True, "07")]
        assert target.disk_id == bytes.fromhex("cdab3412") + bytes(12)
        assert target.partitions[0].id == (63 * 512).to_bytes(8, "little") + bytes(8)
        with pytest.raises(NoPartition, match="it has 1, 2, 3") as caught:
            target.slice(4)
        assert caught.value.exit_code == 2
        with pytest.raises(PartitionNeeded):
            target.slice(None)
        assert not target.is_device


def test_bare_volume_is_all_of_its_file(tmp_path: Path) -> None:
    """A volume image has no partitions; the slice is the file."""
    (tmp_path / "v.img").write_bytes(NTFS_SECTOR + bytes(5000))
    with open_target(Place(tmp_path / "v.img"), write=True) as target:
        assert target.slice(None) == (0, 5512)
        assert (target.partitions, target.disk_id) == ((), None)
        with pytest.raises(NoPartition, match="none"):
            target.slice(1)


def test_blank_file_can_be_sliced_but_has_no_table(tmp_path: Path) -> None:
    """What is to be formatted may hold nothing yet."""
    (tmp_path / "v.img").write_bytes(bytes(5000))
    with open_target(Place(tmp_path / "v.img"), write=True) as target:
        assert target.slice(None) == (0, 5000)
        with pytest.raises(NotADisk):
            _ = target.table


@pytest.mark.parametrize(("head", "tail", "name"), [
    (b"vhdxfile", b"", "VHDX"), (b"QFI\xfb", b"", "QCOW2"), (b"KDMV", b"", "VMDK"),
    (b"# Disk DescriptorFile\n", b"", "VMDK"), (bytes(64) + b"\x7f\x10\xda\xbe", b"", "VDI"),
])
def test_disk_formats_are_named(tmp_path: Path, head: bytes, tail: bytes, name: str) -> None:
    """A disk that is not raw is recognised, also where it could be taken for one."""
    (tmp_path / "d").write_bytes(head.ljust(4096, b"\0") + tail)
    with open_target(Place(tmp_path / "d"), write=False) as target, pytest.raises(DiskFormat, match=f"a {name} disk"):
        _ = target.table


@pytest.mark.parametrize(("head", "tail"), [
    (b"conectix", b""), (NTFS_SECTOR, b"conectix".ljust(512, b"\0")), (NTFS_SECTOR, b"conectix".ljust(511, b"\0")),
    (bytes(512) + b"cxsparse", b""),
])
def test_a_damaged_vhd_is_not_taken_for_a_raw_disk(tmp_path: Path, head: bytes, tail: bytes) -> None:
    """Where any of its structures can still be recognised, its disk is not the file."""
    (tmp_path / "d").write_bytes(head.ljust(4096, b"\0") + tail)
    with open_target(Place(tmp_path / "d"), write=False) as target, pytest.raises(FormatError, match="VHD"):
        _ = target.table


@pytest.mark.parametrize(("data", "kind"), [
    (b"", NotADisk), (b"x", NotADisk), (bytes(8192), NotADisk), (b"\xeb\x58\x90-FVE-FS-".ljust(4096, b"\0"), BitLocker),
    (b"MSWIN4.1".ljust(510, b"x") + b"\x55\xaa", NotADisk), (an_mbr((0xEE, 1, 7)) + bytes(8000), FormatError),
    (an_mbr((7, 1, 1 << 30)) + bytes(8000), FormatError),
])
def test_what_holds_no_volume_is_refused(tmp_path: Path, data: bytes, kind: type[Error]) -> None:
    """One clear error each."""
    (tmp_path / "d").write_bytes(data)
    with open_target(Place(tmp_path / "d"), write=False) as target, pytest.raises(kind):
        _ = target.table


@settings(deadline=None)
@given(st.binary(max_size=2048))
def test_any_bytes_are_a_table_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Nothing on a disk makes reading it fail with anything but an Error."""
    path = tmp_path_factory.getbasetemp() / "any.img"
    for content in (data, data[:510].ljust(510, b"\0") + b"\x55\xaa" + data):
        path.write_bytes(content)
        with open_target(Place(path), write=False) as target, contextlib.suppress(Error):
            assert all(one.start + one.size <= len(content) for one in target.partitions)


def test_missing_and_odd_targets_are_refused(tmp_path: Path) -> None:
    """No file, a folder, a character device."""
    with pytest.raises(TargetMissing) as caught:
        open_target(Place(tmp_path / "none"), write=False)
    assert caught.value.exit_code == 2
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(NotATarget):
            open_target(Place(path), write=False)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(Error):
        open_target(Place(loop), write=False)


def test_lock_is_exclusive_for_writing_and_shared_for_reading(disk: Path) -> None:
    """Also against another process; given back at the end, and when it dies."""
    with open_target(Place(disk), write=False), open_target(Place(disk), write=False):
        with pytest.raises(Locked) as caught:
            open_target(Place(disk), write=True)
        assert caught.value.exit_code == 4
    script = ("import sys, pathlib\nfrom wimboot.disk import open_target, Place\n"
              f"t = open_target(Place(pathlib.Path({str(disk)!r})), write=True)\n"
              "print('held', flush=True)\nsys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for write in (False, True):
            with pytest.raises(Locked):
                open_target(Place(disk), write=write)
        other.kill()
        other.wait()
    open_target(Place(disk), write=True).close()


def test_failed_open_gives_the_lock_back(disk: Path) -> None:
    """An error after locking leaves nothing locked."""
    def opener(path: Path) -> Recorder:
        raise FormatError(str(path), 0, "broken on purpose")

    with pytest.raises(FormatError):
        open_target(Place(disk), write=True, opener=opener)  # type: ignore[arg-type]  # it never returns
    open_target(Place(disk), write=True).close()


def test_log_of_a_file_lies_beside_what_its_link_points_to(disk: Path, tmp_path: Path) -> None:
    """Whoever opens the file by any name finds the same log."""
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "alias"
    link.symlink_to(disk)
    with open_target(Place(link), write=True, log_folder=tmp_path / "links") as target:
        transaction = Transaction(target.file, target.folder, target.log_name, where="disk.img")
        assert (tmp_path / "disk.img.wimboot-log").exists()
    with open_target(Place(disk), write=False) as target:
        assert peek(target.folder, target.log_name)
    transaction.abort()
    with open_target(Place(disk), write=False) as target:
        assert not peek(target.folder, target.log_name)


def test_opener_sees_every_byte(disk: Path) -> None:
    """A recorder in place of the host's folders gets all writes of a run."""
    recorder = Recorder()
    with (open_target(Place(disk), write=True, opener=recorder.host) as target,
          Transaction(target.file, target.folder, target.log_name, where="disk.img") as transaction):
        transaction.device.pwrite(5000, b"written")
        transaction.commit()
    assert disk.read_bytes()[5000:5007] == b"written"
    assert {step.name for step in recorder.steps} == {"disk.img", "disk.img.wimboot-log", ""}
    recorder.close()


# -- with the kernel's own devices; skipped where this machine has none


def loop_device(path: Path) -> str:
    """A loop device over a file, its partitions made known."""
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    made = subprocess.run(["losetup", "--find", "--show", str(path)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    device = made.stdout.strip()
    subprocess.run(["partx", "--add", device], check=False, capture_output=True)
    return device


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A loop device with one partition, of the file beside it."""
    path = tmp_path / "loop.img"
    path.write_bytes(an_mbr((7, 2048, 40_000)).ljust(24 << 20, b"\0"))
    device = loop_device(path)
    try:
        if not Path(device + "p1").exists():
            pytest.skip("the kernel shows no partitions of loop devices")
        subprocess.run(["mkntfs", "-q", "-Q", "-F", device + "p1"], check=True, capture_output=True)
        yield device, path
    finally:
        subprocess.run(["partx", "--delete", device], check=False, capture_output=True)
        subprocess.run(["losetup", "--detach", device], check=False, capture_output=True)


def test_device_needs_a_durable_log_folder(loop: tuple[str, Path], durable: Path) -> None:
    """A device can be read without one; written only with one, and not with one in memory."""
    device, _ = loop
    with open_target(Place(Path(device + "p1")), write=False) as target:
        assert target.table.kind is TableKind.NONE
        assert target.is_device
        assert not peek(target.folder, target.log_name)
    with pytest.raises(LogFolderNeeded):
        open_target(Place(Path(device)), write=True)
    if Path("/dev/shm").is_dir():  # noqa: S108 - the one tmpfs that is everywhere
        with pytest.raises(LogVolatile):
            open_target(Place(Path(device)), write=True, log_folder=Path("/dev/shm"))  # noqa: S108
    with open_target(parse_place(f"{device}#1"), write=True, log_folder=durable) as target:
        assert target.slice(1) == (2048 * 512, 40_000 * 512)
        with pytest.raises(Locked):
            open_target(parse_place(f"{device}#1"), write=True, log_folder=durable)


def test_write_protected_device_is_refused_for_writing(loop: tuple[str, Path], durable: Path) -> None:
    """The medium's switch is seen before anything is tried."""
    device, _ = loop
    subprocess.run(["blockdev", "--setro", device + "p1"], check=True)
    open_target(Place(Path(device + "p1")), write=False).close()
    with pytest.raises(ReadOnlyTarget) as caught:
        open_target(Place(Path(device + "p1")), write=True, log_folder=durable)
    assert caught.value.exit_code == 1


def test_change_of_a_device_is_committed_through_the_log(loop: tuple[str, Path], durable: Path) -> None:
    """The whole way on a block device; its partition sees the disk's waiting log, and the disk its partition's."""
    device, path = loop
    for first, second in ((device, device + "p1"), (device + "p1", device)):
        with open_target(Place(Path(first)), write=True, log_folder=durable) as target:
            transaction = Transaction(target.file, target.folder, target.log_name, where=first)
            with pytest.raises(LogWaits):
                open_target(Place(Path(second)), write=False, log_folder=durable)
            transaction.device.pwrite(3 << 20, first.encode())
            transaction.commit()
            assert target.file.pread(3 << 20, len(first)) == first.encode()
    assert path.read_bytes()[3 << 20:][:len(device)] == device.encode()
    assert path.read_bytes()[4 << 20:][:len(device) + 2] == (device + "p1").encode()


def test_mounted_device_is_refused_by_every_name(loop: tuple[str, Path], tmp_path: Path) -> None:
    """The partition, its disk, the file under it; and the WIM's place is told from the mount."""
    device, path = loop
    point = tmp_path / "mounted"
    point.mkdir()
    mounted = subprocess.run(["ntfs-3g", device + "p1", str(point)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"FUSE does not work here: {mounted.stderr.strip()}")
    try:
        for name in (device, device + "p1", str(path)):
            for write in (False, True):
                with pytest.raises(Mounted, match=str(point)) as caught:
                    open_target(Place(Path(name)), write=write, log_folder=tmp_path)
                assert caught.value.exit_code == 4
        (point / "wim").mkdir()
        lies = where_is(point / "wim")
        assert (lies.kind, lies.mount_point, lies.inside) == ("fuseblk", point, "/wim")
        assert (lies.signature, lies.start, lies.partition) == (0x1234ABCD, 2048 * 512, 1)
        assert (lies.disk_guid, lies.partition_guid, lies.disk) == (None, None, Path(device))
    finally:
        subprocess.run(["umount", str(point)], check=True)
    open_target(Place(path), write=False).close()


def test_image_mounted_through_fuse_is_refused(tmp_path: Path) -> None:
    """ntfs-3g mounts image files without a device; the mount table names the file."""
    image, point = tmp_path / "v.img", tmp_path / "mounted"
    point.mkdir()
    image.write_bytes(bytes(8 << 20))
    subprocess.run(["mkntfs", "-q", "-Q", "-F", str(image)], check=True, capture_output=True)
    mounted = subprocess.run(["ntfs-3g", str(image), str(point)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"FUSE does not work here: {mounted.stderr.strip()}")
    try:
        with pytest.raises(Mounted):
            open_target(Place(image), write=True)
    finally:
        subprocess.run(["umount", str(point)], check=True)
