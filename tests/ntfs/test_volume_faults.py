"""A device that fails: the error reaches the caller whatever the library makes of it, and nothing is called done."""

from __future__ import annotations

import random
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volume_rig import ROOT, TIMES, agrees, descriptor, fresh_volume, opened, pointer, utf16
from wimboot.errors import Error, HostError
from wimboot.ntfs import refusals
from wimboot.ntfs.volume import Volume
from wimboot.storage import FileDevice, OutOfSpace

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.storage import Data


class BrokenError(HostError):
    """The fault that is put in."""

    id = "broken"


class Memory:
    """A File in memory that fails from the n-th call of a kind on."""

    def __init__(self, content: bytes, *, reads: int = 1 << 60, writes: int = 1 << 60, syncs: int = 1 << 60,
                 error: type[Exception] = BrokenError) -> None:
        self.content = bytearray(content)
        self.left = {"read": reads, "write": writes, "sync": syncs}
        self.error = error
        self.touched: list[tuple[int, int]] = []

    def _count(self, kind: str) -> None:
        self.left[kind] -= 1
        if self.left[kind] < 0:
            if issubclass(self.error, Error):
                raise self.error(what=kind, where="here", why="broken")
            raise self.error(kind)

    def pread(self, offset: int, size: int) -> bytes:
        self._count("read")
        return bytes(self.content[offset:offset + size])

    def pwrite(self, offset: int, data: Data) -> None:
        self._count("write")
        self.touched.append((offset, len(data)))
        self.content[offset:offset + len(data)] = data

    def truncate(self, size: int) -> None:
        raise AssertionError(f"a volume never changes the size of its device, here to {size}")

    def sync(self) -> None:
        self._count("sync")

    def size(self) -> int:
        return len(self.content)

    def close(self) -> None:
        pass


def _work_on(memory: Memory) -> None:
    with Volume(FileDevice(memory), write=True, where="it") as volume:
        _work(volume)


def _work(volume: Volume) -> None:
    security = volume.security_id(descriptor())
    pointers = array("Q")
    for number in range(40):
        folder = volume.create_folder(ROOT, utf16(f"folder {number}"), b"", 0x10, TIMES, security)
        file_id = volume.create_file(folder, utf16("a file"), utf16("AFILE~1"), 0x20, TIMES, security)
        volume.write_data(file_id, b"", [b"x" * 40_000] * 2, 80_000)
        volume.link(file_id, ROOT, utf16(f"link {number}"))
        volume.write_data(file_id, utf16("sparse"), [b"x" * 70_000], 70_000, sparse=True)
        volume.point(file_id, pointer(80_000), 80_000)
        pointers.append(volume.create_pointer(folder, utf16("p"), b"", 0x20, TIMES, security, 5, pointer(5)))
        if number % 3 == 0:
            volume.unlink(file_id, ROOT, utf16(f"link {number}"))
            volume.unlink(file_id, folder, utf16("a file"))
    volume.refresh(pointers, pointer(5, 2) * len(pointers))


@pytest.fixture(scope="module")
def volume_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return fresh_volume(tmp_path_factory.mktemp("faults") / "volume.img").read_bytes()


@pytest.fixture(scope="module")
def calls(volume_bytes: bytes) -> dict[str, int]:
    """How often the work reads, writes and syncs when nothing fails."""
    memory = Memory(volume_bytes)
    before = dict(memory.left)
    _work_on(memory)
    assert sum(size for _, size in memory.touched) < 8 << 20
    return {kind: before[kind] - left for kind, left in memory.left.items()}


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_fault_anywhere_is_told(volume_bytes: bytes, calls: dict[str, int], data: st.DataObject) -> None:
    """From the n-th read, write or sync on nothing works: that exception comes out, at the close at the latest."""
    kind = data.draw(st.sampled_from(["read", "write", "sync"]))
    memory = Memory(volume_bytes)
    memory.left[kind] = data.draw(st.integers(0, calls[kind]))
    try:
        _work_on(memory)
    except BrokenError:
        return
    assert memory.left[kind] >= 0, "a failure was swallowed"


@pytest.mark.parametrize("error", [KeyError, MemoryError, KeyboardInterrupt, OutOfSpace])
def test_exceptions_of_the_device_go_through(volume_bytes: bytes, error: type[Exception]) -> None:
    """What Python raised below the library is what comes out above it."""
    memory = Memory(volume_bytes, reads=12, error=error)
    with pytest.raises(error):
        _work_on(memory)


def test_a_failed_device_is_not_used_again(volume_bytes: bytes) -> None:
    """After a failure every change fails, and closing does not pretend."""
    memory = Memory(volume_bytes)
    volume = Volume(FileDevice(memory), write=True, where="it")
    volume.create_file(ROOT, utf16("first"), b"", 0x20, TIMES, 0)
    memory.left["write"] = 0
    big = volume.create_file(ROOT, utf16("big"), b"", 0x20, TIMES, 0)
    with pytest.raises(BrokenError):
        volume.write_data(big, b"", [b"x" * 200_000], 200_000)
    memory.left["write"] = 1 << 60
    with pytest.raises(HostError):
        volume.create_file(ROOT, utf16("second"), b"", 0x20, TIMES, 0)
    with pytest.raises(Error):
        volume.close()


