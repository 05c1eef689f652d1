"""The names in one folder of a volume: the same that a scan finds, whatever the volume holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volume_rig import ROOT, TIMES, fresh_volume, opened, utf16
from wimboot.errors import Error
from wimboot.ntfs import Volume, list_folder, scan
from wimboot.ntfs.refusals import FileNotFound, NotAFolder, VolumeClosed
from wimboot.storage import FileDevice, HostFile
from wimboot.storage.memory import BytesGround, Image, MemoryFile

MANY = 1 << 20


def test_a_folder_lists_what_the_scan_finds(pristine_small: Path) -> None:
    """Every folder of a sample system, long names only, each with its file reference; NTFS' own files are left out."""
    device = FileDevice(HostFile.open(pristine_small))
    tree = scan(device)
    folders = 0
    with Volume(device, write=False, where="sample") as volume:
        waiting = [ROOT]
        while waiting:
            folder = waiting.pop()
            names, more = list_folder(volume, folder, MANY)
            assert not more
            node = next(at for at in range(tree.node_count) if tree.file_id(at) == folder)
            rows = [tree.link(link) for link in tree.children(node)]
            assert sorted(names) == sorted((row.name, tree.file_id(row.node)) for row in rows)
            waiting += [file_id for _, file_id in names if volume.is_folder(file_id)]
            folders += 1
    assert folders > 20


def test_a_full_list_says_that_there_is_more(tmp_path: Path) -> None:
    """Never more than asked for, and never silently less."""
    path = fresh_volume(tmp_path / "volume.img")
    with opened(path) as volume:
        for number in range(5):
            volume.create_file(ROOT, utf16(f"file {number}"), b"", 0x20, TIMES, 0)
    with opened(path, write=False) as volume:
        assert [len(list_folder(volume, ROOT, limit)[0]) for limit in (0, 3, 5, 6)] == [0, 3, 5, 5]
        assert [list_folder(volume, ROOT, limit)[1] for limit in (0, 3, 5, 6)] == [True, True, False, False]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    """A file, a record that is not there, a volume that was closed."""
    path = fresh_volume(tmp_path / "volume.img")
    with opened(path) as volume:
        file_id = volume.create_file(ROOT, utf16("file"), b"", 0x20, TIMES, 0)
        with pytest.raises(NotAFolder):
            list_folder(volume, file_id, MANY)
        with pytest.raises(FileNotFound):
            list_folder(volume, file_id + (1 << 48), MANY)
    with pytest.raises(VolumeClosed):
        list_folder(volume, ROOT, MANY)


@settings(deadline=None, max_examples=60)
@given(changes=st.lists(st.tuples(st.integers(0, 0x7FF), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6))
def test_a_damaged_folder_lists_or_is_refused(small_folder: bytes, changes: list[tuple[int, bytes]]) -> None:
    """Whatever the root's record says, the answer is names or one of our errors."""
    image = Image(BytesGround(small_folder), len(small_folder))
    file = MemoryFile(image)
    record = int.from_bytes(small_folder[48:56], "little") * 4096 + 5 * 1024
    for offset, data in changes:
        file.pwrite(record + offset % (1024 - len(data)), data)
    try:
        with Volume(FileDevice(file), write=False, where="damaged", inspect=True) as volume:
            names, _ = list_folder(volume, ROOT, 1000)
            assert all(name for name, _ in names)
    except Error:
        pass


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A volume with a few files in its root."""
    path = fresh_volume(tmp_path_factory.mktemp("listed") / "volume.img")
    with opened(path) as volume:
        for number in range(40):
            volume.create_file(ROOT, utf16(f"a file with number {number}"), b"", 0x20, TIMES, 0)
    return path.read_bytes()
