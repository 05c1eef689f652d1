"""VHDX, QCOW2, VMDK and VDI used as they lie: what qemu-img and dissect.hypervisor read is what we read and wrote."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vhd_making import begin, writing
from wimboot.disk import Place, open_target, qemumap
from wimboot.disk.foreign import ForeignNotWritable, ForeignUnreadable
from wimboot.disk.qemuimg import QemuImgMissing
from wimboot.disk.qemumap import MapNotUsable, QemuImgNeeded
from wimboot.errors import Damaged, Error, HostError, Refused, Unsupported

FORMS = ("vhdx", "qcow2", "vmdk", "vdi")
PARTS = {"vhdx": "block_size=1M", "qcow2": "", "vmdk": "", "vdi": ""}
WHOLE = {"vhdx": "subformat=fixed,block_size=1M", "qcow2": "preallocation=full", "vmdk": "", "vdi": "static=on"}
SIZE = 6 << 20


def qemu(*arguments: object) -> str:
    """Run qemu-img."""
    return subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def make(form: str, folder: Path, content: bytes, *, options: str = "", whole: bool = False) -> Path:
    """A disk of that form; `whole`: with a place for every byte."""
    raw, path = folder / "source.raw", folder / f"disk.{form}"
    raw.write_bytes(content)
    options = options or (WHOLE if whole else PARTS)[form]
    sparse = ["-S", "0"] if whole else []
    qemu("convert", "-f", "raw", "-O", form, *sparse, *(["-o", options] if options else []), raw, path)
    return path


def content(*, holes: bool = True) -> bytes:
    """Bytes of a disk, with stretches of zeros."""
    chance, data = random.Random(4), bytearray(SIZE)
    for start in (0, 70_000, 1 << 20, 3 << 20, SIZE - 5000):
        data[start:start + 4096] = chance.randbytes(4096)
    return bytes(data) if holes else chance.randbytes(SIZE)


def raw_of(form: str, path: Path) -> bytes:
    """What qemu-img sees."""
    out = path.with_suffix(".seen")
    qemu("convert", "-f", form, "-O", "raw", path, out)
    return out.read_bytes()


def dissected(form: str, path: Path) -> bytes:
    """What dissect.hypervisor sees."""
    from dissect.hypervisor.disk import qcow2, vdi, vhdx, vmdk

    opener: Callable[[object], object] = {
        "vhdx": vhdx.VHDX, "qcow2": lambda file: qcow2.QCow2(file).open(), "vmdk": vmdk.VMDK,
        "vdi": lambda file: vdi.VDI(file).open()}[form]
    with path.open("rb") as file:
        data = opener(file).read(SIZE)     # type: ignore[attr-defined]  # a stream
        assert isinstance(data, bytes)
        return data


def ours(path: Path) -> bytes:
    """What we see."""
    with open_target(Place(path), write=False) as target:
        return target.disk.pread(0, target.disk.size())


@pytest.mark.parametrize("form", FORMS)
def test_disks_of_others_are_read(form: str, tmp_path: Path) -> None:
    """Bytes that have a place, and zeros that have none; by pieces of any size."""
    data = content()
    path = make(form, tmp_path, data)
    assert raw_of(form, path)[:SIZE] == data
    if form != "vdi":       # dissect.hypervisor 3.21 takes bytes of other blocks for those that are not there
        assert dissected(form, path) == data
    assert ours(path)[:SIZE] == data
    with open_target(Place(path), write=False) as target:
        assert target.foreign is not None
        assert (target.foreign.form, target.room) == (form.upper(), None)
        for start, size in ((69_990, 4200), (0, 1), (SIZE - 5001, 5001), (1 << 20, 2 << 20), (SIZE - 1, 1), (5, 0)):
            assert target.disk.pread(start, size) == data[start:start + size]


@pytest.mark.parametrize("form", FORMS)
def test_whole_disks_are_written_in_place(form: str, tmp_path: Path) -> None:
    """What another program reads afterwards is what was written; the file stays as long as it was."""
    data = bytearray(content(holes=False))
    path = make(form, tmp_path, bytes(data), whole=True)
    size = path.stat().st_size
    with writing(path) as target, begin(target) as transaction:
        for start in (0, 4000, 65_530, (2 << 20) - 7, SIZE - 3000):
            data[start:start + 3000] = bytes([start % 251]) * 3000
            transaction.device.pwrite(start, bytes([start % 251]) * 3000)
        assert transaction.device.pread(0, SIZE) == data
        transaction.commit()
    assert (raw_of(form, path), dissected(form, path), ours(path)) == (bytes(data),) * 3
    assert path.stat().st_size == size
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["disk.seen", path.name, "source.raw"])


@pytest.mark.parametrize("form", FORMS)
def test_change_that_is_given_up_leaves_every_byte(form: str, tmp_path: Path) -> None:
    """The header of a VHDX too."""
    path = make(form, tmp_path, content(holes=False), whole=True)
    before = path.read_bytes()
    with writing(path) as target, begin(target) as transaction:
        transaction.device.pwrite(100, b"never there")
    assert path.read_bytes() == before


def test_changed_vhdx_has_another_identity(tmp_path: Path) -> None:
    """By which a differencing disk on it knows that it does not fit any more; the older header counts then."""
    path = make("vhdx", tmp_path, content(holes=False), whole=True)
    headers = [_headers(path)]
    for _ in range(2):
        with writing(path) as target, begin(target) as transaction:
            transaction.device.pwrite(0, b"changed")
            transaction.commit()
        headers.append(_headers(path))
    ids = [max(pair)[2] for pair in headers]
    assert len(set(ids)) == 3
    assert [max(pair)[0] for pair in headers] == [max(headers[0])[0] + number for number in range(3)]
    assert [pair.index(max(pair)) for pair in headers[1:]] == [1 - headers[0].index(max(headers[0])),
                                                               headers[0].index(max(headers[0]))]
    assert raw_of("vhdx", path)[:7] == b"changed"


def _headers(path: Path) -> list[tuple[int, bytes, bytes]]:
    data = path.read_bytes()
    found = [data[offset:offset + 48] for offset in (64 << 10, 128 << 10)]
    return [(int.from_bytes(one[8:16], "little"), one[16:32], one[32:48]) for one in found]


@pytest.mark.parametrize("form", FORMS)
def test_growing_disks_are_not_written(form: str, tmp_path: Path) -> None:
    """A write could need a place that the file does not have: refused, with the command that makes a VHD."""
    path = make(form, tmp_path, content())
    before = path.read_bytes()
    with writing(path) as target, pytest.raises(ForeignNotWritable, match="grows") as caught:
        begin(target)
    assert caught.value.hint.endswith(f"qemu-img convert -O vpc -o subformat=dynamic,force_size=on {path} {path}.vhd")
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if "wimboot" in one.name] == []


def _refused(path: Path, why: str) -> None:
    with open_target(Place(path), write=False) as target, pytest.raises(ForeignUnreadable, match=why):
        _ = target.disk


def test_qcow2_that_shares_or_packs_is_refused(tmp_path: Path) -> None:
    """A backing file, compression, encryption, marks of damage; snapshots only where it is to be written."""
    path = make("qcow2", tmp_path, content(holes=False), whole=True)
    qemu("create", "-q", "-f", "qcow2", "-b", path, "-F", "qcow2", tmp_path / "child.qcow2")
    _refused(tmp_path / "child.qcow2", "stands on another file")
    (tmp_path / "text").write_bytes(b"text" * 100_000)
    qemu("convert", "-f", "raw", "-O", "qcow2", "-c", tmp_path / "text", tmp_path / "packed.qcow2")
    packed = Place(tmp_path / "packed.qcow2")
    with open_target(packed, write=False) as target, pytest.raises(MapNotUsable, match="compressed"):
        _ = target.disk
    for place, bit, why in ((35, 2, "encrypted"), (79, 1, "not closed"), (79, 2, "damaged"), (79, 4, "another file"),
                            (79, 64, "features")):
        marked = bytearray(path.read_bytes())
        marked[place] |= bit
        (tmp_path / "marked.qcow2").write_bytes(marked)
        _refused(tmp_path / "marked.qcow2", why)
    qemu("snapshot", "-c", "one", path)
    assert ours(path) == content(holes=False)
    with writing(path) as target, pytest.raises(ForeignNotWritable, match="snapshots"):
        begin(target)


def test_qcow2_with_notes_of_changes_is_not_written(tmp_path: Path) -> None:
    """They would miss what we change."""
    path = make("qcow2", tmp_path, content(holes=False), whole=True)
    qemu("bitmap", "--add", path, "notes")
    with writing(path) as target, pytest.raises(ForeignNotWritable, match="bitmaps"):
        begin(target)


def test_qcow2_whose_tables_share_clusters_is_not_written(tmp_path: Path) -> None:
    """A cluster of the disk that is at the same time one of the tables'."""
    path = make("qcow2", tmp_path, content(holes=False), whole=True)
    data = bytearray(path.read_bytes())
    first = int.from_bytes(data[40:48], "big")      # the first table, whose first entry leads to the second
    second = int.from_bytes(data[first:first + 8], "big") & ((1 << 56) - 1)
    data[second:second + 8] = ((1 << 63) | second).to_bytes(8, "big")
    path.write_bytes(data)
    with writing(path) as target, pytest.raises(Error, match=r"qemu-img|tables"):
        begin(target)
    data[second:second + 8] = data[second + 8:second + 16]
    path.write_bytes(data)
    with writing(path) as target, pytest.raises(ForeignNotWritable, match="share"):
        begin(target)


