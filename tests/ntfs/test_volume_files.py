"""Large files inside a volume through the byte protocol: against a model, and in the eyes of other programs."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from build import make_volume
from judges import sound_volume
from mounting import mounted
from wimboot.errors import Error, HostError
from wimboot.ntfs import Volume
from wimboot.ntfs._filedata import FileData
from wimboot.ntfs.folder import VolumeFile, VolumeFolder
from wimboot.ntfs.refusals import LinkOnTheWay, NotAFile, NotAFolder, NotPlain, VolumeFull
from wimboot.ntfs.volume import ROOT
from wimboot.storage import FileDevice, HostFile
from wimboot.windows.security import ADMINISTRATORS_ONLY

MIB = 1 << 20


class Mounted:
    """One volume in a file, mounted for writing; `again` mounts it anew."""

    def __init__(self, path: Path) -> None:
        self.file = HostFile.open(path, write=True)
        self.volume = self._mount()

    def _mount(self) -> Volume:
        return Volume(FileDevice(self.file), write=True, where="the volume")

    def again(self) -> None:
        self.volume.close()
        self.volume = self._mount()

    def for_reading(self) -> Volume:
        return self.volume

    def for_writing(self) -> Volume:
        return self.volume

    def forget_cached(self, places: Iterable[tuple[int, int]]) -> None:
        assert all(size > 0 for _, size in places)

    def folder(self, *parts: str) -> VolumeFolder:
        return VolumeFolder(self, parts, where="the volume", security=ADMINISTRATORS_ONLY)

    def close(self) -> None:
        self.volume.close()
        self.file.close()


@pytest.fixture
def volume_path(tmp_path: Path) -> Path:
    """An empty volume."""
    path = tmp_path / "volume.img"
    make_volume(path, size=16 * MIB)
    return path


def test_a_file_grows_in_a_folder_that_is_made(volume_path: Path) -> None:
    """What is written in any pieces is what the driver reads, and the room taken ahead is given back."""
    mount = Mounted(volume_path)
    chance = Random(1)
    data = chance.randbytes(5 * MIB + 12_345)
    file = mount.folder("New folder", "deeper").create("store.wim")
    at = 0
    while at < len(data):
        size = chance.choice((1, 511, 4096, 70_000, MIB))
        file.pwrite(at, data[at:at + size])
        at = min(len(data), at + size)
        assert file.size() == at
    assert file.pread(0, len(data) + 10) == data
    file.sync()
    mount.again()
    assert file.pread(MIB - 5, 100) == data[MIB - 5:MIB + 95]
    mount.close()
    with mounted(volume_path) as root:
        assert (root / "New folder/deeper/store.wim").read_bytes() == data
        assert (root / "New folder/deeper/store.wim").stat().st_blocks * 512 - len(data) < 4096
    sound_volume(volume_path)


OPERATIONS = st.lists(st.tuples(
    st.sampled_from(("write", "append", "gap", "cut", "sync", "again", "read")),
    st.integers(0, 300_000), st.integers(0, 150_000)), max_size=25)


@pytest.mark.parametrize("cluster", [512, 4096, 65_536])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(operations=OPERATIONS)
def test_any_history_reads_as_the_model(cluster: int, operations: list[tuple[str, int, int]], tmp_path: Path) -> None:
    """Writes inside, at and past the end, cuts and new mounts: at each step the bytes are those of a bytearray."""
    path = tmp_path / "volume.img"
    path.unlink(missing_ok=True)
    make_volume(path, size=24 * MIB, cluster=cluster)
    mount = Mounted(path)
    file, model, chance = mount.folder().create("x.wim"), bytearray(), Random(7)
    for what, at, size in operations:
        if what in ("write", "append", "gap"):
            place = {"write": min(at, len(model)), "append": len(model), "gap": len(model) + at}[what]
            data = chance.randbytes(size)
            file.pwrite(place, data)
            if data:
                model.extend(bytes(max(0, place - len(model))))
                model[place:place + size] = data
        elif what == "cut":
            end = min(at, len(model) + 100_000)
            file.truncate(end)
            del model[end:]
            model.extend(bytes(end - len(model)))
        elif what == "sync":
            file.sync()
        elif what == "again":
            file.sync()
            mount.again()
        assert file.size() == len(model)
        assert file.pread(at, size) == model[at:at + size]
    assert file.pread(0, len(model)) == model
    file.sync()
    mount.close()
    mount = Mounted(path)
    assert mount.folder().open("X.WIM").pread(0, len(model) + 1) == model
    mount.close()


def _scatter(volume_path: Path) -> None:
    """Fill the volume with small files and remove every second."""
    with mounted(volume_path, write=True) as root:
        names: list[Path] = []
        with contextlib.suppress(OSError):
            while True:
                names.append(root / f"{len(names):04}.bin")
                names[-1].write_bytes(b"x" * 12_000)
        for name in names[::2]:
            name.unlink()


def test_any_write_finds_scattered_room(volume_path: Path) -> None:
    """A stream of known size is written whole, though the library finds no room for all of it at once."""
    _scatter(volume_path)
    mount = Mounted(volume_path)
    data = Random(3).randbytes(4 * MIB)
    file = mount.volume.create_file(ROOT, "x.bin".encode("utf-16-le"), b"", 0x20, (0, 0, 0),
                                    mount.volume.security_id(ADMINISTRATORS_ONLY))
    mount.volume.write_data(file, b"", iter((data[:MIB], data[MIB:])), len(data))
    mount.close()
    with mounted(volume_path) as root:
        assert (root / "x.bin").read_bytes() == data
    sound_volume(volume_path)


def _write(volume: Volume, name: str, data: bytes) -> int:
    file = volume.create_file(ROOT, name.encode("utf-16-le"), b"", 0x20, (0, 0, 0),
                              volume.security_id(ADMINISTRATORS_ONLY))
    volume.write_data(file, b"", iter((data,)), len(data))
    return file


@pytest.mark.parametrize(("size", "largest", "seed"), [(64 * MIB, 640_000, 29), (16 * MIB, 4_096, 1)])
def test_files_in_one_run_find_all_free_clusters(tmp_path: Path, size: int, largest: int, seed: int) -> None:
    """The library looks no more where one search came to the end: free clusters lie there."""
    path = tmp_path / "volume.img"
    make_volume(path, size=size)
    mount = Mounted(path)
    chance = Random(seed)
    files: list[int] = []
    while (left := mount.volume.free_clusters * 4096) > 2 * MIB:
        length = largest if largest == 4_096 else min(chance.randrange(1, largest), left - MIB)
        files.append(_write(mount.volume, str(len(files)), bytes(length)))
    for number in chance.sample(range(len(files)), min(len(files) // 3, 1000)):
        mount.volume.unlink(files[number], ROOT, str(number).encode("utf-16-le"))
    mount.again()
    written: dict[str, bytes] = {}
    while (left := mount.volume.free_clusters * 4096) > MIB:
        written[f"x{len(written)}"] = data = chance.randbytes(min(chance.randrange(1, 640_000), left - MIB // 2))
        _write(mount.volume, f"x{len(written) - 1}", data)
    mount.close()
    with mounted(path) as root:
        assert all((root / name).read_bytes() == data for name, data in written.items())
    sound_volume(path)


def test_a_file_in_many_pieces(volume_path: Path) -> None:
    """On a volume whose free clusters lie scattered the run list is long, and reads still find every byte."""
    _scatter(volume_path)
    mount = Mounted(volume_path)
    data = Random(2).randbytes(5 * MIB)
    file = mount.folder().create("x.wim")
    for at in range(0, len(data), 65_536):
        file.pwrite(at, data[at:at + 65_536])
    file.sync()
    assert len(FileData(mount.volume, mount.volume.open_path("x.wim") or 0).places()) > 30
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda at: file.pread(at, 10_000), range(0, len(data), 10_000)))
    assert b"".join(parts) == data
    mount.close()
    with mounted(volume_path) as root:
        assert (root / "x.wim").read_bytes() == data
    sound_volume(volume_path)


def test_names(volume_path: Path) -> None:
    """Open, create, replace, remove, exist, list: as the protocol has it, whatever the case of a name."""
    mount = Mounted(volume_path)
    folder = mount.folder("A")
    assert folder.names() == []
    assert not folder.exists("x.wim")
    with pytest.raises(HostError):
        folder.open("x.wim")
    old, new = folder.create("X.wim"), folder.create("new")
    old.pwrite(0, b"old" * 5000)
    new.pwrite(0, b"new" * 9000)
    with pytest.raises(HostError):
        folder.create("x.WIM")
    folder.replace("NEW", "x.wim")
    assert folder.names() == ["x.wim"]
    assert folder.open("x.wim").pread(0, 9) == b"newnewnew"
    for missing in (folder.remove, lambda name: folder.replace(name, "y")):
        with pytest.raises(HostError):
            missing("nothing")
    folder.create("z").close()
    with pytest.raises(HostError) as caught:
        folder.rename_new("z", "X.wim")
    assert caught.value.facts["errno"] == errno.EEXIST
    assert folder.open("x.wim").pread(0, 9) == b"newnewnew"
    folder.rename_new("z", "w")
    assert folder.names() == ["w", "x.wim"]
    folder.remove("w")
    folder.remove("X.WIM")
    assert folder.names() == []
    assert folder.free_size() > 8 * MIB
    mount.close()
    sound_volume(volume_path)


def test_what_is_no_plain_file_is_refused(volume_path: Path) -> None:
    """Folders, files on the way, links, compressed and sparse files."""
    with mounted(volume_path, write=True) as root:
        (root / "folder").mkdir()
        (root / "file").write_bytes(b"a file")
    mount = Mounted(volume_path)
    volume = mount.volume
    link = volume.create_folder(ROOT, "link".encode("utf-16-le"), b"", 0x10, (0, 0, 0),
                                volume.security_id(ADMINISTRATORS_ONLY))
    volume.set_reparse(link, bytes.fromhex("030000a00c000000") + bytes(12))
    packed = volume.create_file(ROOT, "packed".encode("utf-16-le"), b"", 0x20, (0, 0, 0),
                                volume.security_id(ADMINISTRATORS_ONLY))
    volume.write_data(packed, b"", iter((bytes(100_000),)), 100_000, compressed=True)
    for error, parts, name in ((NotAFile, (), "folder"), (NotAFolder, ("file",), "x"), (LinkOnTheWay, ("link",), "x"),
                               (NotPlain, (), "packed")):
        for act in (mount.folder(*parts).open, mount.folder(*parts).create):
            with pytest.raises(HostError if act.__name__ == "create" and not parts else error):
                act(name)
    mount.close()
    sound_volume(volume_path)


def test_small_files_are_read_and_grow(volume_path: Path) -> None:
    """Data that lies in the file's record is read from there, and moves out when it grows."""
    with mounted(volume_path, write=True) as root:
        (root / "small.wim").write_bytes(b"in its record")
    mount = Mounted(volume_path)
    file = mount.folder().open("small.wim", write=True)
    assert file.pread(3, 100) == b"its record"
    file.pwrite(13, b"!" * 100_000)
    assert file.pread(0, 20) == b"in its record!!!!!!!"
    file.truncate(5)
    assert file.pread(0, 20) == b"in it"
    mount.close()
    with mounted(volume_path) as root:
        assert (root / "small.wim").read_bytes() == b"in it"
    sound_volume(volume_path)


def test_a_full_volume_says_so(volume_path: Path) -> None:
    """The write fails with our error, and nothing more can be written: the transaction has to be dropped."""
    mount = Mounted(volume_path)
    file = mount.folder().create("x.wim")
    for at in range(0, mount.folder().free_size() - MIB, MIB):
        file.pwrite(at, bytes(MIB))
    with pytest.raises(VolumeFull):
        file.pwrite(file.size(), bytes(4 * MIB))
    with pytest.raises(Error):
        file.pwrite(0, b"more")
    mount.volume.unmount(discard=True)
    mount.file.close()


def test_a_file_is_nearly_as_large_as_the_volume(volume_path: Path) -> None:
    """Room is taken ahead only as far as there is any: all but a little can be used."""
    mount = Mounted(volume_path)
    file: VolumeFile = mount.folder().create("x.wim")
    free = mount.folder().free_size()
    for at in range(0, free - 64 * 1024, 60_000):
        file.pwrite(at, b"z" * 60_000)
    file.sync()
    mount.close()
    sound_volume(volume_path)
