"""Boot environment devices: the specification's bytes, real stores' bytes, laws, and damage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from regipy.registry import RegistryHive

from wimboot.errors import FormatError
from wimboot.formats.bootdevice import (
    BootDevice,
    Device,
    FileDevice,
    LocateDevice,
    LocateKind,
    OpaqueDevice,
    PartitionDevice,
    PartitionStyle,
    RamdiskDevice,
    VhdDevice,
    VirtualDiskDevice,
    same_location,
)
from wimboot.formats.bootdeviceread import MAX_DEPTH, parse_device
from wimboot.formats.guid import parse_guid

SHARED = Path(__file__).parents[2].parent / "shared"
U32 = st.integers(0, 0xFFFF_FFFF)
ID = st.binary(min_size=16, max_size=16)
PATHS = st.text(st.characters(codec="utf-16-le", exclude_characters="\0"), max_size=30)
PARTITIONS = st.builds(PartitionDevice, style=U32, partition_id=ID, disk_id=ID, flags=U32)
PLAIN_FILES = st.builds(FileDevice, parent=PARTITIONS | st.just(BootDevice()), path=PATHS, flags=U32)
VHDS = st.builds(VhdDevice, style=U32, partition_id=ID, disk_id=ID, container=PLAIN_FILES, flags=U32)
RAMDISKS = st.builds(RamdiskDevice, parent=PARTITIONS | st.just(BootDevice()), path=PATHS, flags=U32, offset=U32,
                     base=st.integers(0, 2 ** 64 - 1), size=st.integers(0, 2 ** 64 - 1))
EVERYWHERE = st.builds(LocateDevice, kind=U32, element=U32, path=PATHS, flags=U32)
DISKS = st.builds(VirtualDiskDevice, file=PLAIN_FILES | st.builds(FileDevice, parent=EVERYWHERE, path=PATHS))
LOCATED = st.builds(LocateDevice, kind=U32, element=U32, path=PATHS, flags=U32, parent=DISKS)
DEVICES = (PARTITIONS | PLAIN_FILES | VHDS | st.builds(FileDevice, parent=VHDS, path=PATHS) | RAMDISKS | EVERYWHERE
           | DISKS | LOCATED)

PHYSICAL = PartitionDevice.mbr(0x5CBEA03E, 0x100000)
IN_VHD = bytes.fromhex(
    "00000000 00000000 f2000000 00000000 05000000 01000000 de000000 05000000"
    "06000000 00000000 bc000000 00000000 00001000 00000000 00000000 00000000"
    "06000000 01000000 44332211 00000000 00000000 00000000"
    "00000000 00000000 84000000 00000000 05000000 01000000 70000000 05000000"
    "06000000 00000000 48000000 00000000 00001000 00000000 00000000 00000000"
    "00000000 01000000 3ea0be5c" + "00" * 28) + "\\x64\\win7.vhd\0\\wim\\w.wim\0".encode("utf-16-le")


def test_the_vhd_example_reads_as_five_things_in_each_other() -> None:
    """A WIM on a partition in a VHD, the VHD on a physical partition: 0xF2 bytes, read and written."""
    device = parse_device(IN_VHD)
    virtual = PartitionDevice.mbr(0x11223344, 0x100000)
    container = FileDevice(parent=PHYSICAL, path="\\x64\\win7.vhd")
    assert device == FileDevice(path="\\wim\\w.wim", parent=VhdDevice(
        style=PartitionStyle.MBR, partition_id=virtual.partition_id, disk_id=virtual.disk_id,
        container=container))
    assert device.pack() == IN_VHD


def test_a_partition_of_a_real_mbr_store_reads_as_offset_and_signature() -> None:
    """The bytes that bcdedit wrote for a partition at 0x1F500000 of disk 0x43DA9AB1."""
    raw = bytes.fromhex("06000000 00000000 48000000 00000000 0000501f 00000000" + "00" * 8
                        + "00000000 01000000 b19ada43" + "00" * 28)
    device = parse_device(raw)
    assert device == PartitionDevice.mbr(0x43DA9AB1, 0x1F500000)
    assert isinstance(device, PartitionDevice)
    assert (device.offset, device.signature) == (0x1F500000, 0x43DA9AB1)
    assert device.pack() == raw


def test_a_partition_of_a_real_gpt_store_reads_as_two_guids() -> None:
    """The bytes of a Windows 10 store name a partition's and a disk's GUID."""
    raw = bytes.fromhex("06000000 00000000 48000000 00000000 382c0f8e eae4ba47 b7fc9d8c 74dccf0b"
                        "00000000 00000000 a994230b 5e097d48 8d48719e cd4d78ca" + "00" * 16)
    assert parse_device(raw) == PartitionDevice.gpt(
        disk=parse_guid("0b2394a9-095e-487d-8d48-719ecd4d78ca"),
        partition=parse_guid("8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b"))
    assert parse_device(raw).pack() == raw


def test_the_locate_form_is_that_of_the_specification() -> None:
    """The worked example: \\x64\\win7.vhd on an MBR disk at 1 MiB, found by the loader's path; 0xCA bytes."""
    raw = bytes.fromhex(
        "08000000 00000000 ca000000 00000000 00000000 02000012 1e000000 0000"
        "00000000 00000000 ac000000 00000000 06000000" + "00" * 20
        + "00000000 00000000 84000000 00000000 05000000 01000000 70000000 05000000"
        "06000000 00000000 48000000 00000000 00001000 00000000 00000000 00000000 00000000 01000000"
        "3ea0be5c" + "00" * 28) + "\\x64\\win7.vhd\0".encode("utf-16-le")
    file = FileDevice(parent=PHYSICAL, path="\\x64\\win7.vhd")
    device = LocateDevice(element=0x12000002, parent=VirtualDiskDevice(file=file))
    assert device.pack() == raw
    assert parse_device(raw) == device


