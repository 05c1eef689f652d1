"""Where a host file lies, and who uses a device: against made-up machines, for this one has only one shape."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partition_table import partition
from wimboot.disk import Mounted, PlaceUnknown, where_is
from wimboot.disk.mounts import Host, mount_of, mounts
from wimboot.disk.use import refuse_if_used, related_devices
from wimboot.formats.mbr import Mbr, MbrEntry


def escaped(text: str) -> str:
    """As the kernel writes names into the mount table."""
    for letter in "\\ \t\n":
        text = text.replace(letter, f"\\{ord(letter):03o}")
    return text


class Machine:
    """A /proc, /sys and /dev of our own making. `real` is a folder whose files lie on the device 8:1."""

    def __init__(self, root: Path) -> None:
        self.host = Host(proc=root / "proc", sys=root / "sys", dev=root / "dev")
        self.real = root / "mnt"
        self.real.mkdir()
        self.lines: list[str] = []
        (self.host.proc / "self").mkdir(parents=True)
        (self.host.sys / "block").mkdir(parents=True)
        (self.host.sys / "dev" / "block").mkdir(parents=True)
        self.host.dev.mkdir()

    def device(self, name: str, number: str, parent: str = "", **facts: str) -> Path:
        """A disk, or a partition of `parent`."""
        node = self.host.sys / "devices" / parent / name
        (node / "holders").mkdir(parents=True)
        (node / "dev").write_text(number + "\n")
        for fact, text in facts.items():
            place = node / fact.replace("__", "/")
            place.parent.mkdir(exist_ok=True)
            place.write_text(text + "\n")
        (self.host.sys / "dev" / "block" / number).symlink_to(node)
        if not parent:
            (self.host.sys / "block" / name).symlink_to(node)
        return node

    def mount(self, number: str, point: Path | str, kind: str = "ext4", source: str = "/dev/x", root: str = "/",
              options: str = "rw") -> None:
        """One more line of the mount table."""
        self.lines.append(f"{20 + len(self.lines)} 1 {number} {escaped(root)} {escaped(str(point))} "
                          f"{options},relatime shared:1 - {kind} {source} {options}")
        (self.host.proc / "self" / "mountinfo").write_text("\n".join(self.lines) + "\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with a root file system and nothing else."""
    machine = Machine(tmp_path)
    machine.mount("8:9", "/")
    return machine


def our_number(path: Path) -> str:
    """The device number that the kernel gives for a path of this machine."""
    status = path.stat()
    return f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"


def an_mbr(*, signature: int = 0xCAFE) -> bytes:
    """A disk with one NTFS partition at sector 2048."""
    entry = MbrEntry(type=7, first_sector=2048, sectors=2048)
    return Mbr(disk_signature=signature, entries=(entry, MbrEntry(), MbrEntry(), MbrEntry())).pack()


def with_partition(machine: Machine, disk: bytes) -> None:
    """The files of `machine.real` lie on partition 1 of sda."""
    machine.device("sda", "8:0", queue__logical_block_size="512")
    machine.device("sda1", our_number(machine.real), parent="sda", partition="1", start="2048")
    (machine.host.dev / "sda").write_bytes(disk.ljust(4 << 20, b"\0"))
    machine.mount(our_number(machine.real), machine.real, "ntfs3", "/dev/sda1")


def test_place_of_a_file_on_an_mbr_disk(machine: Machine) -> None:
    """Signature and offset, by which Windows finds the partition."""
    with_partition(machine, an_mbr())
    (machine.real / "dir").mkdir()
    (machine.real / "dir" / "file.wim").touch()
    lies = where_is(machine.real / "dir" / "file.wim", machine.host)
    assert (lies.kind, lies.mount_point, lies.inside) == ("ntfs3", machine.real, "/dir/file.wim")
    assert (lies.signature, lies.start, lies.partition, lies.disk_guid) == (0xCAFE, 1 << 20, 1, None)


def test_place_of_a_file_on_a_gpt_disk(machine: Machine, tmp_path: Path) -> None:
    """Disk and partition GUID, as sfdisk wrote them."""
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(4 << 20))
    partition(disk, "label: gpt\nlabel-id: 00112233-4455-6677-8899-AABBCCDDEEFF\n"
              "start=2048,size=1000,uuid=01020304-0506-0708-090A-0B0C0D0E0F10\n")
    with_partition(machine, disk.read_bytes())
    lies = where_is(machine.real, machine.host)
    assert lies.disk_guid == bytes.fromhex("33221100554477668899aabbccddeeff")
    assert lies.partition_guid == bytes.fromhex("0403020106050807090a0b0c0d0e0f10")
    assert (lies.signature, lies.start, lies.inside) == (0, 1 << 20, "/")


def test_path_inside_follows_bind_mounts(machine: Machine) -> None:
    """Where a folder of the volume is mounted, the path within the volume is longer than the one below the mount."""
    machine.mount(our_number(machine.real), machine.real, "ntfs3", root="/store room/wims")
    (machine.real / "file.wim").touch()
    assert where_is(machine.real / "file.wim", machine.host).inside == "/store room/wims/file.wim"


