"""A differencing VHD and its parent: found as Windows finds it, refused where it is not the one."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from vhd_judge import judge_vhd, libvhdi_reads
from vhd_making import begin, fixed_vhd, sparse_vhd, writing
from wimboot.disk import LogWaits, Place, neighbours, open_target
from wimboot.disk.mounts import HOST, Host
from wimboot.disk.newfile import DiskExists
from wimboot.disk.target import Locked
from wimboot.disk.vhdchain import VhdChainTooLong, VhdParentChanged, VhdParentMissing
from wimboot.disk.vhdchildren import VhdHasChildren
from wimboot.disk.vhdcreate import ParentPlace, VhdNotPossible, create_vhd
from wimboot.errors import Refused
from wimboot.events import Counter
from wimboot.formats.vhdfooter import DiskType, Footer
from wimboot.formats.vhdsparse import W2KU, W2RU, Locator, SparseHeader
from wimboot.storage import HostFolder
from wimboot.storage.faults import Model, Recorder, states

SIZE = 6 * 16384
BASE_ID = b"p" * 16
CONTENT = random.Random(6).randbytes(SIZE)


def base_in(folder: Path, name: str = "base.vhd", *, unique_id: bytes = BASE_ID) -> Path:
    """A parent."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(fixed_vhd(CONTENT, unique_id=unique_id))
    return path


def child_in(folder: Path, relative: str = "", absolute: str = "", *, name: str = "child.vhd", parent_time: int = 0,
             in_name_only: bool = False) -> Path:
    """A child that names its parent by these paths; with `in_name_only` by the header's name field."""
    data = bytearray(sparse_vhd(SIZE, parent="x" * 80, unique_id=b"c" * 16))
    header = SparseHeader.parse(bytes(data[512:1536]))
    places, locators = header.locators[0].offset, []
    for kind, path in ((W2KU, absolute), (W2RU, relative)):
        raw = path.encode("utf-16-le")
        if path and not in_name_only:
            locators.append(Locator(kind=kind, space=256, length=len(raw), offset=places))
            data[places:places + len(raw)] = raw
            places += 256
    text = (absolute or relative).encode("utf-16-be").ljust(512, b"\0")
    data[512:1536] = SparseHeader(
        table_offset=1536, entries=header.entries, block_size=header.block_size, parent_id=BASE_ID,
        parent_time=parent_time, parent_name_utf16=text,
        locators=(*locators, *(Locator(),) * (8 - len(locators)))).pack()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


def read(path: Path, host: Host = HOST) -> tuple[Path, bytes]:
    """Which parent was found, and what the disk holds."""
    with open_target(Place(path), write=False, host=host) as target:
        data = target.disk.pread(0, SIZE + 1)
        assert target.vhd is not None
        assert target.vhd.parent is not None
        return target.vhd.parent.path, data


@pytest.mark.parametrize(("place", "relative", "absolute"), [
    ("", ".\\base.vhd", ""), ("", "base.vhd", ""), ("../store", "..\\store\\base.vhd", ""),
    ("sub/deep", ".\\sub\\deep\\base.vhd", "D:\\elsewhere\\other.vhd"), ("sub", ".\\SUB\\Base.VHD", ""),
    ("", "", "D:\\images\\base.vhd"), ("", "..\\gone\\base.vhd", ""), ("", ".\\gone.vhd", "D:\\images\\base.vhd"),
])
def test_parent_is_found(place: str, relative: str, absolute: str, tmp_path: Path) -> None:
    """By the path from the child's folder, letters of any case; else beside the child."""
    folder = tmp_path / "here"
    base = base_in((folder / place).resolve())
    path = child_in(folder, relative, absolute)
    assert read(path) == (base.resolve(), CONTENT)


def test_parent_named_in_the_header_alone_is_found(tmp_path: Path) -> None:
    """Older programs wrote no other place."""
    base = base_in(tmp_path)
    assert read(child_in(tmp_path, absolute="C:\\x\\base.vhd", in_name_only=True)) == (base, CONTENT)


def test_absolute_path_leads_into_the_childs_volume(tmp_path: Path) -> None:
    """A drive letter stands for the volume on which the child lies."""
    base = base_in(tmp_path / "volume/images")
    path = child_in(tmp_path / "volume/other", absolute="D:\\images\\base.vhd")
    table = tmp_path / "proc/self/mountinfo"
    table.parent.mkdir(parents=True)
    table.write_text(f"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 8:2 / {tmp_path}/volume rw - ntfs3 /dev/sda2 rw\n")
    host = Host(proc=tmp_path / "proc", sys=tmp_path / "sys", dev=tmp_path / "dev")
    assert read(path, host=host) == (base, CONTENT)


