"""Opening: what is refused, what is told, what is read."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volume_rig import ROOT, TIMES, agrees, fresh_volume, opened, pointer, utf16
from wimboot.errors import Error
from wimboot.ntfs import refusals
from wimboot.ntfs.volume import Volume
from wimboot.storage import FileDevice, HostFile


@pytest.fixture
def volume_file(tmp_path: Path) -> Path:
    return fresh_volume(tmp_path / "volume.img")


def _write_file(path: Path, name: str, content: bytes) -> None:
    with opened(path) as volume:
        file_id = volume.create_file(ROOT, utf16(name), b"", 0x20, TIMES, 0)
        volume.write_data(file_id, b"", [content], len(content))


def _patch(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def _log_offset(path: Path) -> int:
    """Where $LogFile's data begins, by record 2's first run."""
    raw = path.read_bytes()
    cluster_size = raw[13] * 512
    record = struct.unpack_from("<Q", raw, 48)[0] * cluster_size + 2 * 1024
    place = record + struct.unpack_from("<H", raw, record + 20)[0]
    while struct.unpack_from("<I", raw, place)[0] != 0x80:
        place += struct.unpack_from("<I", raw, place + 4)[0]
    runs = place + struct.unpack_from("<H", raw, place + 32)[0]
    length, width = raw[runs] & 15, raw[runs] >> 4
    return int.from_bytes(raw[runs + 1 + length:runs + 1 + length + width], "little") * cluster_size


def test_a_fresh_volume_tells_its_facts(volume_file: Path) -> None:
    """Version, sizes and label are those that the volume was made with."""
    with opened(volume_file, write=False) as volume:
        assert (volume.version, volume.label, volume.cluster_size) == ((3, 1), "Test", 4096)
        assert volume.cluster_count == (8 << 20) // 4096 - 1
        assert 0 < volume.free_clusters < volume.cluster_count
        assert volume.state is None
        assert volume.serial == int.from_bytes(volume_file.read_bytes()[72:80], "little")


def test_reading_changes_no_byte(volume_file: Path) -> None:
    """A volume opened for reading is the same afterwards, and refuses changes."""
    before = volume_file.read_bytes()
    with opened(volume_file, write=False) as volume:
        assert volume.open_path("$MFT") is not None
        with pytest.raises(refusals.ReadOnlyVolume):
            volume.create_file(ROOT, utf16("a"), b"", 0x20, TIMES, 0)
    assert volume_file.read_bytes() == before


def test_opening_for_writing_changes_nothing_by_itself(volume_file: Path) -> None:
    """A volume opened for writing and closed again is the same."""
    before = volume_file.read_bytes()
    with opened(volume_file):
        pass
    assert volume_file.read_bytes() == before


@pytest.mark.parametrize(("offset", "data"), [(3, b"FAT32"), (510, b"\0\0"), (40, b"\xff" * 8), (11, b"\1\0")])
def test_what_is_no_volume_is_refused(volume_file: Path, offset: int, data: bytes) -> None:
    """A boot sector of something else, or one that promises more bytes than there are, is named as such."""
    _patch(volume_file, offset, data)
    with pytest.raises(refusals.NotNtfs), opened(volume_file):
        pass


def test_a_truncated_file_is_refused(volume_file: Path) -> None:
    """Half a volume is no volume."""
    volume_file.write_bytes(volume_file.read_bytes()[:4 << 20])
    with pytest.raises(refusals.NotNtfs), opened(volume_file):
        pass


@pytest.mark.parametrize("header", [b"hibr", b"HIBR"])
@pytest.mark.parametrize("write", [True, False])
def test_a_hibernated_windows_is_left_alone(volume_file: Path, header: bytes, write: bool) -> None:
    """A sleeping Windows is refused, for reading too."""
    _write_file(volume_file, "hiberfil.sys", header + bytes(8188))
    with pytest.raises(refusals.Hibernated), opened(volume_file, write=write):
        pass


def test_the_hibernation_file_is_found_in_any_case(volume_file: Path) -> None:
    """Windows does not care how the name is spelt."""
    _write_file(volume_file, "HiberFil.SYS", b"HIBR" + bytes(8188))
    with pytest.raises(refusals.Hibernated), opened(volume_file):
        pass


def test_a_windows_that_woke_up_is_accepted(volume_file: Path) -> None:
    """The file stays after a resume, with another header."""
    _write_file(volume_file, "hiberfil.sys", b"wake" + bytes(8188))
    with opened(volume_file) as volume:
        assert volume.state is None


def test_a_dirty_volume_is_refused_for_writing(volume_file: Path) -> None:
    """The flag in $Volume asks for chkdsk; reading goes on."""
    raw = volume_file.read_bytes()
    information = raw.index(struct.pack("<BBH", 3, 1, 0), raw.index(utf16("$Volume")))
    _patch(volume_file, information + 2, b"\1")
    mirrored = raw.find(struct.pack("<BBH", 3, 1, 0), raw.index(utf16("$Volume"), information))
    if mirrored > 0:
        _patch(volume_file, mirrored + 2, b"\1")
    with pytest.raises(refusals.VolumeDirty), opened(volume_file):
        pass
    with opened(volume_file, write=False) as volume:
        assert volume.dirty


def test_a_log_with_changes_left_is_refused(volume_file: Path) -> None:
    """What is in the log and not on the volume is Windows' to finish."""
    _patch(volume_file, _log_offset(volume_file), _restart_page(1))
    for write in (True, False):
        with pytest.raises(refusals.LogNotClean), opened(volume_file, write=write):
            pass