def test_last_mount_on_a_point_counts(machine: Machine, tmp_path: Path) -> None:
    """A mount hides the one below it; blanks and backslashes in names are undone."""
    odd = tmp_path / "mnt" / "a b\\c\nd"
    odd.mkdir()
    machine.mount("8:5", machine.real, "vfat")
    machine.mount("8:6", machine.real, "exfat")
    machine.mount("8:7", odd, "ntfs3")
    assert [mount.device for mount in (mount_of(machine.real / "x", machine.host), mount_of(odd / "x", machine.host),
                                       mount_of(Path("/other"), machine.host)) if mount] == ["8:6", "8:7", "8:9"]


@pytest.mark.parametrize("kind", ["overlay", "nfs4", "cifs", "tmpfs", "fuse.sshfs", "fuse", "9p", "virtiofs"])
def test_place_on_no_disk_is_unknown_but_its_kind_is_told(machine: Machine, kind: str) -> None:
    """The file system is known at once; asking for the disk says why there is none."""
    machine.mount("0:99", machine.real, kind)
    lies = where_is(machine.real, machine.host)
    assert lies.kind == kind
    with pytest.raises(PlaceUnknown, match="no volume of a disk") as caught:
        _ = lies.signature
    assert caught.value.exit_code == 4
    assert "--wim-place" in caught.value.hint


def test_place_is_unknown_for_one_clear_reason(machine: Machine, tmp_path: Path) -> None:
    """No such file; a device that the kernel does not know; a mapped device; a disk without partitions."""
    with pytest.raises(PlaceUnknown, match="No such file"):
        where_is(tmp_path / "nowhere", machine.host)
    number = our_number(machine.real)
    machine.mount(number, machine.real, "ntfs3")
    lies = where_is(machine.real, machine.host)
    with pytest.raises(PlaceUnknown, match="not known to the kernel"):
        _ = lies.start
    node = machine.device("dm-0", number, dm__name="secret")
    with pytest.raises(PlaceUnknown, match="mapped device"):
        _ = where_is(machine.real, machine.host).start
    (node / "dm" / "name").unlink()
    (node / "dm").rmdir()
    with pytest.raises(PlaceUnknown, match="without partitions"):
        _ = where_is(machine.real, machine.host).start


@pytest.mark.parametrize(("disk", "why"), [
    (an_mbr(signature=0), "no disk signature"), (bytes(512), "no partition table"),
    (Mbr(disk_signature=5).pack(), "no partition at byte 1,048,576"), (None, "does not exist"),
])
def test_disk_that_does_not_tell_is_named(machine: Machine, disk: bytes | None, why: str) -> None:
    """The table that was read contradicts, or could not be read."""
    with_partition(machine, disk or b"")
    if disk is None:
        (machine.host.dev / "sda").unlink()
    with pytest.raises(PlaceUnknown, match=why):
        _ = where_is(machine.real, machine.host).partition_guid


@given(st.text(max_size=200))
def test_any_mount_table_is_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Lines of another form are passed over."""
    root = tmp_path_factory.getbasetemp() / "proc"
    (root / "self").mkdir(parents=True, exist_ok=True)
    (root / "self" / "mountinfo").write_text("8 1 8:1 / / rw - ext4 /dev/x rw\n" + text, errors="replace")
    assert mounts(Host(proc=root))[0].device == "8:1"


def test_image_under_a_mounted_loop_device_is_refused(machine: Machine, tmp_path: Path) -> None:
    """Through a partition of it, and through a mapped device that stands on that."""
    image = tmp_path / "disk.img"
    image.touch()
    loop = machine.device("loop0", "7:0", loop__backing_file=str(image))
    part = machine.device("loop0p1", "259:0", parent="loop0", partition="1")
    mapped = machine.device("dm-0", "252:0")
    with pytest.raises(Mounted, match="loop0 is made of it"):
        refuse_if_used(image, write=True, host=machine.host)
    refuse_if_used(image, write=False, host=machine.host)
    (part / "holders" / "dm-0").symlink_to(mapped)
    machine.mount("252:0", "/somewhere", options="ro")
    with pytest.raises(Mounted, match="/somewhere"):
        refuse_if_used(image, write=True, host=machine.host)
    refuse_if_used(image, write=False, host=machine.host)
    (loop / "loop" / "backing_file").write_text(str(image) + ".other")
    refuse_if_used(image, write=True, host=machine.host)


def test_swap_file_is_refused(machine: Machine, tmp_path: Path) -> None:
    """A target that is swap space."""
    image = tmp_path / "swap.img"
    image.touch()
    (machine.host.proc / "swaps").write_text(f"Filename Type Size Used Priority\n{image} file 1 0 -2\n")
    with pytest.raises(Mounted, match="swap"):
        refuse_if_used(image, write=True, host=machine.host)


def test_image_named_by_the_mount_table_is_refused(machine: Machine, tmp_path: Path) -> None:
    """What FUSE mounted, without a device."""
    image = tmp_path / "v.img"
    image.touch()
    machine.mount("0:55", "/fuse", "fuse", str(image))
    with pytest.raises(Mounted, match="/fuse"):
        refuse_if_used(image, write=False, host=machine.host)


def test_relatives_of_no_device_are_none(machine: Machine, tmp_path: Path) -> None:
    """A kernel that tells nothing is no error."""
    (tmp_path / "x").touch()
    assert related_devices(tmp_path / "x", machine.host) == []
    refuse_if_used(tmp_path / "gone", write=True, host=machine.host)
    (machine.host.proc / "self" / "mountinfo").unlink()
    refuse_if_used(tmp_path / "x", write=True, host=machine.host)
