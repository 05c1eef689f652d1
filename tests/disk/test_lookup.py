"""Disks by what Windows knows them by, on a made-up machine, and paths of volumes that do not lead out of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import build
from data_disks import MIB, make_disk
from wimboot.disk.lookup import attached_disks, disk_in, disk_of_partition, mount_points, path_in_mount
from wimboot.disk.mounts import Host
from wimboot.errors import HostError
from wimboot.formats.guid import parse_guid

SIGNATURE = build.DISK_SIGNATURE.to_bytes(4, "little") + bytes(12)
OFFSET = MIB.to_bytes(8, "little") + bytes(8)
GUIDS = parse_guid(str(build.DISK_GUID)), parse_guid(str(build.PARTITION_GUID))


@pytest.fixture
def machine(tmp_path: Path) -> Host:
    """A machine with an MBR disk, a GPT disk, a clone of the first, a drive without a medium, one we may not read."""
    host = Host(proc=tmp_path / "proc", sys=tmp_path / "sys", dev=tmp_path / "dev")
    (host.proc / "self").mkdir(parents=True)
    host.dev.mkdir()
    for name, table in (("sda", "mbr"), ("sdb", "gpt"), ("sdc", "mbr"), ("sdd", ""), ("sde", ""), ("sr0", "")):
        node = host.sys / "block" / name
        (node / "queue").mkdir(parents=True)
        (node / "queue" / "logical_block_size").write_text("512\n")
        (node / "size").write_text("0\n" if name == "sdd" else "69632\n")
        if table:
            make_disk(host.dev / name, table, size=8 * MIB)
            part = node / f"{name}1"
            part.mkdir()
            for fact, text in (("partition", "1"), ("start", str(MIB // 512)), ("dev", f"8:{ord(name[2])}")):
                (part / fact).write_text(text + "\n")
    return host


def mount(host: Host, *lines: str) -> None:
    """Write the mount table."""
    (host.proc / "self" / "mountinfo").write_text("\n".join(lines) + "\n")


def test_disks_are_told_apart_by_signature_and_guid(machine: Host) -> None:
    """Every disk of that identity is given, a clone too; a disk that cannot be read is named, the rest is left out."""
    disks = attached_disks(machine)
    assert [disk.path.name for disk in disks.found] == ["sda", "sdb", "sdc"]
    assert [path.name for path in disks.unread] == ["sde"]
    assert [disk.path.name for disk in disks.found if disk.partition(1, SIGNATURE, OFFSET)] == ["sda", "sdc"]
    assert [disk.path.name for disk in disks.found if disk.partition(0, *GUIDS)] == ["sdb"]
    for style, disk_id, partition_id in ((0, SIGNATURE, OFFSET), (1, SIGNATURE, bytes(16)), (1, bytes(16), OFFSET),
                                         (2, SIGNATURE, OFFSET), (0, GUIDS[0], GUIDS[0])):
        assert not any(disk.partition(style, disk_id, partition_id) for disk in disks.found)


def test_a_raid_is_one_disk(machine: Host) -> None:
    """Its members show the same table, and are not what Windows sees."""
    for name in ("sda", "sdc"):
        (machine.sys / "block" / name / "holders" / "md126").mkdir(parents=True)
    (machine.sys / "block" / "md126").mkdir()
    (machine.sys / "block" / "md126" / "size").write_text("69632\n")
    (machine.dev / "sda").rename(machine.dev / "md126")
    disks = attached_disks(machine)
    assert [disk.path.name for disk in disks.found] == ["md126", "sdb"]


def test_a_partition_is_known_where_it_is_mounted(machine: Host) -> None:
    """By its number, or by its node where a driver in user space mounted it; a part of it as that part."""
    first, second, _ = attached_disks(machine).found
    (partition,) = first.table.partitions
    assert mount_points(first, partition, machine) == []
    mount(machine, "20 1 8:97 / /mnt/a rw - ntfs3 /dev/x rw", "21 1 0:50 / /mnt/b rw - fuse /elsewhere rw",
          f"22 1 0:51 / /mnt/c rw - fuse {machine.dev}/sda1 rw", "23 1 8:97 /wims /mnt/d rw - ntfs3 /dev/x rw",
          "24 1 8:98 / /mnt/e rw - ntfs3 /dev/y rw")
    assert mount_points(first, partition, machine) == [
        (Path("/mnt/a"), "/"), (Path("/mnt/c"), "/"), (Path("/mnt/d"), "/wims")]
    assert mount_points(second, second.table.partitions[0], machine) == [(Path("/mnt/e"), "/")]


def test_a_partitions_device_leads_to_its_disk(machine: Host) -> None:
    """By its name and where it begins; a whole disk is no partition of one."""
    for name, kind in (("sda1", "mbr"), ("sdb1", "gpt")):
        found = disk_of_partition(machine.dev / name, machine)
        assert found is not None
        assert (found[0].path.name, found[0].table.kind.value, found[1].start) == (name[:3], kind, MIB)
    (machine.sys / "block" / "sda" / "sda1" / "start").write_text("9\n")
    assert disk_of_partition(machine.dev / "sda1", machine) is None
    assert disk_of_partition(machine.dev / "sda", machine) is None
    assert disk_of_partition(machine.dev / "loop7", machine) is None


def test_an_image_is_a_disk_where_it_has_a_table(tmp_path: Path) -> None:
    """A file of anything else is none; one that is missing cannot be read."""
    (tmp_path / "text").write_bytes(b"text" * 1000)
    assert disk_in(tmp_path / "text") is None
    disk = make_disk(tmp_path / "disk.img", "gpt", size=8 * MIB)
    found = disk_in(disk)
    assert found is not None
    assert found.partition(0, *GUIDS) is not None
    with pytest.raises(HostError):
        disk_in(tmp_path / "missing")


@pytest.fixture(scope="module")
def point(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mount point with folders, and links that lead out of it, round in it, and within it."""
    root = tmp_path_factory.mktemp("around")
    point = root / "point"
    (point / "Folder" / "Deeper").mkdir(parents=True)
    (root / "secret.wim").write_text("outside")
    (point / "Folder" / "Store.wim").write_text("inside")
    for name, target in (("out", root), ("up", Path("..")), ("round", Path("round")), ("within", Path("Folder")),
                         ("Folder/file", root / "secret.wim")):
        (point / name).symlink_to(target)
    return point


