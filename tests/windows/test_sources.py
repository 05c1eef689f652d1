"""Data sources of a volume and places of WIMs: reuse, "later", moving, text both ways, damage."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.formats.bootdevice import (
    BootDevice,
    FileDevice,
    PartitionDevice,
    PartitionStyle,
    VhdDevice,
    same_location,
)
from wimboot.formats.guid import parse_guid
from wimboot.formats.overlaydat import Overlay
from wimboot.windows.sources import (
    BACKUP_PATH,
    DAT_PATH,
    NEW_PATH,
    OverlayDamaged,
    Sources,
    read_sources,
)
from wimboot.windows.wimplace import BadPlace, WimPlace

GUID = bytes(range(16))
DISK = parse_guid("0b2394a9-095e-487d-8d48-719ecd4d78ca")
PARTITION = parse_guid("8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b")
MBR = WimPlace.mbr(0x5CBEA03E, 1 << 20, "\\wimboot\\wimboot.wim")
GPT = WimPlace.gpt(DISK, PARTITION, "\\w.wim")
NAMES = st.text(st.characters(codec="utf-16-le", exclude_characters='<>:"|?*\\/', min_codepoint=32), min_size=1,
                max_size=8).filter(lambda name: name not in (".", ".."))
PLACE_PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "\\" + "\\".join(parts))
IDS = st.binary(min_size=16, max_size=16).filter(any)
PLAIN_PLACES = st.one_of(
    st.builds(WimPlace.mbr, st.integers(1, 0xFFFF_FFFF), st.integers(1, 1 << 50).map(lambda n: n * 512), PLACE_PATHS),
    st.builds(WimPlace.gpt, IDS, IDS, PLACE_PATHS),
)
PLACES = PLAIN_PLACES | st.builds(lambda place, vhd: replace(place, container=vhd), PLAIN_PLACES, PLAIN_PLACES)


def test_a_place_is_written_as_the_option_says() -> None:
    """The texts of --wim-place, hexadecimal and decimal, either case, either slash."""
    assert str(MBR) == "mbr:5cbea03e:1048576:\\wimboot\\wimboot.wim"
    assert WimPlace.parse("MBR:0x5CBEA03E:0x100000:/wimboot//wimboot.wim") == MBR
    assert str(GPT) == "gpt:0b2394a9-095e-487d-8d48-719ecd4d78ca:8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b:\\w.wim"
    assert WimPlace.parse(str(GPT).upper().replace("GPT", "gpt").replace("W.WIM", "w.wim")) == GPT


@given(PLACES)
def test_a_place_survives_text_and_structure(place: WimPlace) -> None:
    """parse(str(x)) and of_device(x.device) are x."""
    assert WimPlace.parse(str(place)) == place
    assert WimPlace.of_device(place.device) == place
    assert not place.is_later


def test_a_place_in_a_vhd_is_written_as_the_option_says() -> None:
    """The word stands once, between two whole places; a folder may be called so."""
    text = "mbr:11223344:1048576:\\my inside\\w.wim inside gpt:" + str(GPT)[4:].replace("\\w.wim", "\\x inside y.vhd")
    place = WimPlace.parse(text)
    assert str(place) == text
    assert place.container == WimPlace.gpt(DISK, PARTITION, "\\x inside y.vhd")
    wrongs = (f"later inside {MBR}", f"{MBR} inside mbr:1:2", f"{MBR} inside {MBR} inside {MBR}", f"x inside {GPT}")
    for wrong in wrongs:
        with pytest.raises(BadPlace):
            WimPlace.parse(wrong)


@pytest.mark.parametrize(("text", "why"), [
    ("d:\\x.wim", "drive letters"), ("mbr:1:512", "three parts"), ("mbr:xyz:512:\\a.wim", "'xyz'"),
    ("mbr:1:a:\\a.wim", "'a'"), ("gpt:1:2:\\a.wim", "GUID"), ("mbr:0:512:\\a.wim", "zero"), ("x", "begins"),
    ("mbr:1:512:a.wim", "has to begin with a backslash, without"), ("mbr:1:512:\\a\\..\\b", "'..'"),
    ("mbr:123456789:512:\\a.wim", "8 digits"),
])
def test_the_reason_says_what_is_wrong(text: str, why: str) -> None:
    """Not only that it is wrong."""
    with pytest.raises(BadPlace) as caught:
        WimPlace.parse(text)
    assert why in str(caught.value.facts["why"])


@pytest.mark.parametrize("text", [
    "", "mbr", "mbr:1", "mbr:1:512", "mbr:1:512:", "mbr:1:512:\\", "mbr:1:512:a.wim", "mbr:1:512:c:\\a.wim",
    "mbr:0:512:\\a.wim", "mbr:1:0:\\a.wim", "mbr:1:513:\\a.wim", "mbr:xyz:512:\\a.wim", "mbr:123456789:512:\\a.wim",
    "mbr:1:-512:\\a.wim", "mbr:1:512:\\a\\..\\b.wim", "mbr:1:512:\\a\\", "mbr:1:512:\\a*.wim", "mbr:1:512:\\a:b.wim",
    "gpt:1:2:\\a.wim", f"gpt:{DISK.hex()}:x:\\a.wim", "laterr",
    "gpt:" + "00000000-0000-0000-0000-000000000000:" * 2 + "\\a",
    "mbr:\u0661:512:\\a.wim", "mbr:1:512:\\" + "x" * 256, "mbr:1:512:\\a\0.wim", "mbr:1:512:\\" + "a\\" * 20_000 + "b",
])
def test_what_is_no_place_is_refused_with_the_reason(text: str) -> None:
    """A usage error that names what was given."""
    with pytest.raises(BadPlace) as caught:
        WimPlace.parse(text)
    assert caught.value.facts["why"]
    assert caught.value.exit_code == 2


@given(st.text(max_size=30) | st.text("mbrgpt:0123456789abcdef-\\", max_size=40))
def test_any_text_is_a_place_or_refused(text: str) -> None:
    """Nothing but BadPlace."""
    try:
        place = WimPlace.parse(text)
    except BadPlace:
        return
    assert WimPlace.parse(str(place)) == place


def test_later_is_a_place_that_no_disk_has() -> None:
    """Two GUIDs of zeros: told apart from every real place, also after a round trip."""
    later = WimPlace.parse("Later", name="store.wim")
    assert (str(later), later.path, later.is_later) == ("later", "\\store.wim", True)
    again = WimPlace.of_device(later.device)
    assert again == later
    assert again.is_later


def test_a_place_in_a_vhd_elsewhere_has_a_container() -> None:
    """The nested form is read, written and shown; unknown forms give no place."""
    outer = WimPlace.mbr(0x5CBEA03E, 1 << 20, "\\x64\\win7.vhd")
    place = WimPlace(style=MBR.style, disk_id=MBR.disk_id, partition_id=MBR.partition_id, path="\\w.wim",
                     container=outer)
    assert isinstance(place.device.parent, VhdDevice)
    assert WimPlace.of_device(place.device) == place
    assert str(place) == "mbr:5cbea03e:1048576:\\w.wim inside mbr:5cbea03e:1048576:\\x64\\win7.vhd"
    assert WimPlace.of_device(BootDevice()) is None
    assert WimPlace.of_device(FileDevice(parent=BootDevice(), path="\\a")) is None
    assert str(WimPlace(style=2, disk_id=bytes(16), partition_id=bytes(16), path="\\a")).startswith("style 2:")


def test_the_same_wim_at_the_same_place_keeps_its_id() -> None:
    """A second conversion does not add a second data source; only the image number changes."""
    first = Sources().register(wim_guid=GUID, place=MBR, wim_index=1)
    assert (first.data_source_id, first.changed) == (0, True)
    same = first.sources.register(wim_guid=GUID, place=WimPlace.parse(str(MBR).upper()), wim_index=1)
    assert (same.data_source_id, same.changed) == (0, False)
    newer = same.sources.register(wim_guid=GUID, place=MBR, wim_index=2)
    assert (newer.data_source_id, newer.changed) == (0, True)
    assert newer.sources.all[0].wim_index == 2


def test_another_wim_or_place_gets_another_id() -> None:
    """Old pointers may still need the first data source."""
    sources = Sources().register(wim_guid=GUID, place=MBR, wim_index=1).sources
    other = sources.register(wim_guid=GUID, place=GPT, wim_index=1)
    third = other.sources.register(wim_guid=bytes(16), place=GPT, wim_index=1)
    assert (other.data_source_id, third.data_source_id) == (1, 2)
    assert [source.data_source_id for source in third.sources.of_wim(GUID)] == [0, 1]
    assert (third.sources.place(0), third.sources.place(1), third.sources.place(9)) == (MBR, GPT, None)
    assert Overlay.parse(third.sources.pack()) == third.sources.overlay


def test_later_is_replaced_by_the_place_when_it_is_known() -> None:
    """The id that the pointers have already stays; until then the volume says that it waits."""
    waiting = Sources().register(wim_guid=GUID, place=WimPlace.unknown("w.wim"), wim_index=1).sources
    assert [source.data_source_id for source in waiting.waiting] == [0]
    known = waiting.register(wim_guid=GUID, place=MBR, wim_index=1)
    assert (known.data_source_id, known.sources.waiting, known.sources.place(0)) == (0, (), MBR)


def test_relocating_changes_the_place_and_nothing_else() -> None:
    """The pointers' id keeps meaning this WIM."""
    sources = Sources().register(wim_guid=GUID, place=MBR, wim_index=3).sources
    moved = sources.relocate(0, GPT)
    assert (moved.data_source_id, moved.changed, moved.sources.place(0)) == (0, True, GPT)
    assert moved.sources.all[0].wim_guid == GUID
    assert not moved.sources.relocate(0, GPT).changed
    assert moved.sources.without(0).overlay == Overlay(next_id=1)
    with pytest.raises(KeyError):
        moved.sources.relocate(5, GPT)