def test_vmdk_of_several_files_is_refused(tmp_path: Path) -> None:
    """Its data elsewhere, compressed, on another disk, or not closed."""
    data = content(holes=False)
    for subformat, why in (("monolithicFlat", "other files"), ("twoGbMaxExtentSparse", "other files"),
                           ("streamOptimized", "compressed")):
        folder = tmp_path / subformat
        folder.mkdir()
        _refused(make("vmdk", folder, data, options=f"subformat={subformat}"), why)
    path = make("vmdk", tmp_path, data)
    qemu("create", "-q", "-f", "vmdk", "-b", path, "-F", "vmdk", tmp_path / "child.vmdk")
    _refused(tmp_path / "child.vmdk", "another disk")
    for place, value, why in ((72, 1, "not closed"), (12, 0, "other files"), (36, 0, "several files")):
        changed = bytearray(path.read_bytes())
        changed[place:place + (1 if place == 72 else 8)] = value.to_bytes(1 if place == 72 else 8, "little")
        (tmp_path / "changed.vmdk").write_bytes(changed)
        _refused(tmp_path / "changed.vmdk", why)


def test_vdi_and_vhdx_on_parents_are_refused(tmp_path: Path) -> None:
    """A VDI that is a difference, a VHDX with a parent, and one whose log waits."""
    path = make("vdi", tmp_path, content())
    for place, value in ((76, 4), (440, 9)):
        changed = bytearray(path.read_bytes())
        changed[place] = value
        (tmp_path / "changed.vdi").write_bytes(changed)
        _refused(tmp_path / "changed.vdi", "another disk")
    path = make("vhdx", tmp_path, content())
    changed = bytearray(path.read_bytes())
    for offset in (64 << 10, 128 << 10):
        changed[offset + 48] = 1
        changed[offset:offset + 4096] = _summed(bytes(changed[offset:offset + 4096]))
    (tmp_path / "dirty.vhdx").write_bytes(changed)
    _refused(tmp_path / "dirty.vhdx", "log")
    changed = bytearray(path.read_bytes())
    parameters = changed.index(bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b"))
    place = (parameters & ~0xFFFF) + int.from_bytes(changed[parameters + 16:parameters + 20], "little") + 4
    changed[place] |= 2
    (tmp_path / "child.vhdx").write_bytes(changed)
    _refused(tmp_path / "child.vhdx", "another disk")


def _summed(data: bytes) -> bytes:
    """A structure of a VHDX under its right checksum, which is taken bit by bit."""
    data, value = data[:4] + bytes(4) + data[8:], 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 * (value & 1)
    return data[:4] + (value ^ 0xFFFFFFFF).to_bytes(4, "little") + data[8:]


@pytest.mark.parametrize("form", FORMS)
def test_cut_off_file_is_never_read_as_zeros(form: str, tmp_path: Path) -> None:
    """What lies behind its end is lost, not empty."""
    path = make(form, tmp_path, content(holes=False), whole=True)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - (2 << 20))
    with open_target(Place(path), write=False) as target, pytest.raises((ForeignUnreadable, MapNotUsable)):
        _ = target.disk