@pytest.mark.parametrize(("parts", "inside"), [
    (("Folder", "Store.wim"), True), (("FOLDER", "STORE.WIM"), True), (("within", "store.wim"), True),
    (("..", "secret.wim"), False), (("out", "secret.wim"), False), (("up", "secret.wim"), False),
    (("Folder", "file"), False), (("round", "x"), False), (("Folder", "..", "Folder", "Store.wim"), False),
    (("C:", "Folder", "Store.wim"), False), (("", "Folder", "Store.wim"), False), (("Folder/Store.wim",), False),
    (("Folder", "x" * 300), False), (("Folder", "\0"), False), (("Folder", "\ud800"), False),
])
def test_a_path_of_a_volume_stays_in_its_mount(point: Path, parts: tuple[str, ...], inside: bool) -> None:
    """Any case, and links within; nothing leads out."""
    found = path_in_mount(point, "/", parts)
    assert (found == point / "Folder" / "Store.wim") if inside else found is None


def test_a_mounted_folder_shows_what_is_below_it(point: Path) -> None:
    """Where only a folder of the volume is mounted, paths begin with it."""
    assert path_in_mount(point, "/some/place", ("SOME", "Place", "folder", "store.wim")) is not None
    assert path_in_mount(point, "/some/place", ("some", "folder", "store.wim")) is None


@given(st.lists(st.one_of(st.sampled_from(["..", ".", "", "out", "up", "Folder", "within", "secret.wim", "round"]),
                          st.text(max_size=4)), max_size=6))
def test_no_path_leads_out(point: Path, parts: list[str]) -> None:
    """Whatever names a hostile record holds."""
    found = path_in_mount(point, "/", parts)
    assert found is None or found.is_relative_to(point)