def test_missing_parent_is_refused_by_name(tmp_path: Path) -> None:
    """The message says which file to bring."""
    path = child_in(tmp_path, ".\\lost.vhd")
    with open_target(Place(path), write=False) as target:
        with pytest.raises(VhdParentMissing, match=r"\.\\lost\.vhd") as caught:
            _ = target.disk
        assert caught.value.exit_code == 4


def test_raw_file_at_the_parents_place_is_refused(tmp_path: Path) -> None:
    """A file of that name that is no VHD is not the parent."""
    (tmp_path / "base.vhd").write_bytes(CONTENT)
    with open_target(Place(child_in(tmp_path, ".\\base.vhd")), write=False) as target, pytest.raises(VhdParentMissing):
        _ = target.disk


def test_another_parent_is_refused(tmp_path: Path) -> None:
    """One with another unique id, or of another size."""
    path = child_in(tmp_path, ".\\base.vhd")
    base_in(tmp_path, unique_id=b"q" * 16)
    with open_target(Place(path), write=False) as target, pytest.raises(VhdParentChanged, match="unique id") as caught:
        _ = target.disk
    assert str(tmp_path / "base.vhd") in str(caught.value)
    (tmp_path / "base.vhd").write_bytes(fixed_vhd(CONTENT + bytes(512), unique_id=BASE_ID))
    with open_target(Place(path), write=False) as target, pytest.raises(VhdParentChanged, match="bytes"):
        _ = target.disk


def test_changed_parent_is_refused_where_its_time_is_known(tmp_path: Path) -> None:
    """The time in the child is that of the parent's file, or of its footer; with a zero there nothing is compared. FAT
    knows only every second second.
    """
    base = base_in(tmp_path)
    footer = Footer.parse(base.read_bytes()[-512:])
    noted = 600_000_000
    here = 946_684_800 + noted
    for time, file_time, sound in ((noted, here, True), (noted, here + 0.9, True), (noted, here + 60, False),
                                   (noted, here + 1.5, False), (noted, here - 2, True), (footer.time, 1, True),
                                   (0, 1, True)):
        os.utime(base, (file_time, file_time))
        path = child_in(tmp_path, ".\\base.vhd", parent_time=time)
        if sound:
            assert read(path)[1] == CONTENT
        else:
            with open_target(Place(path), write=False) as target, \
                    pytest.raises(VhdParentChanged, match="time") as caught:
                _ = target.disk
            assert caught.value.hint.endswith(f"touch -d @{here} {base}")


def test_chain_of_three_is_refused(tmp_path: Path) -> None:
    """Windows does not start from it."""
    base_in(tmp_path, "bottom.vhd")
    middle = child_in(tmp_path, ".\\bottom.vhd", name="base.vhd")
    path = child_in(tmp_path, ".\\base.vhd")
    assert read(middle)[1] == CONTENT
    with open_target(Place(path), write=False) as target, pytest.raises(VhdChainTooLong):
        _ = target.disk


def test_child_that_is_its_own_parent_is_refused(tmp_path: Path) -> None:
    """Without going round in a circle."""
    path = child_in(tmp_path, ".\\child.vhd")
    for write in (False, True):
        with open_target(Place(path), write=write) as target, pytest.raises((VhdChainTooLong, Locked)):
            _ = target.disk


def test_parent_of_a_child_beside_it_is_only_read(tmp_path: Path) -> None:
    """A change of it would destroy the child, which the message names; reading it is fine."""
    base = base_in(tmp_path)
    child_in(tmp_path, ".\\base.vhd", name="Child.VHD")
    with open_target(Place(base), write=False) as target:
        assert target.disk.pread(0, SIZE) == CONTENT
    with open_target(Place(base), write=True) as target:
        with pytest.raises(VhdHasChildren, match=r"Child\.VHD") as caught:
            begin(target)
        assert caught.value.exit_code == 4
    assert base.read_bytes() == fixed_vhd(CONTENT, unique_id=BASE_ID)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Child.VHD", "base.vhd"]