@pytest.mark.parametrize("form", FORMS)
def test_damaged_head_is_refused(form: str, tmp_path: Path) -> None:
    """Any byte of the first ones may be wrong: a disk, or an error that is not our own fault."""
    path = make(form, tmp_path, content())
    whole, chance = path.read_bytes(), random.Random(6)
    places = [*range(0, 512, 61), *(chance.randrange(min(len(whole), 400_000)) for _ in range(6))]
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 0x41
        path.write_bytes(changed)
        with contextlib.suppress(Damaged, Unsupported, Refused, HostError):
            ours(path)


def test_missing_qemu_img_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to install; a VHDX is read without it."""
    paths = {form: make(form, tmp_path, content()) for form in ("qcow2", "vhdx")}

    def none(form: str) -> None:
        raise QemuImgMissing(form=form)

    monkeypatch.setattr(qemumap, "check_qemu_img", none)
    with open_target(Place(paths["qcow2"]), write=False) as target, pytest.raises(QemuImgNeeded, match="QC") as caught:
        _ = target.disk
    assert "qemu-utils" in caught.value.hint
    assert ours(paths["vhdx"]) == content()


@pytest.mark.parametrize(("script", "why"), [
    ("echo trouble >&2; exit 1", "trouble"), ("exit 7", "code 7"), ("sleep 60", "no answer"), ("yes", "many pieces"),
])
def test_qemu_img_that_fails_is_told_of(script: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It complains, dies, hangs, or never ends."""
    path = make("qcow2", tmp_path, content())
    program = tmp_path / "programs" / "qemu-img"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(qemumap, "ENVIRONMENT", {"PATH": f"{program.parent}:/usr/bin:/bin"})
    monkeypatch.setattr(qemumap, "_PATIENCE", 0.5)
    monkeypatch.setattr(qemumap, "_MOST_OUTPUT", 1 << 20)
    with open_target(Place(path), write=False) as target, pytest.raises(MapNotUsable, match=why):
        _ = target.disk
    monkeypatch.setattr(qemumap, "ENVIRONMENT", {"PATH": str(tmp_path)})
    with open_target(Place(path), write=False) as target, pytest.raises(HostError, match="qemu-img"):
        _ = target.disk
    assert shutil.which("qemu-img")
