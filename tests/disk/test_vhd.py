"""The disk inside a VHD: what is written is read, by others too; all or nothing; nothing grows for zeros."""

from __future__ import annotations

import random
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_samples import windows_vhd
from vhd_judge import JudgedVhd, judge_vhd, libvhdi_reads
from vhd_making import begin, fixed_vhd, patched_footer, sparse_vhd, writing
from wimboot.disk import Place, open_target
from wimboot.disk.vhdcreate import ParentPlace, create_vhd
from wimboot.errors import HostError
from wimboot.formats.vhdfooter import DiskType, Footer, geometry_of
from wimboot.storage import HostFolder, OutOfSpace
from wimboot.storage.faults import Fault, Faulty, Kind

SIZE = 10 * 16384 + 5 * 512
PARENT = random.Random(4).randbytes(3 * 16384) + bytes(SIZE - 3 * 16384)


def make(folder: Path, kind: DiskType, **more: str) -> tuple[Path, JudgedVhd | None]:
    """An empty VHD, on a parent where it is a differencing one."""
    path = folder / "disk.vhd"
    if kind is DiskType.FIXED:
        path.write_bytes(fixed_vhd(bytes(SIZE)))
    elif kind is DiskType.DYNAMIC:
        path.write_bytes(sparse_vhd(SIZE))
    else:
        base = fixed_vhd(PARENT, unique_id=b"p" * 16)
        (folder / "base.vhd").write_bytes(base)
        path.write_bytes(sparse_vhd(SIZE, parent=more.get("place", ".\\base.vhd")))
        return path, judge_vhd(base)
    return path, None


KINDS = pytest.mark.parametrize("kind", list(DiskType))
SPARSE = pytest.mark.parametrize("kind", [DiskType.DYNAMIC, DiskType.DIFFERENCING])

Writes = st.lists(st.tuples(st.integers(0, SIZE - 1), st.sampled_from([1, 300, 512, 4096, 20_000, 50_000]),
                            st.sampled_from([b"\0", b"data", b"x" * 511])), max_size=12)


@KINDS
@settings(deadline=None, max_examples=15)
@given(rounds=st.lists(st.tuples(Writes, st.booleans()), min_size=1, max_size=3))
def test_what_is_written_is_read(kind: DiskType, rounds: list[tuple[list[tuple[int, int, bytes]], bool]],
                                 tmp_path_factory: pytest.TempPathFactory) -> None:
    """Through the transaction, after it, and by our judge; what is given up leaves every byte as it was."""
    path, parent = make(tmp_path_factory.mktemp("model"), kind)
    model = bytearray(SIZE if parent is None else parent.disk)
    for writes, commit in rounds:
        old, before = bytes(model), path.read_bytes()
        with writing(path) as target, begin(target, batch_pages=3) as transaction:
            for offset, size, pattern in writes:
                data = (pattern * size)[:min(size, SIZE - offset)]
                transaction.device.pwrite(offset, data)
                model[offset:offset + len(data)] = data
                assert transaction.device.pread(max(0, offset - 700), 3000) == \
                    model[max(0, offset - 700):max(0, offset - 700) + 3000]
            assert transaction.device.pread(0, SIZE + 1) == model
            if commit:
                transaction.commit()
                assert transaction.device.pread(0, SIZE) == model
        if not commit:
            assert path.read_bytes() == before
            model[:] = old
        assert judge_vhd(path.read_bytes(), parent).disk == model
        with open_target(Place(path), write=False) as target:
            assert target.disk.pread(0, SIZE + 1) == model
            assert target.disk.size() == SIZE


@SPARSE
def test_libvhdi_reads_what_was_written(kind: DiskType, tmp_path: Path) -> None:
    """A disk and a chain with the blocks of Windows; libvhdi 20260901 goes wrong where blocks are smaller."""
    chance, size = random.Random(9), (9 << 20) + 512
    below = chance.randbytes(size)
    path, base, folder = tmp_path / "child.vhd", tmp_path / "base.vhd", HostFolder(tmp_path)
    base.write_bytes(fixed_vhd(below, unique_id=b"p" * 16))
    file = folder.open("base.vhd")
    parent = ParentPlace(file=file, relative=".\\base.vhd") if kind is DiskType.DIFFERENCING else None
    create_vhd(folder, "child.vhd", kind=kind, size=size, parent=parent)
    file.close()
    model = bytearray(below if parent else size)
    for _ in range(3):
        with writing(path) as target, begin(target) as transaction:
            for _ in range(5):
                offset = chance.randrange(size)
                data = chance.randbytes(chance.choice((1, 512, 1024, 4096, 70_000, 3_000_000)))[:size - offset]
                transaction.device.pwrite(offset, data)
                model[offset:offset + len(data)] = data
            transaction.commit()
        assert libvhdi_reads(path, base if parent else None) == model
        assert judge_vhd(path.read_bytes(), judge_vhd(base.read_bytes()) if parent else None).disk == model