@pytest.mark.parametrize(("child", "relative"), [
    ("one/two/three", "..\\..\\..\\base.vhd"), ("..", ".\\store\\base.vhd"), ("../systems", "..\\store\\base.vhd"),
    ("../systems", "..\\lost\\base.vhd"), ("../systems", "..\\raw\\base.vhd"),
])
def test_parent_of_a_child_elsewhere_is_only_read(child: str, relative: str, tmp_path: Path) -> None:
    """In a folder below, the one above, or one beside; also one that does not find its parent as things lie."""
    base = base_in(tmp_path / "here/store")
    (tmp_path / "here/raw").mkdir()
    (tmp_path / "here/raw/base.vhd").write_bytes(CONTENT)
    path = child_in((base.parent / child).resolve(), relative)
    with open_target(Place(base), write=False) as target:
        assert target.disk.pread(0, SIZE) == CONTENT
    with open_target(Place(base), write=True) as target, pytest.raises(VhdHasChildren) as caught:
        begin(target)
    assert str(path) in str(caught.value)
    assert base.read_bytes() == fixed_vhd(CONTENT, unique_id=BASE_ID)


def test_copy_of_a_parent_is_written(tmp_path: Path) -> None:
    """A child in another folder that has its own parent with it loses nothing, nor one behind a link to a folder."""
    base = base_in(tmp_path / "here")
    base_in(tmp_path / "here/backup")
    child_in(tmp_path / "here/backup", ".\\base.vhd")
    child_in(tmp_path / "far/away/from/here", "..\\..\\..\\..\\here\\base.vhd")
    (tmp_path / "here/link").symlink_to(tmp_path / "far/away/from/here")
    with writing(base) as target, begin(target) as transaction:
        transaction.device.pwrite(0, b"new")
        transaction.commit()
    assert base.read_bytes()[:3] == b"new"


def test_search_for_children_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of very many files are not read to their end, but the disk's own is; a mount is not entered."""
    monkeypatch.setattr(neighbours, "_MOST", 5)
    base = base_in(tmp_path / "here")
    for name in ("a", "b", "c"):
        child_in(tmp_path / "here" / name, name="1")
        child_in(tmp_path / "here" / name, name="2")
    assert [path.parent.name for path in neighbours.files_near(base)] == ["a"]
    for number in range(9):
        (tmp_path / f"here/{number}").touch()
    assert len(list(neighbours.files_near(base))) == len(list(neighbours.files_beside(base))) == 9
    table = tmp_path / "proc/self/mountinfo"
    table.parent.mkdir(parents=True)
    table.write_text(f"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 8:2 / {tmp_path}/here rw - ext4 /dev/sda2 rw\n"
                     f"22 21 8:3 / {tmp_path}/here/a rw - ext4 /dev/sda3 rw\n")
    host = Host(proc=tmp_path / "proc", sys=tmp_path / "sys", dev=tmp_path / "dev")
    monkeypatch.setattr(neighbours, "_MOST", 1000)
    near = list(neighbours.files_near(base, host))
    assert sorted({path.parent.name for path in near}) == ["b", "c", "here"]


def test_neighbours_do_not_keep_a_vhd_from_being_written(tmp_path: Path) -> None:
    """Those that stand on others, damaged ones, and folders that are called like one."""
    folder = tmp_path / "here"
    base = base_in(folder)
    (folder / "other.vhd").write_bytes(sparse_vhd(SIZE, parent=".\\x.vhd", parent_id=b"z" * 16))
    (folder / "damaged.vhd").write_bytes(b"conectix" * 100)
    (folder / "empty.vhd").touch()
    (folder / "folder.vhd").mkdir()
    with writing(base) as target, begin(target) as transaction:
        transaction.device.pwrite(0, b"new")
        transaction.commit()
    assert base.read_bytes()[:3] == b"new"


def test_parent_in_the_middle_of_a_change_is_refused(tmp_path: Path) -> None:
    """Nobody writes it while it is read, and an interrupted change of it is finished first."""
    base = base_in(tmp_path)
    path = child_in(tmp_path, ".\\base.vhd")
    (tmp_path / "base.vhd.wimboot-log").touch()
    with open_target(Place(path), write=False) as target, pytest.raises(LogWaits, match=r"base\.vhd"):
        _ = target.disk
    (tmp_path / "base.vhd.wimboot-log").unlink()
    with open_target(Place(base), write=True), open_target(Place(path), write=False) as target, \
            pytest.raises(Refused):
        _ = target.disk
    with open_target(Place(path), write=False) as target:
        assert target.disk.pread(0, 5) == CONTENT[:5]
        with pytest.raises(Locked):
            open_target(Place(base), write=True)


def test_lock_of_the_parent_is_given_back(tmp_path: Path) -> None:
    """When the child is closed, and when it was refused."""
    base = base_in(tmp_path, unique_id=b"q" * 16)
    path = child_in(tmp_path, ".\\base.vhd")
    with open_target(Place(path), write=False) as target, pytest.raises(VhdParentChanged):
        _ = target.disk
    path.unlink()
    open_target(Place(base), write=True).close()


# -- making them ------------------------------------------------------------------------------------------------


