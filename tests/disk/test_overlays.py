"""Disks of virtual machines that others stand on: only read, whatever the others look like."""

from __future__ import annotations

import shutil
import struct
import subprocess
import uuid
from pathlib import Path

import pytest

from vhd_making import begin, writing
from wimboot.disk import Place, open_target
from wimboot.disk.overlays import DiskHasOverlay
from wimboot.errors import FormatError
from wimboot.formats.diskparents import own_id, parent_link
from wimboot.formats.guid import guid_text
from wimboot.formats.vhdx import VhdxHeader
from wimboot.formats.vhdxparent import linkage_of, parse_locator

SIZE = 3 << 20
CONTENT = bytes(range(256)) * (SIZE // 256)
WHOLE = {"raw": "", "qcow2": "preallocation=full", "vmdk": "", "vdi": "static=on",
         "vhdx": "subformat=fixed,block_size=1M"}


def qemu(*arguments: object) -> None:
    """Run qemu-img."""
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def base(form: str, folder: Path) -> Path:
    """A disk with a place for every byte."""
    path = folder / f"base.{form}"
    (folder / "source").write_bytes(CONTENT)
    options = ["-o", WHOLE[form]] if WHOLE[form] else []
    qemu("convert", "-S", "0", "-f", "raw", "-O", form, *options, folder / "source", path)
    return path


def is_refused(path: Path, child: Path) -> None:
    """It is read, but not written, and not a byte of it changes."""
    before = path.read_bytes()
    with open_target(Place(path), write=False) as target:
        assert target.disk.pread(0, SIZE) == CONTENT
    with writing(path) as target, pytest.raises(DiskHasOverlay) as caught:
        begin(target)
    assert caught.value.exit_code == 4
    assert str(child) in str(caught.value)
    assert path.read_bytes() == before


def is_written(path: Path) -> None:
    """It can be changed."""
    with writing(path) as target, begin(target) as transaction:
        transaction.device.pwrite(0, b"changed")
        transaction.commit()


@pytest.mark.parametrize(("form", "over", "name"), [
    ("qcow2", "qcow2", "base.qcow2"), ("vmdk", "vmdk", "base.vmdk"), ("raw", "qcow2", "{}"), ("vdi", "qcow2", "{}"),
    ("vhdx", "qcow2", "file:{}"), ("qcow2", "qcow2", 'json:{{"driver":"qcow2","file":{{"filename":"{}"}}}}'),
])
def test_base_of_an_overlay_is_only_read(form: str, over: str, name: str, tmp_path: Path) -> None:
    """However the overlay names it, and whatever the overlay is called; without it the base is written."""
    path, child = base(form, tmp_path), tmp_path / "snapshot"
    qemu("create", "-q", "-u", "-f", over, "-b", name.format(path), "-F", form, child, SIZE)
    is_refused(path, child)
    child.unlink()
    is_written(path)


def test_vmdk_whose_child_is_of_two_files_is_only_read(tmp_path: Path) -> None:
    """The descriptor is a text by itself."""
    path, child = base("vmdk", tmp_path), tmp_path / "machine-000001.vmdk"
    child.write_text('# Disk DescriptorFile\nversion=1\nparentCID=12345678\nparentFileNameHint="C:\\vm\\base.vmdk"\n')
    is_refused(path, child)


def test_parent_of_a_vdi_is_only_read(tmp_path: Path) -> None:
    """The child knows its unique id."""
    path, child = base("vdi", tmp_path), tmp_path / "child.vdi"
    data = bytearray(path.read_bytes()[:4096])
    data[76:80], data[424:440], data[392:408] = struct.pack("<I", 4), data[392:408], bytes(range(16))
    child.write_bytes(data)
    is_refused(path, child)
    path.rename(tmp_path / "other.vdi")
    is_refused(tmp_path / "other.vdi", child)


def locator(**pairs: str) -> bytes:
    """A parent locator of a VHDX."""
    head, texts, at = bytes(18) + struct.pack("<H", len(pairs)), b"", 20 + 12 * len(pairs)
    for key, value in pairs.items():
        one, two = key.encode("utf-16-le"), value.encode("utf-16-le")
        head += struct.pack("<IIHH", at, at + len(one), len(one), len(two))
        texts, at = texts + one + two, at + len(one) + len(two)
    return head + texts


@pytest.mark.parametrize("by", ["id", "path"])
def test_parent_of_a_vhdx_is_only_read(by: str, tmp_path: Path) -> None:
    """The child knows the id that changes with the parent's bytes, and its path."""
    path, child = base("vhdx", tmp_path), tmp_path / "child.avhdx"
    headers = [VhdxHeader.parse(path.read_bytes()[offset:offset + 4096]) for offset in (64 << 10, 128 << 10)]
    linkage = max(headers, key=lambda one: one.sequence).data_write_id if by == "id" else uuid.uuid4().bytes_le
    item = locator(parent_linkage=f"{{{guid_text(linkage)}}}", relative_path=".\\base.vhdx" if by == "path" else "x")
    data = bytearray(path.read_bytes()[:4 << 20])
    start = data.index(b"metadata\0\0")
    count = int.from_bytes(data[start + 10:start + 12], "little")
    data[start + 10:start + 12] = struct.pack("<H", count + 1)
    entry = start + 32 + 32 * count
    data[entry:entry + 32] = struct.pack("<16sIII4x", uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le,
                                         512 << 10, len(item), 4)
    data[start + (512 << 10):start + (512 << 10) + len(item)] = item
    parameters = data.index(uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le)
    data[start + int.from_bytes(data[parameters + 16:parameters + 20], "little") + 4] |= 2
    child.write_bytes(data)
    is_refused(path, child)


def test_neighbours_do_not_keep_a_disk_from_being_written(tmp_path: Path) -> None:
    """Overlays of others, damaged ones, folders, links that lead nowhere, and copies."""
    path = base("qcow2", tmp_path)
    other = tmp_path / "other.qcow2"
    shutil.copy(path, other)
    for number, name in enumerate((other, "nbd://host/base", "json:{", "json:[[]]", "lost\\lost", "x" * 900)):
        qemu("create", "-q", "-u", "-f", "qcow2", "-b", other, "-F", "qcow2", tmp_path / f"{number}.qcow2", SIZE)
        data = bytearray((tmp_path / f"{number}.qcow2").read_bytes())
        at, text = int.from_bytes(data[8:16], "big"), str(name).encode()
        data[at:at + len(text)], data[16:20] = text, struct.pack(">I", len(text))
        (tmp_path / f"{number}.qcow2").write_bytes(data)
    (tmp_path / "cut.qcow2").write_bytes(b"QFI\xfb")
    (tmp_path / "cut.vhdx").write_bytes(b"vhdxfile" * 100)
    (tmp_path / "folder.qcow2").mkdir()
    (tmp_path / "link.qcow2").symlink_to("nowhere")
    is_written(path)


def test_damaged_links_are_told() -> None:
    """Never an error of our own."""
    def read(offset: int, size: int) -> bytes:
        return bytes(size)[offset:]

    for head in (b"QFI\xfb" + bytes(4) + b"\0" * 7 + b"\x70" + b"\xff" * 4, b"vhdxfile"):
        with pytest.raises(FormatError):
            parent_link(head.ljust(512, b"\0"), read)
    assert parent_link(b"KDMV" + b"\xff" * 508, read) is None
    assert own_id(b"", read) == b""
    assert parent_link(b"", read) is None
    good = locator(parent_linkage=f"{{{uuid.UUID(int=5)}}}")
    assert linkage_of(parse_locator(good)) == (uuid.UUID(int=5).bytes_le,)
    for bad in (good[:19], good[:40], good[:18] + b"\xff\xff" + good[20:], good[:-4]):
        with pytest.raises(FormatError):
            parse_locator(bad)
    with pytest.raises(FormatError):
        linkage_of({"parent_linkage": "none"})