@pytest.mark.parametrize("subformat", ["dynamic", "fixed"])
def test_disks_of_qemu_are_read_and_written(subformat: str, tmp_path: Path) -> None:
    """A disk that qemu-img made, its blocks aligned to nothing, is changed, and qemu-img, libvhdi and dissect agree."""
    chance, path, raw = random.Random(3), tmp_path / "q.vhd", tmp_path / "raw"
    model = bytearray(16 << 20)
    for offset in (0, 3 << 20, 5_000_000):
        model[offset:offset + 70_000] = chance.randbytes(70_000)
    raw.write_bytes(model)
    _qemu("convert", "-O", "vpc", "-o", f"subformat={subformat},force_size=on", str(raw), str(path))
    with writing(path) as target, begin(target) as transaction:
        assert transaction.device.pread(0, 17 << 20) == model
        for offset in (1000, (4 << 20) - 3000, 9 << 20, (16 << 20) - 512):
            data = chance.randbytes(10_000)[:(16 << 20) - offset]
            transaction.device.pwrite(offset, data)
            model[offset:offset + len(data)] = data
        transaction.commit()
    raw.write_bytes(model)
    _qemu("compare", "-f", "vpc", "-F", "raw", str(path), str(raw))
    _qemu("convert", "-f", "vpc", "-O", "raw", str(path), str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == model
    assert libvhdi_reads(path) == model
    assert _dissect_reads(path) == model
    assert judge_vhd(path.read_bytes(), aligned=False).disk == model


def _qemu(*arguments: str) -> str:
    return subprocess.run(["qemu-img", *arguments], check=True, capture_output=True, text=True).stdout


def _dissect_reads(path: Path) -> bytes:
    from dissect.hypervisor.disk.vhd import VHD

    with path.open("rb") as file:
        data = VHD(file).read()
    assert isinstance(data, bytes)
    return data


@SPARSE
def test_writes_that_change_nothing_allocate_nothing(kind: DiskType, tmp_path: Path) -> None:
    """Zeros where zeros are read need no block; the same zeros over a parent's data do."""
    path, parent = make(tmp_path, kind)
    with writing(path) as target, begin(target) as transaction:
        transaction.device.pwrite(4 * 16384 + 100, bytes(4 * 16384))
        transaction.commit()
    assert judge_vhd(path.read_bytes(), parent).blocks == 0
    with writing(path) as target, begin(target) as transaction:
        transaction.device.pwrite(16384 + 700, bytes(100))
        transaction.commit()
    judged = judge_vhd(path.read_bytes(), parent)
    assert judged.blocks == (1 if parent else 0)
    assert judged.disk[16384 + 700:16384 + 800] == bytes(100)


def test_a_block_is_written_without_holes(tmp_path: Path) -> None:
    """Windows attaches no file that lies sparse on NTFS, so every byte of a new block reaches the disk."""
    create_vhd(HostFolder(tmp_path), "d.vhd", kind=DiskType.DYNAMIC, size=64 << 20)
    path = tmp_path / "d.vhd"
    with writing(path) as target, begin(target) as transaction:
        for block in (7, 3, 30):
            transaction.device.pwrite((block << 21) + 12345, b"one small write")
        transaction.commit()
    assert path.stat().st_blocks * 512 >= path.stat().st_size > 6 << 20
    judge_vhd(path.read_bytes())


def test_growth_goes_straight_to_its_place(tmp_path: Path) -> None:
    """New blocks are written once; the log holds the table, the page of the old footer, and little else."""
    create_vhd(HostFolder(tmp_path), "d.vhd", kind=DiskType.DYNAMIC, size=64 << 20)
    with writing(tmp_path / "d.vhd") as target, begin(target) as transaction:
        transaction.device.pwrite(1 << 20, b"x" * (30 << 20))
        assert transaction.logged_bytes <= 2 * 4096
        assert transaction.straight_bytes >= 30 << 20
        transaction.commit()


@SPARSE
@pytest.mark.parametrize("unit", [512, 4096, 8192])
def test_only_free_clusters_are_written_straight(kind: DiskType, unit: int, tmp_path: Path) -> None:
    """Told which clusters are free the transaction writes them at once, in whichever block they are, and no other."""
    path, parent = make(tmp_path, kind)
    with writing(path) as target, begin(target) as transaction:
        transaction.device.pwrite(0, b"o" * SIZE)
        transaction.commit()
    old = judge_vhd(path.read_bytes(), parent).disk
    start = 4096
    count = (SIZE - start) // unit
    chance = random.Random(unit)
    bits = bytes(chance.randrange(256) for _ in range((count + 7) // 8))
    free = [number for number in range(count) if not bits[number >> 3] >> (number & 7) & 1]
    with writing(path) as target, begin(target) as transaction:
        transaction.set_free(start, unit, bits, count)
        transaction.device.pwrite(0, b"n" * SIZE)
        assert bool(transaction.straight_bytes) == (unit > 512 or any(
            set(range(first, first + 8)) <= set(free) for first in range(0, count, 8)))
    now = judge_vhd(path.read_bytes(), parent).disk
    loose = bytearray(SIZE)
    for number in free:
        loose[start + number * unit:start + (number + 1) * unit] = b"\1" * unit
    assert all(one == two for one, two, mark in zip(now, old, loose, strict=True) if not mark)


def test_guard_stands_in_the_block_that_holds_it(tmp_path: Path) -> None:
    """The dirty flag's bytes are guarded where they lie in the file."""
    path, _ = make(tmp_path, DiskType.DYNAMIC)
    with writing(path) as target, begin(target) as transaction:
        transaction.device.pwrite(16384 - 1, b"ab")
        transaction.commit()
    faulty = Faulty(Fault(at=3, sticky=True, operations=frozenset({"pwrite"})))
    with writing(path) as target:
        target.file = faulty.file(target.file)
        with begin(target) as transaction:
            transaction.device.pwrite(2 * 16384, b"new block")
            transaction.guard(16384 - 1, b"AB")
            with pytest.raises(HostError):
                transaction.commit()
        assert target.disk.pread(16384 - 1, 2) == b"AB"


def test_full_host_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """When the host has no room for a block the file is as it was, its length too."""
    path, _ = make(tmp_path, DiskType.DYNAMIC)
    before = path.read_bytes()
    faulty = Faulty(Fault(at=1, kind=Kind.SPACE, operations=frozenset({"pwrite"})))
    with writing(path) as target:
        target.file = faulty.file(target.file)
        with begin(target) as transaction:
            transaction.device.pwrite(0, b"first")
            with pytest.raises(OutOfSpace):
                transaction.device.pwrite(2 * 16384, b"second")
            with pytest.raises(HostError):
                transaction.commit()
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [path]


def test_disk_that_is_only_read_is_not_written(tmp_path: Path) -> None:
    """Without a transaction there is no writing into a VHD that grows."""
    path, _ = make(tmp_path, DiskType.DYNAMIC)
    with open_target(Place(path), write=False) as target, pytest.raises(HostError):
        target.disk.pwrite(0, b"no")


def test_a_vhd_of_windows_is_read(tmp_path: Path) -> None:
    """Its footer byte for byte, its geometry, its partition table, its volume."""
    content, path = windows_vhd(), tmp_path / "windows.vhd"
    path.write_bytes(content)
    footer = Footer.parse(content[-512:])
    assert footer.pack() == content[-512:]
    assert footer.geometry == geometry_of(footer.size)
    assert judge_vhd(content).disk == content[:-512]
    with open_target(Place(path), write=False) as target:
        assert target.disk.size() == 10 << 20
        assert target.table.signature == 0x21E75F09
        assert [(one.start, one.ntfs) for one in target.partitions] == [(128 * 512, True)]


# -- footers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["head", "tail"])
def test_broken_footer_is_read_around_and_mended(place: str, tmp_path: Path) -> None:
    """Either footer will do; the next change of the disk makes both sound."""
    path, _ = make(tmp_path, DiskType.DYNAMIC)
    with writing(path) as target, begin(target) as transaction:
        transaction.device.pwrite(5, b"content")
        transaction.commit()
    sound = path.read_bytes()
    damaged = bytearray(sound)
    damaged[40 if place == "head" else len(sound) - 470] ^= 1
    path.write_bytes(damaged)
    with open_target(Place(path), write=False) as target:
        assert target.disk.pread(5, 7) == b"content"
        assert target.vhd is not None
        assert "checksum" in target.vhd.damage
    assert path.read_bytes() == damaged
    with writing(path) as target, begin(target) as transaction:
        transaction.commit()
    assert path.read_bytes() == sound


@pytest.mark.parametrize("cut", [512, 400, 100, 1000])
def test_footer_that_was_cut_off_is_written_anew(cut: int, tmp_path: Path) -> None:
    """A file whose end is lost keeps its disk as long as all blocks are there."""
    path, _ = make(tmp_path, DiskType.DYNAMIC)
    with writing(path) as target, begin(target) as transaction:
        transaction.device.pwrite(5, b"content")
        transaction.commit()
    sound = path.read_bytes()
    path.write_bytes(sound[:-cut])
    with open_target(Place(path), write=False) as target:
        if cut > 512:
            with pytest.raises(Exception, match="not in the file"):
                _ = target.disk
            return
        assert target.disk.pread(5, 7) == b"content"
    with writing(path) as target, begin(target) as transaction:
        transaction.device.pwrite(3 * 16384, b"more")
        transaction.commit()
    assert judge_vhd(path.read_bytes()).disk[5:12] == b"content"


def test_old_footer_of_511_bytes_will_do(tmp_path: Path) -> None:
    """Virtual PC wrote such files; they are read, and grow."""
    path, _ = make(tmp_path, DiskType.DYNAMIC)
    path.write_bytes(path.read_bytes()[:-1])
    with writing(path) as target, begin(target) as transaction:
        transaction.device.pwrite(9, b"content")
        transaction.commit()
    assert judge_vhd(path.read_bytes()).disk[9:16] == b"content"
    fixed = tmp_path / "fixed.vhd"
    fixed.write_bytes(fixed_vhd(b"f" * SIZE)[:-1])
    with open_target(Place(fixed), write=False) as target:
        assert target.disk.pread(0, SIZE + 9) == b"f" * SIZE


# -- what is refused --------------------------------------------------------------------------------------------

_ENTRY = struct.Struct(">I")


def _with_entries(*entries: int) -> bytes:
    """A dynamic VHD of four blocks' room whose table begins with these."""
    data = bytearray(sparse_vhd(SIZE))
    data[-512:] = bytes(4 * (512 + 16384) + 4096) + data[-512:]
    for number, entry in enumerate(entries):
        _ENTRY.pack_into(data, 1536 + 4 * number, entry)
    return bytes(data)


@pytest.mark.parametrize("data", [
    _with_entries(0), _with_entries(1), _with_entries(3), _with_entries(8, 9), _with_entries(8, 8),
    _with_entries(8, 8 + 32), _with_entries(4000), _with_entries(0xFFFFFFFE), fixed_vhd(bytes(SIZE))[512:],
    sparse_vhd(SIZE)[:600], sparse_vhd(SIZE)[:1536], b"conectix", b"conectix" + bytes(4000),
    patched_footer(sparse_vhd(SIZE), size=SIZE * 2), patched_footer(sparse_vhd(SIZE), data_offset=2**63),
    patched_footer(sparse_vhd(SIZE), data_offset=0), patched_footer(sparse_vhd(SIZE), size=512 << 40),
    patched_footer(sparse_vhd(SIZE), data_offset=2048),
])
def test_hostile_disk_is_refused(data: bytes, tmp_path: Path) -> None:
    """Blocks over structures, over each other, outside the file; sizes that do not fit: one clear error."""
    path = tmp_path / "hostile.vhd"
    path.write_bytes(data)
    with open_target(Place(path), write=False) as target, pytest.raises(Exception, match="VHD") as caught:
        _ = target.disk
    assert getattr(caught.value, "id", "") == "format"


def test_sound_tables_pass_the_same_gate(tmp_path: Path) -> None:
    """The hostile ones are refused for what is wrong with them: with blocks that lie apart the same file is read."""
    path = tmp_path / "sound.vhd"
    path.write_bytes(_with_entries(8, 8 + 33, 0xFFFFFFFF, 8 + 66))
    with open_target(Place(path), write=False) as target:
        assert target.disk.pread(0, SIZE) == bytes(SIZE)


@settings(deadline=None, max_examples=80)
@given(edits=st.lists(st.tuples(st.integers(0, 2600), st.integers(0, 255)), min_size=1, max_size=4),
       differencing=st.booleans())
def test_any_damage_is_an_error_or_harmless(edits: list[tuple[int, int]], differencing: bool,
                                            tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever bytes change, opening ends with a disk of the right size or with one of our errors."""
    from wimboot.errors import Error

    folder = tmp_path_factory.mktemp("damage")
    path, _ = make(folder, DiskType.DIFFERENCING if differencing else DiskType.DYNAMIC)
    data = bytearray(path.read_bytes())
    for offset, value in edits:
        data[offset % len(data)] = value
    path.write_bytes(data)
    with open_target(Place(path), write=False) as target:
        try:
            disk = target.disk
        except Error:
            return
        assert len(disk.pread(0, SIZE + 1)) in (SIZE, len(data))


@pytest.mark.parametrize(("changes", "error"), [({"saved": 1}, "vhd-saved"), ({"type": 5}, "vhd-kind")])
@pytest.mark.parametrize("content", [fixed_vhd(bytes(SIZE)), sparse_vhd(SIZE)])
def test_paused_and_unknown_disks_are_refused(changes: dict[str, int], error: str, content: bytes,
                                              tmp_path: Path) -> None:
    """A virtual machine that was paused has not written everything; a kind of old holds nobody knows what."""
    path = tmp_path / "d.vhd"
    path.write_bytes(patched_footer(content, **changes))
    with open_target(Place(path), write=False) as target, pytest.raises(Exception, match=r"VHD|machine") as caught:
        _ = target.disk
    assert getattr(caught.value, "id", "") == error
