"""New values for many pointers in one pass: what the library would write, and nothing for what is not a pointer."""

from __future__ import annotations

import contextlib
import shutil
from array import array
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_bytes import patch_record, raw_record

from build import make_volume
from judges import sound_volume
from volume_rig import ROOT, TIMES, facts_of, fresh_volume, opened, pointer, utf16
from wimboot.disk import Transaction
from wimboot.errors import FormatError
from wimboot.formats.ntfsrecord import FileRecord, unfix
from wimboot.formats.reparse import WimPointer
from wimboot.ntfs import refusals, scan
from wimboot.ntfs.metafile import Metafiles
from wimboot.ntfs.volume import Volume
from wimboot.storage import FileDevice, HostFile, HostFolder
from wimboot.tree import StreamFlag, passes

if TYPE_CHECKING:
    from pathlib import Path


RECORD = (1 << 48) - 1
REPARSE_POINT = 0xC0
SIZE = 30_000


@pytest.fixture
def volume_file(tmp_path: Path) -> Path:
    return fresh_volume(tmp_path / "volume.img", size=16 << 20)


def filled(path: Path, count: int = 700) -> list[int]:
    """Pointers among plain files in several folders, and a few whose records are full."""
    ids = []
    with opened(path) as volume:
        folder = ROOT
        for number in range(count):
            if number % 100 == 50:
                folder = volume.create_folder(ROOT, utf16(f"folder {number}"), b"", 0x10, TIMES, 0)
            name = utf16(f"a file of number {number}")
            if number % 7 == 3:
                volume.create_file(folder, name, b"", 0x20, TIMES, 0, b"plain")
            else:
                ids.append(volume.create_pointer(folder, name, b"", 0x20, TIMES, 0, SIZE, pointer(SIZE, number)))
        ids += [_crowded(volume, number) for number in range(4, 10)]
    return sorted(ids, key=lambda file_id: file_id & RECORD)


def _crowded(volume: Volume, number: int) -> int:
    """A pointer with so many streams and names that its reparse point lies in another record."""
    name = f"{number:03}" + "n" * (60 + 15 * number)
    file_id = volume.create_file(ROOT, utf16(name), utf16(f"N{number:05}~1"), 0x20, TIMES, 0)
    volume.write_data(file_id, b"", [b"z" * SIZE], SIZE)
    volume.link(file_id, ROOT, utf16("l" + name))
    for stream in range(number):
        volume.write_data(file_id, utf16(f"stream {stream}"), [b"s" * 40 * stream], 40 * stream)
    volume.point(file_id, pointer(SIZE, number), SIZE)
    return file_id


SixPointers = tuple["Path", "Path", list[int]]


@pytest.fixture(scope="module")
def six_pointers(tmp_path_factory: pytest.TempPathFactory) -> SixPointers:
    """A volume to write to, one that it is copied from, and its pointers."""
    path = fresh_volume(tmp_path_factory.mktemp("six") / "volume.img")
    with opened(path) as volume:
        ids = [volume.create_pointer(ROOT, utf16(f"pointer {number}"), b"", 0x20, TIMES, 0, SIZE, pointer(SIZE, number))
               for number in range(6)]
    shutil.copyfile(path, path.with_name("kept.img"))
    return path, path.with_name("kept.img"), ids


def in_extension(path: Path, ids: list[int]) -> set[int]:
    """Those whose first record has no reparse point."""
    return {file_id for file_id in ids
            if all(attribute.type != REPARSE_POINT
                   for attribute in FileRecord.parse(raw_record(path, file_id & RECORD)).attributes)}


def records(path: Path) -> list[bytes]:
    """Every record as it lies on the volume."""
    files = Metafiles(HostFile.open(path))
    size = files.boot.record_size
    data = files.mft.read(0, files.record_count * size)
    return [data[at:at + size] for at in range(0, len(data), size)]


def without_numbers(record: bytes) -> bytes:
    """A record without its update sequence, which counts how often it was written."""
    start = int.from_bytes(record[4:6], "little")
    return (unfix(record)[:start] + unfix(record)[start + 6:]) if record[:4] == b"FILE" else record