def test_a_log_kept_by_fast_startup_is_refused(volume_file: Path) -> None:
    """Version 2.0 of the log means that Windows kept what it knows of the volume for its next start."""
    _patch(volume_file, _log_offset(volume_file), _restart_page(2))
    for write in (True, False):
        with pytest.raises(refusals.Hibernated), opened(volume_file, write=write):
            pass
    file = HostFile.open(volume_file)
    with Volume(FileDevice(file), write=False, where="it", inspect=True) as volume:
        assert volume.state == "hibernated"
    file.close()


def _restart_page(major: int) -> bytes:
    """Two restart pages that say a client is in use: not closed."""
    page = bytearray(4096)
    page[:4] = b"RSTR"
    fixups = 9
    struct.pack_into("<HHQIIHhH", page, 4, 30, fixups, 0, 4096, 4096, 48, 1 if major == 1 else 0, major)
    area = 48
    struct.pack_into("<QHHHHIHHQIHHI", page, area, 0x1000, 1, 0xFFFF, 0, 0, 46, 64 + 160, 64, 1 << 20, 0, 48, 64, 0)
    client = area + 64
    struct.pack_into("<QQHHH6xI", page, client, 0, 0, 0xFFFF, 0xFFFF, 1, 8)
    page[client + 32:client + 40] = utf16("NTFS")
    struct.pack_into("<H", page, 30, 1)
    for sector in range(8):
        page[30 + 2 + 2 * sector:30 + 4 + 2 * sector] = page[sector * 512 + 510:sector * 512 + 512]
        page[sector * 512 + 510:sector * 512 + 512] = b"\1\0"
    return bytes(page) * 2


def test_an_older_ntfs_is_refused(volume_file: Path) -> None:
    """Before version 3.0 there are no reparse points."""
    raw = volume_file.read_bytes()
    information = raw.index(struct.pack("<BBH", 3, 1, 0), raw.index(utf16("$Volume")))
    _patch(volume_file, information, b"\1\2")
    mirrored = raw.find(struct.pack("<BBH", 3, 1, 0), raw.index(utf16("$Volume"), information))
    if mirrored > 0:
        _patch(volume_file, mirrored, b"\1\2")
    with pytest.raises(refusals.VersionUnsupported), opened(volume_file, write=False):
        pass