def test_new_vhds_are_sound_to_others(tmp_path: Path) -> None:
    """A fixed, a dynamic and a differencing one, in the eyes of our judge and of libvhdi."""
    folder, counter, size = HostFolder(tmp_path), Counter(), 5 << 20
    create_vhd(folder, "fixed.vhd", kind=DiskType.FIXED, size=size, counter=counter)
    assert counter.done == size
    assert (tmp_path / "fixed.vhd").stat().st_blocks * 512 >= size
    create_vhd(folder, "dynamic.vhd", kind=DiskType.DYNAMIC, size=size)
    (tmp_path / "sub").mkdir()
    parent = folder.open("fixed.vhd")
    create_vhd(HostFolder(tmp_path / "sub"), "child.vhd", kind=DiskType.DIFFERENCING, unix_time=1_500_000_000,
               parent=ParentPlace(file=parent, relative="..\\fixed.vhd", absolute="D:\\vhd\\fixed.vhd"))
    parent.close()
    fixed, dynamic = (judge_vhd((tmp_path / name).read_bytes()) for name in ("fixed.vhd", "dynamic.vhd"))
    child = judge_vhd((tmp_path / "sub/child.vhd").read_bytes(), fixed)
    assert [one.kind for one in (fixed, dynamic, child)] == [2, 3, 4]
    assert fixed.disk == dynamic.disk == child.disk == bytes(size)
    assert len({one.unique_id for one in (fixed, dynamic, child)}) == 3
    assert libvhdi_reads(tmp_path / "sub/child.vhd", tmp_path / "fixed.vhd") == bytes(size)
    assert Footer.parse((tmp_path / "sub/child.vhd").read_bytes()).time == 1_500_000_000 - 946_684_800
    with open_target(Place(tmp_path / "sub/child.vhd"), write=False) as target:
        assert target.disk.size() == size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dynamic.vhd", "fixed.vhd", "sub"]


@pytest.mark.parametrize(("kind", "size", "block_size"), [
    (DiskType.DYNAMIC, 0, 2 << 20), (DiskType.DYNAMIC, (4 << 20) + 1, 2 << 20), (DiskType.FIXED, 2041 << 30, 2 << 20),
    (DiskType.DYNAMIC, 2041 << 30, 2 << 20), (DiskType.DYNAMIC, 8 << 20, 1 << 20), (DiskType.FIXED, 1 << 20, 2 << 20),
    (DiskType.DIFFERENCING, 8 << 20, 2 << 20),
])
def test_vhd_that_windows_would_not_use_is_not_made(kind: DiskType, size: int, block_size: int, tmp_path: Path) -> None:
    """Too small, too large, parts of sectors, other blocks, no parent."""
    with pytest.raises(VhdNotPossible):
        create_vhd(HostFolder(tmp_path), "d.vhd", kind=kind, size=size, block_size=block_size)
    assert not list(tmp_path.iterdir())


def test_child_of_a_child_or_of_another_size_is_not_made(tmp_path: Path) -> None:
    """Chains have two links, of one size."""
    base_in(tmp_path)
    child_in(tmp_path, ".\\base.vhd")
    (tmp_path / "large.vhd").write_bytes(fixed_vhd(bytes(4 << 20)))
    for name, size in (("child.vhd", None), ("large.vhd", 5 << 20)):
        file = HostFolder(tmp_path).open(name)
        with pytest.raises(VhdNotPossible):
            create_vhd(HostFolder(tmp_path), "new.vhd", kind=DiskType.DIFFERENCING, size=size,
                       parent=ParentPlace(file=file, relative=f".\\{name}"))
        file.close()


def test_existing_file_is_not_made_anew(tmp_path: Path) -> None:
    """Whatever it is."""
    (tmp_path / "d.vhd").write_bytes(b"precious")
    with pytest.raises(DiskExists):
        create_vhd(HostFolder(tmp_path), "d.vhd", kind=DiskType.DYNAMIC, size=8 << 20)
    assert (tmp_path / "d.vhd").read_bytes() == b"precious"


def test_a_crash_leaves_no_half_made_vhd(tmp_path: Path) -> None:
    """The name appears when everything under it is durable."""
    recorder = Recorder()
    create_vhd(recorder.host(tmp_path), "d.vhd", kind=DiskType.DYNAMIC, size=8 << 20)
    found = set()
    for model in (Model.KILL, Model.SECTOR):
        for state in states(recorder, model, seeds=range(4)):
            images = state.folders[str(tmp_path)]
            found.add("d.vhd" in images)
            if "d.vhd" in images:
                image = images["d.vhd"]
                judge_vhd(image.read(0, image.size))
    assert found == {True, False}