@given(st.lists(st.tuples(st.sampled_from(["register", "relocate", "drop"]), st.integers(0, 5), PLACES), max_size=25))
def test_an_id_means_one_wim_for_ever(steps: list[tuple[str, int, WimPlace]]) -> None:
    """Through any history: ids are unique, places are those told last, what was given up never comes back."""
    sources, places, gone = Sources(), dict[int, WimPlace](), set[int]()
    for step, which, place in steps:
        if step == "register":
            done = sources.register(wim_guid=GUID, place=place, wim_index=1)
            assert done.data_source_id not in gone
            sources, places[done.data_source_id] = done.sources, place
        elif places:
            number = sorted(places)[which % len(places)]
            if step == "relocate":
                sources, places[number] = sources.relocate(number, place).sources, place
            else:
                sources = sources.without(number)
                del places[number]
                gone.add(number)
        read = Sources(overlay=Overlay.parse(sources.pack()))
        assert read == sources
        assert {one.data_source_id for one in read.all} == set(places)
        assert all(same_location(read.overlay.sources[at].location, places[one.data_source_id].device)
                   for at, one in enumerate(read.all))
        assert read.overlay.next_id == len(places) + len(gone)


def test_a_volume_without_a_table_has_no_sources() -> None:
    """An ordinary volume; and where Windows was stopped in between, the new table counts."""
    assert read_sources(lambda _: None) == Sources()
    sources = Sources().register(wim_guid=GUID, place=MBR, wim_index=1).sources
    assert read_sources({NEW_PATH: sources.pack()}.get) == sources
    assert read_sources({DAT_PATH: sources.pack(), NEW_PATH: b"x"}.get) == sources


def test_a_damaged_table_names_what_is_wrong_and_whether_there_is_a_backup() -> None:
    """The backup is offered, never used silently."""
    good = Sources().register(wim_guid=GUID, place=MBR, wim_index=1).sources.pack()
    with pytest.raises(OverlayDamaged, match="magic") as caught:
        read_sources({DAT_PATH: b"x" * 100, BACKUP_PATH: good}.get, where="disk.img#1")
    assert "holds 1 data sources" in caught.value.hint
    assert "`wimboot verify 'disk.img#1' --repair` takes it from" in caught.value.hint
    with pytest.raises(OverlayDamaged) as caught:
        read_sources({DAT_PATH: good[:30]}.get)
    assert "no sound backup" in caught.value.hint
    assert "--repair --wim WIM" in caught.value.hint


def test_a_raw_partition_place_is_told_apart_from_later() -> None:
    """Zero ids of another style are not "later"."""
    raw = FileDevice(parent=PartitionDevice(style=PartitionStyle.RAW, disk_id=bytes(16), partition_id=bytes(16)),
                     path="\\w.wim")
    place = WimPlace.of_device(raw)
    assert place is not None
    assert not place.is_later