def test_the_devices_of_stores_that_bcdedit_made_are_read_as_what_they_are() -> None:
    """A VHD found by loader path and by system root, RAM disks with and without a partition: none is opaque."""
    kinds: list[tuple[type, type]] = []
    for name in ("ntloader_bcdvhd", "ntloader_bcdwim", "nikize_PXEBCD", "regipy_BCD"):
        store = SHARED / "samples" / "bcd" / name
        if not store.exists():
            pytest.skip(f"the sample {name} is not here")
        for raw in _stored_devices(store):
            # the placeholder of a path in those stores has a NUL in it, which makes it none
            device = parse_device(raw.replace(b"_SIGN\0\0", b"_SIGN_\0"), 16)
            if isinstance(device, LocateDevice):
                assert isinstance(device.parent, VirtualDiskDevice)
                assert isinstance(device.parent.file, FileDevice)
                kinds.append((LocateDevice, type(device.parent.file.parent)))
            elif isinstance(device, RamdiskDevice):
                kinds.append((RamdiskDevice, type(device.parent)))
            assert not isinstance(device, OpaqueDevice)
    assert kinds == [(LocateDevice, PartitionDevice)] * 2 + [(RamdiskDevice, PartitionDevice)] * 2 + [
        (RamdiskDevice, BootDevice)] * 2 + [(RamdiskDevice, PartitionDevice)] * 2


def test_a_vhd_that_is_looked_for_names_only_its_path() -> None:
    """The VHD's own place is a locate by string, inside the file device, inside the locate of its partition."""
    anywhere = LocateDevice(kind=LocateKind.STRING, path="\\a.vhd")
    device = LocateDevice(element=0x22000002, parent=VirtualDiskDevice(file=FileDevice(parent=anywhere,
                                                                                         path="\\a.vhd")))
    assert parse_device(device.pack()) == device
    assert anywhere.pack() == bytes.fromhex("08000000 00000000 2a000000 00000000 01000000 00000000 00000000") + (
        "\\a.vhd\0".encode("utf-16-le"))
    assert same_location(device, replace(device, flags=1))
    assert not same_location(device, replace(device, element=0x12000002))
    assert not same_location(device, anywhere)


@given(DEVICES)
def test_a_device_survives_writing_and_reading(device: Device) -> None:
    """parse(pack(x)) is x for every form that is read, in each other."""
    assert parse_device(device.pack()) == device
    assert parse_device(b"\xAA" * 6 + device.pack() + b"\xBB", 6) == device


@given(st.binary(max_size=300), st.integers(0, 320))
def test_any_bytes_are_a_device_or_a_format_error(data: bytes, offset: int) -> None:
    """Nothing but FormatError, and whatever is read is written back the same."""
    try:
        device = parse_device(data, offset)
    except FormatError:
        return
    assert data[offset:].startswith(device.pack())