def refreshed(path: Path, ids: list[int], values: list[bytes]) -> int:
    with opened(path) as volume:
        return volume.refresh(array("Q", ids), b"".join(values))


def test_the_pass_writes_what_the_library_writes(volume_file: Path, tmp_path: Path) -> None:
    """The records of pointers are equal to the byte; of those of folders only the count of writes differs."""
    ids = filled(volume_file)
    spread = in_extension(volume_file, ids)
    assert 0 < len(spread) < 10
    values = [pointer(SIZE, number + 5000) for number in range(len(ids))]
    twin = tmp_path / "twin.img"
    shutil.copyfile(volume_file, twin)
    assert refreshed(volume_file, ids, values) == len(spread)
    with opened(twin) as volume:
        for file_id, value in zip(ids, values, strict=True):
            volume.replace_reparse(file_id, value)
    ours, theirs = records(volume_file), records(twin)
    assert [without_numbers(record) for record in ours] == [without_numbers(record) for record in theirs]
    for file_id in set(ids) - spread:
        assert ours[file_id & RECORD] == theirs[file_id & RECORD]
    sound_volume(volume_file)
    tree = scan(FileDevice(HostFile.open(volume_file)))
    found = [(tree.file_id(tree.stream_node(stream)), tree.stream_bytes(stream))
             for stream in passes.flagged_streams(tree, StreamFlag.POINTER)]
    assert sorted(found) == sorted(zip(ids, values, strict=True))


def test_only_records_that_change_are_written(volume_file: Path) -> None:
    """A pointer that has its value already keeps its record as it lies, as do all files in between."""
    ids = filled(volume_file)
    kept = ids[::3]
    before = records(volume_file)
    with opened(volume_file, write=False) as volume:
        values = [volume.reparse(file_id) if file_id in kept else pointer(SIZE, 9999) for file_id in ids]
    refreshed(volume_file, ids, values)
    changed = {number for number, pair in enumerate(zip(before, records(volume_file), strict=True))
               if pair[0] != pair[1]}
    spread = in_extension(volume_file, ids)
    wanted = {file_id & RECORD for file_id in set(ids) - set(kept) - spread}
    assert wanted <= changed
    assert not changed & {file_id & RECORD for file_id in set(kept) - spread}


def test_any_order_will_do(volume_file: Path) -> None:
    """Files need not come in the order of their records."""
    ids = filled(volume_file, 90)
    mixed = ids[::2] + ids[1::2][::-1]
    refreshed(volume_file, mixed, [pointer(SIZE, file_id & 0xFFFF) for file_id in mixed])
    with opened(volume_file, write=False) as volume:
        assert [volume.reparse(file_id) for file_id in ids] == [pointer(SIZE, file_id & 0xFFFF) for file_id in ids]


def test_the_library_sees_the_new_values_at_once(volume_file: Path) -> None:
    """Neither does it keep an old record in memory, nor does what it writes later undo the pass."""
    ids = filled(volume_file, 90)
    with opened(volume_file) as volume:
        for file_id in ids:
            volume.set_attributes(file_id, 0x21)
        volume.refresh(array("Q", ids), b"".join(pointer(SIZE, 77) for _ in ids))
        for file_id in ids:
            assert volume.reparse(file_id) == pointer(SIZE, 77)
            volume.set_attributes(file_id, 0x23)
        volume.refresh(array("Q", ids), b"".join(pointer(SIZE, 78) for _ in ids))
        volume.create_pointer(ROOT, utf16("one more"), b"", 0x20, TIMES, 0, SIZE, pointer(SIZE))
    with opened(volume_file, write=False) as volume:
        assert {volume.reparse(file_id) for file_id in ids} == {pointer(SIZE, 78)}
    assert {facts_of(volume_file, file_id)[1] for file_id in ids[:5]} == {0x623}
    sound_volume(volume_file)


