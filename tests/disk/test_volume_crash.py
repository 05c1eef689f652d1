"""An NTFS volume changed by libntfs-3g inside a transaction: whatever stops it, it is the old or the new one."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

import build
import judges
from wimboot.disk import Recovered, TargetChanged, Transaction, recover
from wimboot.errors import Error
from wimboot.formats.names import encode_name
from wimboot.ntfs import Volume, cluster_bitmap, volume_facts
from wimboot.storage import FileDevice, HostFile
from wimboot.storage.faults import Image, MemoryFolder, Model, Recorder, states

SIZE = 8 << 20
ROOT = 5 | 5 << 48
DIRTY = 1
TIME = 132_000_000_000_000_000


def change(volume: Volume, seed: int, *, start: int, remove: int) -> None:
    """Files of all sizes made, some of the old ones removed and rewritten."""
    rng = random.Random(seed)
    for number in range(start, start + 30):
        file = volume.create_file(ROOT, encode_name(f"file {number}"), b"", 0x20, (TIME, TIME, TIME), 0)
        size = rng.choice((0, 100, 5000, 60_000))
        volume.write_data(file, b"", [rng.randbytes(size)], size)
    for number in range(remove):
        found = volume.open_path(f"file {number}")
        assert found is not None
        if number % 2:
            volume.unlink(found, ROOT, encode_name(f"file {number}"))
        else:
            volume.write_data(found, b"", [b"rewritten" * 900], 8100)


def run_in(folder: MemoryFolder | Recorder, seed: int, *, start: int, remove: int,
           batch_pages: int | None = 8, straight: bool = True) -> None:
    """The change, in a transaction that knows what is free and sets the dirty flag."""
    here = folder if isinstance(folder, MemoryFolder) else folder.folder(MemoryFolder(), "here")
    file = here.open("disk.img", write=True)
    with Transaction(file, here, "log", where="disk.img", batch_pages=batch_pages) as transaction:
        device = transaction.device
        facts = volume_facts(device)
        if straight:
            transaction.set_free(0, facts.cluster_size, cluster_bitmap(device), facts.total_clusters)
        for offset in facts.flags_offsets:
            transaction.guard(offset, (facts.flags | DIRTY).to_bytes(2, "little"))
        with Volume(device, write=True, where="disk.img") as volume:
            change(volume, seed, start=start, remove=remove)
        assert not straight or (transaction.straight_bytes > 200_000 and transaction.logged_bytes < 1 << 20)
        transaction.commit()


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A volume with 30 files."""
    path = tmp_path_factory.mktemp("volume") / "v.img"
    if shutil.which("mkntfs") is None:
        pytest.skip("mkntfs is not installed")
    build.make_volume(path, size=SIZE)
    folder = MemoryFolder({"disk.img": Image(path.read_bytes())})
    run_in(folder, 1, start=0, remove=0)
    return folder.images["disk.img"].read(0, SIZE)