@given(at=st.integers(0, len(IN_VHD) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_is_never_lost(at: int, byte: int) -> None:
    """One byte changed anywhere: refused, or kept, perhaps as an opaque part."""
    data = IN_VHD[:at] + bytes([byte]) + IN_VHD[at + 1:]
    try:
        device = parse_device(data)
    except FormatError:
        return
    assert data.startswith(device.pack())


def test_devices_nested_without_end_stay_bytes() -> None:
    """What lies deeper than the deepest real form is kept, not followed."""
    device: Device = PHYSICAL
    for _ in range(200):
        device = FileDevice(parent=device, path="\\a.vhd")
    found: Device = parse_device(device.pack())
    assert found.pack() == device.pack()
    depth = 0
    while isinstance(found, FileDevice):
        found, depth = found.parent, depth + 1
    assert depth <= MAX_DEPTH
    assert isinstance(found, OpaqueDevice)


def test_the_same_place_is_seen_in_spite_of_case_and_flags() -> None:
    """Windows compares paths without case and disks by id."""
    one = FileDevice(parent=PHYSICAL, path="\\WimBoot\\Wimboot.wim")
    other = FileDevice(parent=PHYSICAL, path="\\wimboot\\WIMBOOT.WIM", flags=8)
    assert same_location(one, other)
    assert same_location(parse_device(IN_VHD), parse_device(IN_VHD))
    assert not same_location(one, FileDevice(parent=PHYSICAL, path="\\wimboot.wim"))
    assert not same_location(one, FileDevice(parent=PartitionDevice.mbr(0x5CBEA03E, 0x200000), path=one.path))
    assert not same_location(one, parse_device(IN_VHD))


def _stored_devices(store: Path) -> list[bytes]:
    found = []
    hive = RegistryHive(str(store))  # type: ignore[no-untyped-call]  # the judge has no annotations
    objects = hive.get_key("\\Objects")  # type: ignore[no-untyped-call]  # the same
    for key in objects.iter_subkeys():
        for element in key.get_subkey("Elements").iter_subkeys():
            if element.name[:2] in ("11", "21", "31"):
                found += [value.value for value in element.iter_values(trim_values=False)]
    return found


@pytest.mark.parametrize("name", ["regipy_BCD", "ntloader_bcdvhd", "ntloader_bcdwim", "ntloader_bcdwin",
                                  "nikize_PXEBCD"])
def test_every_device_of_a_real_store_is_kept_byte_for_byte(name: str) -> None:
    """All device elements of real boot stores, found by an independent parser, come back the same."""
    store = SHARED / "samples" / "bcd" / name
    if not store.exists():
        pytest.skip(f"the sample {name} is not here")
    raws = _stored_devices(store)
    assert raws
    for raw in raws:
        assert parse_device(raw, 16).pack() == raw[16:]


def test_the_partitions_of_a_real_windows_10_store_are_understood() -> None:
    """Seven name partitions of one disk, as the known contents of the store say; the rest is firmware's."""
    store = SHARED / "samples" / "bcd" / "regipy_BCD"
    if not store.exists():
        pytest.skip("the sample regipy_BCD is not here")
    devices = [parse_device(raw, 16) for raw in _stored_devices(store)]
    partitions = [device for device in devices if isinstance(device, PartitionDevice)]
    disk = parse_guid("0b2394a9-095e-487d-8d48-719ecd4d78ca")
    assert sum(device.disk_id == disk for device in partitions) == 7


@pytest.mark.parametrize("device", [
    PartitionDevice(style=1, partition_id=b"", disk_id=bytes(16)), FileDevice(parent=PHYSICAL, path="\\a\0b"),
    FileDevice(parent=PHYSICAL, path="x" * 40_000),
])
def test_what_cannot_be_read_again_is_never_written(device: Device) -> None:
    """A caller's mistake is told before bytes exist."""
    with pytest.raises(ValueError, match=r"16 bytes|NUL"):
        device.pack()


def test_places_in_different_vhds_are_different() -> None:
    """The container counts, and the virtual disk's id does."""
    device = parse_device(IN_VHD)
    assert isinstance(device, FileDevice)
    assert isinstance(device.parent, VhdDevice)
    vhd = device.parent
    for other in (replace(vhd, container=FileDevice(parent=PHYSICAL, path="\\other.vhd")),
                  replace(vhd, disk_id=bytes(16))):
        assert not same_location(device, replace(device, parent=other))
    assert same_location(BootDevice(), BootDevice())


def test_a_file_whose_path_is_not_ended_stays_bytes() -> None:
    """A NUL in the middle, half a unit or no end: kept, not understood."""
    good = FileDevice(parent=PHYSICAL, path="\\abc").pack()
    for tail in (b"\\\0\0\0c\0\0\0", b"\\\0a\0b\0c\0", b"\\\0\0"):
        raw = good[:0x68] + tail
        size, path_size = (number.to_bytes(4, "little") for number in (len(raw), len(raw) - 0x14))
        raw = raw[:8] + size + raw[12:0x18] + path_size + raw[0x1C:]
        assert parse_device(raw) == OpaqueDevice(raw=raw)