def test_a_value_of_another_size_goes_in_anew(volume_file: Path) -> None:
    """A pointer of version 1 has 56 bytes; the library makes room for 96, and back."""
    ids = filled(volume_file, 40)
    short = WimPointer(data_source_id=0, hash=bytes(19) + b"\5", version=1).pack()
    assert refreshed(volume_file, ids, [short] * len(ids)) == len(ids)
    with opened(volume_file, write=False) as volume:
        assert {volume.reparse(file_id) for file_id in ids} == {short}
    assert refreshed(volume_file, ids, [pointer(SIZE, 5)] * len(ids)) == len(ids)
    sound_volume(volume_file)


DAMAGES = {
    "no signature": (0, b"BAAD"),
    "a torn sector": (510, b"\xff\xff"),
    "an impossible update sequence": (4, b"\xf0\x01"),
    "too few words": (6, b"\x02\x00"),
    "attributes behind its end": (20, b"\xf8\x03"),
    "more bytes than it has": (24, b"\x00\x08\x00\x00"),
    "an attribute without a size": (60, b"\0\0\0\0"),
    "an attribute that does not end": (60, b"\xf8\xff\xff\xff"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_record_is_refused(volume_file: Path, name: str) -> None:
    """The first record that is not sound ends it, and nothing of the batch is kept."""
    ids = filled(volume_file, 40)
    number = ids[20] & RECORD
    record = bytearray(raw_record(volume_file, number))
    offset, value = DAMAGES[name]
    record[offset:offset + len(value)] = value
    patch_record(volume_file, number, bytes(record))
    before = volume_file.read_bytes()
    with pytest.raises(refusals.VolumeDamaged) as caught:
        refreshed(volume_file, ids, [pointer(SIZE, 7)] * len(ids))
    assert caught.value.facts["file"] == f"record {number}"
    assert volume_file.read_bytes() == before


@settings(max_examples=150, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 420), st.binary(min_size=1, max_size=4)), min_size=1, max_size=3))
def test_any_bytes_in_a_record_are_refused_or_left_alone(six_pointers: SixPointers,
                                                         changes: list[tuple[int, bytes]]) -> None:
    """Whatever stands there, the answer is one of ours, and what is not refused can be read with its new value."""
    path, kept, ids = six_pointers
    shutil.copyfile(kept, path)
    record = bytearray(raw_record(path, ids[3] & RECORD))
    for offset, value in changes:
        record[offset:offset + len(value)] = value
    patch_record(path, ids[3] & RECORD, bytes(record))
    try:
        refreshed(path, ids, [pointer(SIZE, 4321)] * len(ids))
    except (refusals.FileNotFound, refusals.VolumeDamaged, refusals.CallFailed, refusals.VolumeTorn):
        return
    with opened(path, write=False) as volume:
        for file_id in ids:
            try:
                found = volume.reparse(file_id)
                # nothing, where the file is no longer marked as a reparse point
                assert found == pointer(SIZE, 4321) or (file_id == ids[3] and not found)
            except (refusals.FileNotFound, refusals.VolumeDamaged, refusals.CallFailed):    # elsewhere in the record
                assert file_id == ids[3]


def test_what_is_no_pointer_is_refused(volume_file: Path) -> None:
    """Plain files, other reparse points, missing files, stale references and NTFS' own files keep all they have."""
    with opened(volume_file) as volume:
        plain = volume.create_file(ROOT, utf16("plain"), b"", 0x20, TIMES, 0, b"text")
        file_id = volume.create_pointer(ROOT, utf16("link"), b"", 0x20, TIMES, 0, SIZE, pointer(SIZE))
        gone = volume.create_file(ROOT, utf16("gone"), b"", 0x20, TIMES, 0)
        volume.unlink(gone, ROOT, utf16("gone"))
        link = volume.create_file(ROOT, utf16("junction"), b"", 0x20, TIMES, 0)
        volume.set_reparse(link, b"\x0c\x00\x00\xa0" + (88).to_bytes(2, "little") + bytes(90))
    before = volume_file.read_bytes()
    for wrong, kind in ((plain, refusals.FileNotFound), (link, refusals.FileNotFound), (gone, refusals.FileNotFound),
                        (file_id + (1 << 48), refusals.FileNotFound), (1 << 30 | 1 << 48, refusals.FileNotFound),
                        (5 | 5 << 48, refusals.RecordReserved), (0, refusals.RecordReserved)):
        with pytest.raises(kind):
            refreshed(volume_file, [wrong], [pointer(SIZE, 3)])
        with pytest.raises((kind, refusals.VolumeTorn)):
            refreshed(volume_file, [file_id, wrong], [pointer(SIZE, 3)] * 2)
    assert volume_file.read_bytes() == before