@pytest.mark.parametrize("count", [1, pytest.param(60, marks=pytest.mark.nightly)])
def test_volume_is_old_or_new_after_any_crash(tmp_path: Path, volume: bytes, count: int) -> None:
    """Every used byte old, or every byte new; half-done volumes say that they are dirty; judges find all sound."""
    recorder = Recorder()
    recorder.folder(MemoryFolder({"disk.img": Image(volume)}), "here")
    run_in(recorder, 2, start=100, remove=20)
    *_, last = states(recorder, Model.KILL, points=[recorder.point])
    new = last.folders["here"]["disk.img"].read(0, SIZE)
    path = tmp_path / "v.img"
    path.write_bytes(volume)
    facts = volume_facts(FileDevice(file := HostFile.open(path)))
    bitmap = cluster_bitmap(FileDevice(file))
    file.close()
    judged: dict[bytes, str] = {}
    seen = {Recovered.DROPPED: 0, Recovered.COMPLETED: 0, Recovered.NOTHING: 0}
    sample = random.Random(1).sample(range(recorder.point), min(recorder.point, 10 + 25 * (count - 1)))
    for model in Model:
        for state in states(recorder, model, points=sample, seeds=range(1 if count < 10 else 4)):
            folder = state.folder("here")
            half = folder.images["disk.img"].read(0, SIZE)
            found = recover(folder.open("disk.img", write=True), folder, "log", where="disk.img")
            seen[found] += 1
            now = folder.images["disk.img"].read(0, SIZE)
            if found is Recovered.COMPLETED and model is Model.KILL and half != new:
                # not begun, or marked, or nothing is missing but a page that was marked
                dirty = any(half[offset] & DIRTY for offset in facts.flags_offsets)
                assert dirty or _same_used(half, volume, bitmap, facts.cluster_size), state.key
            assert now == new or _same_used(now, volume, bitmap, facts.cluster_size), state.key
            if now not in judged and len(judged) < count:
                judged[now] = state.key
    assert seen[Recovered.DROPPED]
    assert seen[Recovered.COMPLETED]
    for content, key in [*judged.items(), (new, "new")]:
        path.write_bytes(content)
        try:
            judges.sound_volume(path)
        except AssertionError as error:
            pytest.fail(f"{key}: {error}")


def _same_used(one: bytes, two: bytes, bitmap: bytes, cluster_size: int) -> bool:
    """Whether all clusters in use hold the same; what lies behind the last cluster counts as used."""
    count = len(one) // cluster_size
    if one[count * cluster_size:] != two[count * cluster_size:]:
        return False
    used = (place * cluster_size for place in range(count)
            if place >= len(bitmap) * 8 or bitmap[place >> 3] >> (place & 7) & 1)
    return all(one[start:start + cluster_size] == two[start:start + cluster_size] for start in used)


def test_volume_that_was_used_after_the_crash_is_refused(volume: bytes) -> None:
    """A driver that minds no dirty flag makes one small file; or one is made on a copy that is put back."""
    recorder = Recorder()
    recorder.folder(MemoryFolder({"disk.img": Image(volume)}), "here")
    run_in(recorder, 2, start=100, remove=20, batch_pages=None, straight=False)
    used = {True: 0, False: 0}
    for state in states(recorder, Model.KILL):
        folder = state.folder("here")
        half = folder.images["disk.img"].read(0, SIZE)
        if not folder.exists("log") or recover_in(folder) is not Recovered.COMPLETED:
            continue
        if folder.images["disk.img"].read(0, SIZE) == half:
            continue    # the copying was over
        for start in (volume, half):
            other = state.folder("here")
            if not make_one_file(other, start):
                continue
            lived_on = other.images["disk.img"].read(0, SIZE)
            used[start is half] += 1
            with pytest.raises(TargetChanged):
                recover_in(other)
            assert other.images["disk.img"].read(0, SIZE) == lived_on, state.key
            assert other.exists("log")
    assert min(used.values()) > 10


def recover_in(folder: MemoryFolder) -> Recovered:
    """Recovery of the image in this folder."""
    return recover(folder.open("disk.img", write=True), folder, "log", where="disk.img")


def make_one_file(folder: MemoryFolder, start: bytes) -> bool:
    """Go on from this content with one file more; whether the driver could."""
    folder.images["disk.img"].write(0, start)
    facts = volume_facts(FileDevice(folder.open("disk.img")))
    dirty = [offset for offset in facts.flags_offsets if start[offset] & DIRTY]
    for offset in dirty:    # ours minds it
        folder.images["disk.img"].write(offset, bytes([start[offset] & ~DIRTY]))
    try:
        with Volume(FileDevice(folder.open("disk.img", write=True)), write=True, where="disk.img") as volume:
            file = volume.create_file(ROOT, encode_name("later"), b"", 0x20, (TIME, TIME, TIME), 0)
            volume.write_data(file, b"", [b"later"], 5)
    except Error:
        return False    # half-copied, so too damaged to be used
    for offset in dirty:
        folder.images["disk.img"].write(offset, bytes([start[offset]]))
    return True