def test_leaving_by_an_exception_writes_nothing(volume_bytes: bytes) -> None:
    """What was kept back is dropped."""
    memory = Memory(volume_bytes)


    def leave() -> None:
        with Volume(FileDevice(memory), write=True, where="it") as volume:
            volume.create_file(ROOT, utf16("file"), b"", 0x20, TIMES, 0)
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert memory.content == volume_bytes


def test_a_full_volume_is_told_as_such(tmp_path: Path) -> None:
    """No clusters left: one clear error, and the volume before it is still sound when the change is dropped."""
    path = fresh_volume(tmp_path / "volume.img", size=4 << 20)
    before = path.read_bytes()

    def one_large() -> None:
        with opened(path) as volume:
            file_id = volume.create_file(ROOT, utf16("file"), b"", 0x20, TIMES, 0)
            volume.write_data(file_id, b"", [bytes([1]) * (8 << 20)], 8 << 20)

    def many_small() -> None:
        with opened(path) as volume:
            for number in range(20_000):
                volume.create_file(ROOT, utf16(f"file {number}"), b"", 0x20, TIMES, 0)

    for attempt in (one_large, many_small):
        with pytest.raises(refusals.VolumeFull):
            attempt()
    agrees(path)
    assert len(path.read_bytes()) == len(before)


def test_what_is_kept_back_is_what_is_read(tmp_path: Path) -> None:
    """Large reads and writes go past the pages kept; both see each other's bytes, in files of all sizes."""
    path = fresh_volume(tmp_path / "volume.img", size=48 << 20)
    rng = random.Random(7)
    contents: dict[int, bytes] = {}
    with opened(path) as volume:
        for number in range(60):
            file_id = volume.create_file(ROOT, utf16(f"file {number}"), b"", 0x20, TIMES, 0)
            contents[file_id] = rng.randbytes(rng.choice([10, 3000, 20_000, 32_768, 40_000, 300_000]))
            volume.write_data(file_id, b"", [contents[file_id]], len(contents[file_id]))
            victim = rng.choice(list(contents))
            contents[victim] = rng.randbytes(rng.choice([100, 5000, 100_000]))
            parts = [contents[victim][offset:offset + 7000] for offset in range(0, len(contents[victim]), 7000)]
            volume.write_data(victim, b"", parts, len(contents[victim]))
            chosen = rng.choice(list(contents))
            assert volume.read(chosen) == contents[chosen]
    with opened(path, write=False) as volume:
        for file_id, content in contents.items():
            assert volume.read(file_id) == content
            assert volume.read(file_id, b"", 5, 100) == content[5:105]
    agrees(path)


@pytest.fixture(scope="module")
def worked_bytes(volume_bytes: bytes) -> bytes:
    """A volume with folders, pointers, object ids and descriptors to damage."""
    memory = Memory(volume_bytes)
    with Volume(FileDevice(memory), write=True, where="it") as volume:
        _work(volume)
        for number in range(12):
            file_id = volume.create_file(ROOT, utf16(f"file {number}"), utf16(f"F{number}"), 0x20, TIMES, 0)
            volume.set_object_id(file_id, bytes([number]) * 16)
            volume.security_id(descriptor(700 + number))
    return bytes(memory.content)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_changes_of_a_damaged_volume_end_with_errors_of_ours(worked_bytes: bytes, data: st.DataObject) -> None:
    """Whatever is broken, in records, folders or system indexes: a change is done or refused, nothing falls over."""
    memory = Memory(worked_bytes)
    table = int.from_bytes(worked_bytes[48:56], "little") * 4096
    for _ in range(data.draw(st.integers(1, 6))):
        offset = table + data.draw(st.integers(0, 200 << 10))
        memory.content[offset:offset + 4] = data.draw(st.one_of(
            st.sampled_from([bytes(4), b"\xff" * 4, b"\xff\x7f\0\0"]), st.binary(min_size=4, max_size=4)))
    with suppress(Error), Volume(FileDevice(memory), write=True, where="it") as volume:
        for number in range(12):
            with suppress(Error):
                file_id = volume.open_path(f"file {number}") or ROOT
                volume.set_object_id(file_id, bytes([99 + number]) * 16)
                volume.security_id(descriptor(900 + number))
                volume.create_pointer(ROOT, utf16(f"new {number}"), utf16(f"N{number}"), 0x20, TIMES, 0, 5, pointer(5))
                volume.write_data(file_id, b"", [b"x" * 50_000], 50_000)
                volume.point(file_id, pointer(50_000), 50_000)
                volume.rename(file_id, ROOT, utf16(f"file {number}"), ROOT, utf16(f"moved {number}"), utf16("M"))
                volume.unlink(file_id, ROOT, utf16(f"moved {number}"))