def test_a_caught_error_cannot_be_committed(volume_file: Path) -> None:
    """Who goes on after a failed batch is stopped at the end: half of it may have been done."""
    ids = filled(volume_file, 20)
    before, folder = volume_file.read_bytes(), HostFolder(volume_file.parent)
    with contextlib.closing(HostFile.open(volume_file, write=True)) as file, \
            Transaction(file, folder, "log", where="volume") as transaction:
        with pytest.raises(refusals.VolumeTorn), Volume(transaction.device, write=True, where="volume") as volume, \
                pytest.raises(refusals.FileNotFound):
            volume.refresh(array("Q", [*ids, 900 | 1 << 48]), pointer(SIZE, 3) * (len(ids) + 1))
        assert transaction.logged_bytes
    assert volume_file.read_bytes() == before


def test_a_torn_record_between_pointers_stays_as_it_is(volume_file: Path) -> None:
    """It shares a page with them: what the page is written with there is what was read."""
    ids = filled(volume_file, 20)
    torn = next(number for number in range(ids[0] & RECORD, ids[-1] & RECORD)
                if number not in {file_id & RECORD for file_id in ids})
    record = records(volume_file)[torn]
    patch_record(volume_file, torn, record[:510] + b"\x5a\xa5" + record[512:])
    before = records(volume_file)
    refreshed(volume_file, ids, [pointer(SIZE, 9999)] * len(ids))
    assert records(volume_file)[torn] == before[torn]
    assert records(volume_file)[ids[0] & RECORD] != before[ids[0] & RECORD]


@pytest.mark.parametrize(("count", "values"), [
    (1, b""), (2, pointer(1)), (1, pointer(1)[:-1]), (1, pointer(1) + b"x"), (2, pointer(1) + bytes(96)),
    (1, b"\x0c\x00\x00\xa0" + pointer(1)[4:]), (1, bytes(70_000)), (3, pointer(1) * 2),
])
def test_malformed_values_are_refused_before_anything_changes(volume_file: Path, count: int, values: bytes) -> None:
    """Each file needs one value of the overlay filter, all of one size."""
    ids = filled(volume_file, 10)[:count]
    before = volume_file.read_bytes()
    with opened(volume_file) as volume:
        with pytest.raises(FormatError):
            volume.refresh(array("Q", ids), values)
        assert volume.refresh(array("Q"), b"") == 0
    assert volume_file.read_bytes() == before


def test_a_volume_opened_for_reading_stays_as_it_is(volume_file: Path) -> None:
    """The batch is a change like any other."""
    ids = filled(volume_file, 10)
    with opened(volume_file, write=False) as volume, pytest.raises(refusals.ReadOnlyVolume):
        volume.refresh(array("Q", ids), pointer(SIZE) * len(ids))


def test_records_that_the_mirror_has_too_stay_the_same_in_both(tmp_path: Path) -> None:
    """$MFTMirr is a cluster at least: one of 128 KiB has the first 64 files that a volume gets."""
    path, cluster_size = tmp_path / "volume.img", 128 << 10
    make_volume(path, size=64 << 20, cluster=cluster_size)
    ids = filled(path, 90)
    assert ids[0] & RECORD < cluster_size // 1024 < ids[-1] & RECORD
    refreshed(path, ids, [pointer(SIZE, 9999)] * len(ids))
    with opened(path, write=False) as volume:
        assert {volume.reparse(file_id) for file_id in ids} == {pointer(SIZE, 9999)}
    with contextlib.closing(HostFile.open(path)) as file:
        boot = Metafiles(file).boot
        assert boot.cluster_size == cluster_size
        assert (file.pread(boot.mft_lcn * cluster_size, cluster_size)
                == file.pread(boot.mirror_lcn * cluster_size, cluster_size))