@pytest.mark.parametrize("record", [0, 1, 3, 6, 10])
def test_a_broken_system_record_is_damage(volume_file: Path, record: int) -> None:
    """A record of $MFT that is no record is said to be damaged, not guessed around."""
    raw = volume_file.read_bytes()
    _patch(volume_file, struct.unpack_from("<Q", raw, 48)[0] * 4096 + record * 1024, b"BAAD")
    with pytest.raises((refusals.VolumeDamaged, refusals.NotNtfs)), opened(volume_file):
        pass


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damage_anywhere_raises_only_our_errors(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever bytes stand in the metadata, opening and reading end with an answer or an error of ours."""
    path = fresh_volume(tmp_path_factory.mktemp("damage") / "volume.img")
    _write_file(path, "file", bytes(range(256)) * 64)
    raw = bytearray(path.read_bytes())
    table = struct.unpack_from("<Q", raw, 48)[0] * 4096
    for _ in range(data.draw(st.integers(1, 6))):
        offset = data.draw(st.one_of(st.integers(0, 511), st.integers(table, table + 70 * 1024)))
        raw[offset:offset + 4] = data.draw(st.binary(min_size=4, max_size=4))
    path.write_bytes(raw)
    try:
        with opened(path, write=data.draw(st.booleans())) as volume:
            volume.read_path("file", 1 << 20)
            volume.open_path("Some\\Where")
    except Error:
        pass
    path.unlink()


def test_paths_are_found_in_any_case_and_by_short_name(volume_file: Path) -> None:
    """An exact name wins over another spelling; a file is no folder; what is missing is None."""
    with opened(volume_file) as volume:
        folder = volume.create_folder(ROOT, utf16("Program Files"), utf16("PROGRA~1"), 0x10, TIMES, 0)
        lower = volume.create_file(folder, utf16("readme"), b"", 0x20, TIMES, 0)
        upper = volume.create_file(folder, utf16("README"), b"", 0x20, TIMES, 0)
    with opened(volume_file, write=False) as volume:
        assert volume.open_path("/program files/readme") == lower
        assert volume.open_path("PROGRAM FILES\\README") == upper
        assert volume.open_path("progra~1\\ReadMe") in (lower, upper)
        assert volume.open_path("Program Files\\README\\x") is None
        assert volume.open_path("nowhere\\x") is None
        assert volume.open_path("") == ROOT
        assert volume.read_path("nothing", 10) is None


def test_parts_of_a_stream_are_read(volume_file: Path) -> None:
    """Offset and size choose; past the end there is nothing."""
    content = bytes(range(256)) * 40
    _write_file(volume_file, "data", content)
    with opened(volume_file, write=False) as volume:
        file_id = volume.open_path("data")
        assert file_id is not None
        assert volume.read(file_id) == content
        assert volume.read(file_id, b"", 100, 50) == content[100:150]
        assert volume.read(file_id, b"", len(content) - 5, 50) == content[-5:]
        assert volume.read(file_id, b"", 1 << 40, 50) == b""
        with pytest.raises(refusals.FileNotFound):
            volume.read(file_id, utf16("no stream"))


def test_a_pointer_is_never_read_as_zeros(volume_file: Path) -> None:
    """Its data is elsewhere: an error, not what the library gives; its named streams are its own."""
    with opened(volume_file) as volume:
        file_id = volume.create_pointer(ROOT, utf16("p"), b"", 0x20, TIMES, 0, 5000, pointer(5000))
        volume.write_data(file_id, utf16("own"), [b"here"], 4)
        with pytest.raises(refusals.PointerUnread):
            volume.read(file_id)
        assert volume.read(file_id, utf16("own")) == b"here"
        assert volume.reparse(file_id) == pointer(5000)


def test_a_stale_reference_finds_nothing(volume_file: Path) -> None:
    """A reference of a file that is gone does not lead to the file that took its record, cached or not."""
    with opened(volume_file) as volume:
        old = volume.create_file(ROOT, utf16("old"), b"", 0x20, TIMES, 0)
        volume.unlink(old, ROOT, utf16("old"))
    with opened(volume_file) as volume:
        made = [volume.create_file(ROOT, utf16(f"n{number}"), b"", 0x20, TIMES, 0) for number in range(9)]
        new = next(file_id for file_id in made if file_id & 0xFFFFFFFFFFFF == old & 0xFFFFFFFFFFFF)
        assert new != old
        with pytest.raises(refusals.FileNotFound):
            volume.read(old)
        with pytest.raises(refusals.FileNotFound):
            volume.set_attributes(old, 0x20)
    agrees(volume_file)


def test_a_closed_volume_says_so(volume_file: Path) -> None:
    """Using it later is an error of ours; closing twice is none."""
    with opened(volume_file, write=False) as volume:
        pass
    volume.close()
    with pytest.raises(refusals.VolumeClosed):
        volume.read(ROOT)
    with pytest.raises(refusals.VolumeClosed):
        _ = volume.label


def test_a_stream_of_terabytes_is_read_in_parts_only(volume_file: Path) -> None:
    """A size is no reason to allocate: what is asked for at once has a limit."""
    with opened(volume_file) as volume:
        file_id = volume.create_file(ROOT, utf16("huge"), b"", 0x20, TIMES, 0)
        volume.write_data(file_id, b"", [b"x"], 1)
        volume.point(file_id, pointer(1 << 40), 1 << 40)
        volume.remove_reparse(file_id)
        with pytest.raises(refusals.ReadTooLarge):
            volume.read(file_id)
        with pytest.raises(refusals.ReadTooLarge):
            volume.read(file_id, b"", -1, 5)
        assert volume.read(file_id, b"", 1 << 39, 4) == bytes(4)
