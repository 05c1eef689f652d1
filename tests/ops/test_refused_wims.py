"""WIMs that are damaged, of the wrong kind or not the one that a volume stands on: refused, and nothing is changed."""

from __future__ import annotations

import struct
import subprocess
import uuid
from pathlib import Path

import pytest

from converted import fresh_volume
from judges import every_pointer_leads_home, sound_volume
from judges import sound_wim as judge_wim
from mounting import copy_sparse
from running import NO_PLACE, done, refused, unchanged, wimboot
from snapshots import differences, seen_through, snapshot
from wim_bytes import read_wim

READ_ONLY, WRITING = 0x04, 0x40


@pytest.fixture(scope="module")
def sound_wim(pristine_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its capture; for reading only."""
    wim = tmp_path_factory.mktemp("sound") / "sound.wim"
    done("capture", pristine_small, "--wim", wim, "--name", "first")
    return wim


def _cut(data: bytearray) -> bytes:
    return bytes(data[:len(data) * 2 // 3])


def _cut_header(data: bytearray) -> bytes:
    return bytes(data[:150])


def _magic(data: bytearray) -> bytes:
    data[:5] = b"MSWUM"
    return bytes(data)


def _version(data: bytearray) -> bytes:
    data[0x0C:0x10] = struct.pack("<I", 0x20000)
    return bytes(data)


def _table(data: bytearray) -> bytes:
    (place,) = struct.unpack_from("<Q", data, 0x38)
    data[place + 8:place + 16] = b"\xff" * 8
    return bytes(data)


def _xml(data: bytearray) -> bytes:
    (place,) = struct.unpack_from("<Q", data, 0x50)
    data[place:place + 8] = bytes(8)
    return bytes(data)


DAMAGED = {"truncated": (_cut, "wim-truncated"), "truncated in its header": (_cut_header, "wim-truncated"),
           "with another magic": (_magic, "not-a-wim"), "of another version": (_version, "wim-damaged"),
           "with a damaged table": (_table, "wim-damaged"), "with damaged XML": (_xml, "wim-damaged")}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_wim_is_refused_by_every_verb(kind: str, sound_wim: Path, small_volume: Path, tmp_path: Path) -> None:
    """Convert, capture, apply, restore and images say what is wrong and change nothing; to verify it is a problem."""
    damage, error = DAMAGED[kind]
    wim = tmp_path / "damaged.wim"
    wim.write_bytes(damage(bytearray(sound_wim.read_bytes())))
    fresh = fresh_volume(tmp_path / "fresh.img", 24 << 20)
    with unchanged(wim, small_volume, fresh):
        for command in (("convert", small_volume, "--wim", wim, *NO_PLACE), ("capture", small_volume, "--wim", wim),
                        ("apply", wim, "1", fresh, "--full"), ("apply", wim, "1", fresh, *NO_PLACE),
                        ("restore", small_volume, "--wim", wim, "--image", "1"), ("images", wim)):
            refused(error, 1, *command)
        told, document = wimboot("verify", "--wim", wim), wimboot("verify", "--wim", wim, "--repair", "--json").json
    assert (told.code, f"problem: {wim}: " in told.err) == (3, True)
    assert [problem["id"] for problem in document["problems"]] == [error]


def test_an_image_with_damaged_metadata_is_refused(sound_wim: Path, small_volume: Path, tmp_path: Path) -> None:
    """It is neither deployed nor built upon; verify tells it as a problem."""
    wim, fresh = tmp_path / "damaged.wim", fresh_volume(tmp_path / "fresh.img", 24 << 20)
    data = bytearray(sound_wim.read_bytes())
    metadata = next(blob for blob in read_wim(sound_wim).blobs.values() if blob.flags & 2)
    data[metadata.offset + 40:metadata.offset + 60] = b"\xaa" * 20
    wim.write_bytes(data)
    with unchanged(wim, small_volume, fresh):
        for command in (("convert", small_volume, "--wim", wim, *NO_PLACE), ("capture", small_volume, "--wim", wim),
                        ("apply", wim, "1", fresh, "--full"), ("images", wim),
                        ("restore", small_volume, "--wim", wim, "--image", "1")):
            refused("blob-damaged", 1, *command)
    assert wimboot("verify", "--wim", wim).code == 3


@pytest.mark.parametrize("path", ["Windows/explorer.exe", "Windows/System32/ntoskrnl.exe"])
def test_a_damaged_blob_never_passes_for_a_file(path: str, sound_wim: Path, small_volume: Path, tmp_path: Path) -> None:
    """Whether the file would be a pointer or stays real: the conversion is refused, and so is deploying it in full.

    An image that would share the blob is not captured either.
    """
    wim, fresh = tmp_path / "damaged.wim", fresh_volume(tmp_path / "fresh.img", 24 << 20)
    data = bytearray(sound_wim.read_bytes())
    digest = bytes.fromhex(snapshot(small_volume)[path].streams[""][1])
    blob = read_wim(sound_wim).blobs[digest]
    data[blob.offset + blob.stored_size // 2] ^= 0xFF
    wim.write_bytes(data)
    watching = (wim, small_volume)
    error = "older-data-damaged"
    refused(error, 1, "capture", small_volume, "--wim", wim, watching=watching)
    refused(error, 1, "convert", small_volume, "--wim", wim, *NO_PLACE, watching=(wim,), volumes=(small_volume,))
    told = refused(error, 1, "convert", small_volume, "--wim", wim, *NO_PLACE, "--format", "--yes",
                   watching=(wim,), volumes=(small_volume,))
    assert "just written" not in told.err
    empty = snapshot(fresh)
    refused("blob-damaged", 1, "apply", wim, "1", fresh, "--full", watching=(wim,))
    assert not differences(empty, snapshot(fresh))  # free clusters may have been written
    sound_volume(fresh)
    problems = wimboot("verify", "--wim", wim, "--json")
    assert problems.code == 3
    assert problems.json["problem_count"] == 1
    assert digest.hex() in problems.json["problems"][0]["text"]


def test_an_empty_file_is_no_wim(small_volume: Path, tmp_path: Path) -> None:
    """It is not taken for a WIM that is to be made."""
    wim = tmp_path / "empty.wim"
    wim.touch()
    refused("not-a-wim", 1, "convert", small_volume, "--wim", wim, *NO_PLACE, watching=(wim, small_volume))


@pytest.mark.parametrize(("flag", "error"), [(READ_ONLY, "wim-read-only"), (WRITING, "wim-write-in-progress")])
def test_a_wim_marked_against_writing_is_not_written(
        flag: int, error: str, sound_wim: Path, small_volume: Path, tmp_path: Path) -> None:
    """The read-only mark and the mark of a writer at work are respected."""
    wim = tmp_path / "marked.wim"
    data = bytearray(sound_wim.read_bytes())
    data[0x10] |= flag
    wim.write_bytes(data)
    for verb in ("convert", "capture"):
        extra = NO_PLACE if verb == "convert" else ()
        refused(error, 4, verb, small_volume, "--wim", wim, *extra, watching=(wim, small_volume))


def test_a_read_only_wim_can_be_deployed(sound_wim: Path, tmp_path: Path) -> None:
    """Reading it is what it is for."""
    wim, fresh = tmp_path / "marked.wim", fresh_volume(tmp_path / "fresh.img", 24 << 20)
    data = bytearray(sound_wim.read_bytes())
    data[0x10] |= READ_ONLY
    wim.write_bytes(data)
    with unchanged(wim):
        done("apply", wim, "1", fresh, *NO_PLACE)


def test_a_wim_of_another_guid_is_not_restored_from(sound_wim: Path, small_volume: Path, tmp_path: Path) -> None:
    """The volume's own WIM is meant, not a copy that became another."""
    wim, other = tmp_path / "store.wim", tmp_path / "other.wim"
    copy_sparse(sound_wim, wim)
    done("convert", small_volume, "--wim", wim, *NO_PLACE)
    data = bytearray(wim.read_bytes())
    data[0x18:0x28] = uuid.uuid4().bytes
    other.write_bytes(data)
    told = refused("other-wim", 4, "restore", small_volume, "--wim", other, watching=(wim, other, small_volume))
    assert "is not the WIM of" in told.err
    checked = wimboot("verify", small_volume, "--wim", other, "--json")
    assert checked.code == 3
    assert [problem["id"] for problem in checked.json["problems"]] == ["other-wim"]


@pytest.mark.parametrize("image", ["0", "2", "nobody", "99999999999999999999"])
def test_an_image_that_is_not_there_is_refused(image: str, sound_wim: Path, small_volume: Path, tmp_path: Path) -> None:
    """By number or by name, for apply and restore."""
    fresh = fresh_volume(tmp_path / "fresh.img", 24 << 20)
    for command in (("apply", sound_wim, image, fresh, "--full"),
                    ("restore", small_volume, "--wim", sound_wim, "--image", image)):
        refused("no-image", 2, *command, watching=(sound_wim, small_volume, fresh))


def test_a_wim_keeps_its_compression(sound_wim: Path, small_volume: Path, tmp_path: Path) -> None:
    """Another one is refused, its own may be named."""
    wim = tmp_path / "store.wim"
    copy_sparse(sound_wim, wim)
    refused("compression-differs", 4, "convert", small_volume, "--wim", wim, "--compress", "lzx", *NO_PLACE,
            watching=(wim, small_volume))
    done("capture", small_volume, "--wim", wim, "--compress", "xpress4k", "--name", "again")


@pytest.mark.parametrize(("name", "error"), [("first", "image-name-taken"), ("", "bad-name"), ("  ", "bad-name"),
                                             ("a\x01b", "bad-name"), ("a\udc80b", "bad-name")])
def test_an_image_gets_a_name_of_its_own(
        name: str, error: str, sound_wim: Path, small_volume: Path, tmp_path: Path) -> None:
    """Not one that is taken, empty or unprintable."""
    wim = tmp_path / "store.wim"
    copy_sparse(sound_wim, wim)
    refused(error, 2, "capture", small_volume, "--wim", wim, "--name", name, watching=(wim, small_volume))


# -- kinds that are only read -----------------------------------------------------------------------------------


def _wimlib(*arguments: object) -> None:
    subprocess.run(["wimlib-imagex", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def kinds(sound_wim: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same image as wimlib stores it in other ways."""
    folder = tmp_path_factory.mktemp("kinds")
    _wimlib("export", sound_wim, "1", folder / "solid.wim", "--solid")
    _wimlib("export", sound_wim, "1", folder / "lzms.wim", "--compress=lzms")
    _wimlib("export", sound_wim, "1", folder / "plain.wim", "--compress=none")
    _wimlib("export", sound_wim, "1", folder / "pipable.wim", "--pipable")
    _wimlib("split", sound_wim, folder / "split.swm", "0.5")
    assert len(list(folder.glob("split*.swm"))) > 1
    return {path.stem: path for path in folder.iterdir() if path.name in
            ("solid.wim", "lzms.wim", "plain.wim", "pipable.wim", "split.swm")}


@pytest.mark.parametrize("kind", ["solid", "lzms", "plain", "split"])
def test_an_image_in_a_wim_that_cannot_back_files_is_written_full(
        kind: str, kinds: dict[str, Path], pristine_small: Path, tmp_path: Path) -> None:
    """Solid, LZMS, uncompressed and split WIMs are read; the volume equals the original."""
    fresh = fresh_volume(tmp_path / "fresh.img", 24 << 20)
    done("apply", kinds[kind], "1", fresh, "--full")
    gone = ("Windows/Temp/left over.tmp", "pagefile.sys", "System Volume Information")
    assert not differences(snapshot(pristine_small), snapshot(fresh), without=gone)


@pytest.mark.parametrize("kind", ["solid", "lzms", "plain", "split"])
def test_pointers_into_a_wim_that_cannot_back_files_are_refused(
        kind: str, kinds: dict[str, Path], tmp_path: Path) -> None:
    """The message says why, and names both ways out: --full, and an export that can."""
    fresh = fresh_volume(tmp_path / "fresh.img", 24 << 20)
    told = refused("wim-not-backable", 4, "apply", kinds[kind], "1", fresh, *NO_PLACE,
                   watching=(kinds[kind], fresh))
    assert "--full" in told.err
    assert "--export" in told.err


@pytest.mark.parametrize("kind", ["solid", "lzms", "plain", "split"])
def test_an_exported_image_can_back_files(
        kind: str, kinds: dict[str, Path], pristine_small: Path, tmp_path: Path) -> None:
    """What the refusal advises works: the pointers lead into the WIM that the image was brought into."""
    store, fresh = tmp_path / "store.wim", fresh_volume(tmp_path / "fresh.img", 24 << 20)
    told = done("apply", kinds[kind], "1", fresh, "--export", store, *NO_PLACE, "--json").json
    assert told["pointed"] == every_pointer_leads_home(fresh, store, {}) > 20
    judge_wim(store)
    sound_volume(fresh)
    done("verify", fresh, "--wim", store)
    gone = ("Windows/Temp/left over.tmp", "pagefile.sys", "System Volume Information")
    assert not differences(snapshot(pristine_small), seen_through(snapshot(fresh)), without=gone, attribute_mask=0x280)


@pytest.mark.parametrize(("kind", "error", "code"), [("solid", "wim-not-extendable", 4),
                                                     ("lzms", "wim-not-extendable", 4),
                                                     ("split", "wim-split", 4),
                                                     ("pipable", "wim-pipable", 1)])
def test_nothing_is_added_to_a_wim_that_cannot_back_files(
        kind: str, error: str, code: int, kinds: dict[str, Path], small_volume: Path) -> None:
    """Not by a capture, not by a conversion."""
    for verb in ("convert", "capture"):
        extra = NO_PLACE if verb == "convert" else ()
        refused(error, code, verb, small_volume, "--wim", kinds[kind], *extra, watching=(kinds[kind], small_volume))


def test_an_uncompressed_wim_takes_captures_but_no_pointers(
        kinds: dict[str, Path], small_volume: Path, tmp_path: Path) -> None:
    """Windows' driver stops the system over a WIM without compression, so a conversion into it is refused."""
    wim = tmp_path / "plain.wim"
    copy_sparse(kinds["plain"], wim)
    refused("no-pointers-into", 4, "convert", small_volume, "--wim", wim, *NO_PLACE, watching=(wim, small_volume))
    done("capture", small_volume, "--wim", wim, "--name", "again")
    judge_wim(wim)


def test_a_pipable_wim_is_not_deployed(kinds: dict[str, Path], tmp_path: Path) -> None:
    """Only wimlib can read it, and the message says how to make an ordinary one."""
    fresh = fresh_volume(tmp_path / "fresh.img", 24 << 20)
    told = refused("wim-pipable", 1, "apply", kinds["pipable"], "1", fresh, "--full", watching=(fresh,))
    assert "--not-pipable" in told.err


def test_a_split_wim_without_all_of_its_parts_is_refused(kinds: dict[str, Path], tmp_path: Path) -> None:
    """Neither the first part alone nor a later one is the whole."""
    fresh = fresh_volume(tmp_path / "fresh.img", 24 << 20)
    copy_sparse(kinds["split"], tmp_path / "split.swm")
    copy_sparse(kinds["split"].with_name("split2.swm"), tmp_path / "other2.swm")
    told = refused("host-missing", 2, "apply", tmp_path / "split.swm", "1", fresh, "--full", watching=(fresh,))
    assert "split2.swm does not exist" in told.err
    refused("wim-split", 4, "apply", tmp_path / "other2.swm", "1", fresh, "--full", watching=(fresh,))
