"""`verify --repair`: what can be put right is, other programs find it sound; the rest is told, and nothing is worse."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

import pytest

import build
from judges import every_pointer_leads_home, read_wim, sound_volume, sound_wim
from mounting import copy_sparse
from repair_rig import EXPLORER, KERNEL32, USER32, Pair, problem_of, wimlib
from running import NO_PLACE, done, unchanged, wimboot

PLACE = "mbr:5cbea03e:1048576:\\wimboot\\store.wim"


@pytest.mark.parametrize("how", [("optimize", "--recompress", "--compress=LZX", "--chunk-size=32768"),
                                 ("optimize", "--recompress")])
def test_pointers_into_a_rewritten_wim_are_relinked(how: tuple[str, ...], pair: Pair) -> None:
    """All of them, by their SHA-1; the WIM is only read."""
    wimlib(how[0], pair.wim, *how[1:])
    assert pair.verify("--quick")[0] == 3
    with unchanged(pair.wim):
        code, document = pair.repair()
    assert (code, document["sound"]) == (0, True)
    assert document["repair"]["relinked"] == document["pointers"] > 20
    assert [one["id"] for one in document["repair"]["found"]] == ["wim-rewritten"]
    pair.assert_whole()


def test_a_volume_whose_image_was_deleted_stands_on_one_that_has_its_data(pair: Pair) -> None:
    """wimlib numbers the images that are left anew."""
    done("capture", pair.volume, "--wim", pair.wim, "--name", "second")
    with pair.edited() as root:
        (root / "Windows/new library.dll").write_bytes(os.urandom(50_000))
    done("convert", pair.volume, "--wim", pair.wim, "--name", "third", *NO_PLACE)
    wimlib("delete", pair.wim, "1")
    code, document = pair.repair()
    assert (code, document["sources"][0]["image"]) == (0, 2)
    sound_volume(pair.volume)
    assert not wimboot("restore", pair.volume, "--wim", pair.wim).code


def test_a_volume_that_is_behind_is_brought_up(pair: Pair) -> None:
    """And a second repair has nothing to do."""
    done("capture", pair.volume, "--wim", pair.wim, "--name", "second")
    code, document = pair.repair("--quick")
    assert (code, document["repair"]["relinked"] > 20) == (0, True)
    pair.assert_whole()
    with unchanged(pair.volume, pair.wim):
        assert "nothing to repair" in done("verify", pair.volume, "--wim", pair.wim, "--repair").out


def test_damaged_data_comes_from_the_spare_copy(pair: Pair) -> None:
    """Behind the WIM's end, nothing old being written over; others that stand on the WIM are spoken of."""
    pair.damage(EXPLORER, USER32)
    before = pair.wim.read_bytes()
    run = wimboot("verify", pair.volume, "--wim", pair.wim, "--repair", "--spare", pair.spare)
    assert run.code == 0, run.err
    assert "Repaired: " in run.out
    size = (pair.seen[EXPLORER].streams[""][0] + pair.seen[USER32].streams[""][0]) // 1000
    assert f"2 blobs ({size} KB) stored " in run.out
    assert f"2 from {pair.spare}" in run.out
    assert "relocate" in run.err
    assert run.err.count("has no place yet") == 1, "both checks say it"
    assert pair.wim.read_bytes()[208:len(before)] == before[208:]
    pair.assert_whole()


def test_a_copy_that_is_named_takes_the_place_of_a_wim_that_was_cut(pair: Pair) -> None:
    """Its data cannot be taken over one by one: the command that does it is told, and mends it. So for a WIM alone."""
    os.truncate(pair.wim, pair.wim.stat().st_size - 5000)
    sync = f"`wimboot sync {pair.spare} {pair.wim} --force` writes"
    with unchanged(pair.volume, pair.wim, pair.spare):
        code, document = pair.repair("--spare", pair.spare)
        assert (code, problem_of(document)["id"]) == (3, "wim-truncated")
        assert sync in problem_of(document)["advice"]
        alone = ("verify", "--wim", pair.wim, "--repair", "--json", "--spare")
        assert sync in problem_of(wimboot(*alone, pair.spare).json)["advice"]
        assert "sync" not in problem_of(wimboot(*alone, pair.wim).json)["advice"]
    done("sync", pair.spare, pair.wim, "--force")
    pair.assert_whole()


def test_missing_data_comes_from_a_copy_that_lies_beside(pair: Pair) -> None:
    """Without a word, for it has the same GUID; images that need the data have it again."""
    pair.lose(EXPLORER, USER32)
    pair.spare.rename(pair.wim.with_name("copy.wim"))
    assert pair.verify("--quick")[1]["problems"][0]["id"] == "blob-missing"
    code, document = pair.repair()
    assert (code, document["repair"]["blobs"]) == (0, 2)
    references = read_wim(pair.wim).blobs[pair.sha1(EXPLORER)].references
    assert references == read_wim(pair.wim.with_name("copy.wim")).blobs[pair.sha1(EXPLORER)].references
    pair.assert_whole()


def test_data_comes_from_a_real_file_with_the_same_contents(pair: Pair) -> None:
    """No copy of the WIM is left, but the file was copied on the volume since."""
    with pair.edited() as root:
        (root / "Users/copy of explorer.bin").write_bytes(_contents(pair, EXPLORER))
        (root / "Users/other of that size.bin").write_bytes(bytes(pair.seen[EXPLORER].streams[""][0]))
    pair.damage(EXPLORER)
    code, document = pair.repair()
    assert (code, document["repair"]["from"]) == (0, {str(pair.volume): 1})
    with pair.edited() as root:
        (root / "Users/copy of explorer.bin").unlink()
        (root / "Users/other of that size.bin").unlink()
    sound_volume(pair.volume)
    sound_wim(pair.wim)
    done("verify", pair.volume, "--wim", pair.wim)


def _contents(pair: Pair, path: str) -> bytes:
    store = read_wim(pair.spare)
    return store.read(store.blobs[pair.sha1(path)])


def test_what_nobody_has_is_told_and_the_rest_repaired(pair: Pair) -> None:
    """A spare that is damaged in the same place is no help; it is not taken for sound."""
    pair.damage(EXPLORER, USER32)
    pair.damage(USER32, wim=pair.spare)
    code, document = pair.repair("--spare", pair.spare)
    assert (code, document["repair"]["blobs"]) == (3, 1)
    assert document["repair"]["lacking"] == [pair.sha1(USER32).hex()]
    problem = problem_of(document)
    assert problem["id"] == "blob-damaged"
    assert "\\Windows\\System32\\user32.dll" in problem["paths"]
    sound_volume(pair.volume)


@pytest.mark.parametrize("spoil", ["damage", "lose"])
def test_nothing_is_written_where_nothing_gets_better(spoil: str, pair: Pair) -> None:
    """Not a byte of the WIM or of the volume."""
    getattr(pair, spoil)(EXPLORER)
    if spoil == "lose":     # the table is another one now
        assert pair.repair()[0] == 3
    with unchanged(pair.volume, pair.wim):
        run = wimboot("verify", pair.volume, "--wim", pair.wim, "--repair")
    assert run.code == 3
    assert "Nothing can be repaired with what is at hand; nothing was written." in run.out
    assert "Sound data was found nowhere of 1 blob: name another copy with --spare." in run.out
    assert "--repair --spare COPY`" in run.err


def test_pointers_are_not_led_into_a_wim_that_windows_does_not_read(pair: Pair) -> None:
    """It was made solid, and has all the data; the pointers wait for one that Windows reads."""
    wimlib("optimize", pair.wim, "--solid")
    with unchanged(pair.volume, pair.wim):
        code, document = pair.repair("--quick", "--spare", pair.spare)
    assert (code, problem_of(document)["id"], document["repair"]["changed"]) == (3, "wim-not-backable", False)


def test_a_dry_run_says_what_would_be_repaired(pair: Pair) -> None:
    """And writes nothing; the problems are there still, so the exit code is that of a check."""
    pair.damage(EXPLORER, USER32)
    done("capture", pair.volume, "--wim", pair.spare, "--name", "second")
    with unchanged(pair.volume, pair.wim, pair.spare):
        run = wimboot("verify", pair.volume, "--wim", pair.wim, "--repair", "--spare", pair.spare, "--dry-run")
        document = pair.repair("--spare", pair.spare, "--dry-run")[1]
    assert run.code == 3
    assert "Would be repaired: 2 blobs" in run.out
    assert f"--repair --spare {pair.spare}`" in run.err
    assert "COPY" not in run.err + str(document)
    assert "Nothing was written." in run.out
    assert (document["repair"]["dry_run"], document["repair"]["blobs"], document["sound"]) == (True, 2, False)


def test_an_older_copy_gets_the_data_that_it_lacks(pair: Pair) -> None:
    """The image itself is lacking still, and that is told."""
    with pair.edited() as root:
        (root / "Windows/new library.dll").write_bytes(os.urandom(50_000))
    done("convert", pair.volume, "--wim", pair.wim, "--name", "second", *NO_PLACE)
    code, document = pair.repair("--spare", pair.wim, wim=pair.spare)
    assert (code, problem_of(document)["id"]) == (3, "image-missing")
    assert document["repair"]["blobs"] == 1
    sound_wim(pair.spare)
    code, document = pair.repair(wim=pair.spare)    # as it is advised: the volume stands on what there is, and then...
    assert (code, document["repair"]["overlay"]) == (0, True)
    assert done("update", pair.volume, "--wim", pair.spare, "--json").json["image"]["index"] == 2
    done("verify", pair.volume, "--wim", pair.spare)


def test_a_damaged_pointer_is_relinked(pair: Pair) -> None:
    """By its hash."""
    with pair.edited() as root:
        value = bytearray(os.getxattr(root / EXPLORER, "system.ntfs_reparse_data", follow_symlinks=False))
        value[0x58:0x60] = (12345).to_bytes(8, "little")
        os.setxattr(root / EXPLORER, "system.ntfs_reparse_data", bytes(value), follow_symlinks=False)
    code, document = pair.repair()
    assert (code, document["repair"]["relinked"]) == (0, 1)
    sound_volume(pair.volume)
    done("verify", pair.volume, "--wim", pair.wim)


def test_a_volume_is_relinked_to_a_wim_that_took_the_others_place(pair: Pair) -> None:
    """It was named, and has all the data: its GUID is registered, and every pointer leads into it."""
    with pair.wim.open("r+b") as file:
        os.pwrite(file.fileno(), uuid.uuid4().bytes, 0x18)
    pair.spare.unlink()
    wimlib("optimize", pair.wim, "--recompress")
    with unchanged(pair.wim):
        assert wimboot("verify", pair.volume, "--repair").code == 3     # it was not named
        code, document = pair.repair()
    assert (code, document["repair"]["overlay"], document["repair"]["relinked"] > 20) == (0, True, True)
    pair.assert_whole()


def test_a_wim_that_lacks_data_does_not_take_the_others_place(pair: Pair) -> None:
    """Pointers stay as they are, for the right WIM to come back."""
    with pair.wim.open("r+b") as file:
        os.pwrite(file.fileno(), uuid.uuid4().bytes, 0x18)
    pair.lose(EXPLORER)
    with unchanged(pair.volume, pair.wim):
        assert problem_of(pair.repair()[1])["id"] == "other-wim"


def test_several_data_sources_are_repaired_one_by_one(pair: Pair, tmp_path: Path) -> None:
    """One gets data from its copy, the other's pointers are relinked."""
    second = tmp_path / "second.wim"
    with pair.edited() as root:
        (root / "Windows/new library.dll").write_bytes(os.urandom(50_000))
    done("convert", pair.volume, "--wim", second, "--name", "second", *NO_PLACE)
    wimlib("optimize", second, "--recompress", "--compress=LZX", "--chunk-size=32768")
    pair.damage(EXPLORER)
    with unchanged(second):
        run = wimboot("verify", pair.volume, "--repair", "--spare", pair.spare, "--json")
    assert run.code == 0, run.json["problems"]
    assert (run.json["repair"]["blobs"], run.json["repair"]["relinked"] > 20) == (1, True)
    sound_volume(pair.volume)
    sound_wim(pair.wim)


# -- a WIM by itself ----------------------------------------------------------------------------------------------

def test_a_wim_is_repaired_by_itself(pair: Pair) -> None:
    """Blobs and lists of files; then its volume is behind, and a repair of that brings it up."""
    pair.damage(EXPLORER)
    pair.lose(USER32)
    run = wimboot("verify", "--wim", pair.wim, "--repair", "--spare", pair.spare, "--json")
    assert (run.code, run.json["repair"]["blobs"]) == (0, 2)
    sound_wim(pair.wim)
    assert problem_of(pair.verify("--quick")[1])["id"] in ("behind", "wim-rewritten")
    assert pair.repair()[0] == 0
    pair.assert_whole()


def test_a_damaged_list_of_files_comes_from_the_spare_copy(pair: Pair) -> None:
    """Byte for byte; without a copy nothing is written."""
    metadata = next(blob for blob in read_wim(pair.wim).blobs.values() if blob.flags & 2)
    with pair.wim.open("r+b") as file:
        os.pwrite(file.fileno(), b"\xaa" * 20, metadata.offset + 40)
    with unchanged(pair.wim):
        assert wimboot("verify", "--wim", pair.wim, "--repair").code == 3
    run = wimboot("verify", "--wim", pair.wim, "--repair", "--spare", pair.spare)
    assert run.code == 0, run.err
    assert "1 list of files stored anew" in run.out
    sound_wim(pair.wim)


def test_options_of_a_repair_are_wrong_without_one(pair: Pair) -> None:
    """So is a spare copy that is not there."""
    for extra in (("--spare", pair.spare), ("--wim-place", PLACE), ("--dry-run",)):
        assert wimboot("verify", pair.volume, *extra).code == 2
    pair.damage(EXPLORER)
    with unchanged(pair.volume, pair.wim):
        assert wimboot("verify", pair.volume, "--wim", pair.wim, "--repair", "--spare", "/no/such.wim").code == 2


def test_a_wim_that_may_not_be_written_is_left_alone(pair: Pair) -> None:
    """Its read-only mark is respected; the message says so."""
    pair.damage(EXPLORER)
    with pair.wim.open("r+b") as file:
        byte = os.pread(file.fileno(), 1, 0x10)
        os.pwrite(file.fileno(), bytes([byte[0] | 4]), 0x10)
    with unchanged(pair.volume, pair.wim):
        run = wimboot("verify", pair.volume, "--wim", pair.wim, "--repair", "--spare", pair.spare)
    assert (run.code, "read-only" in run.err) == (4, True)


def test_the_repaired_pair_is_used_on(pair: Pair) -> None:
    """Capture, restore and apply find what they need in the repaired WIM."""
    pair.damage(EXPLORER, KERNEL32)
    assert pair.repair("--spare", pair.spare)[0] == 0
    with pair.edited() as root:
        (root / USER32).unlink()
    done("restore", pair.volume, "--wim", pair.wim)
    pair.assert_whole()
    fresh = pair.volume.with_name("fresh.img")
    copy_sparse(pair.volume, fresh)
    done("restore", fresh, "--wim", pair.wim, "--full")
    sound_volume(fresh)


def test_data_that_windows_would_misread_is_stored_anew(pair: Pair) -> None:
    """It is flagged as compressed and did not shrink, which other tools allow; the driver goes by the sizes alone."""
    noise = os.urandom(3000)
    with pair.edited() as root:
        (root / "Windows/noise.jpg").write_bytes(noise)
    done("convert", pair.volume, "--wim", pair.wim, "--name", "second", *NO_PLACE)
    data = bytearray(pair.wim.read_bytes())
    data[data.rindex(hashlib.sha1(noise, usedforsecurity=False).digest()) - 30 + 7] = 4
    pair.wim.write_bytes(data)
    document = pair.verify()[1]
    assert [one["id"] for one in document["problems"]] == ["wim-rewritten", "blob-not-backable"]
    assert document["problems"][1]["paths"] == ["\\Windows\\noise.jpg"]
    assert pair.repair()[0] == 0
    sound_volume(pair.volume)
    sound_wim(pair.wim)
    assert every_pointer_leads_home(pair.volume, pair.wim, {}) > 20


def test_a_damaged_row_of_the_table_is_put_right(pair: Pair) -> None:
    """It says another size than the data has; the pointers and the spare copy know better."""
    data = bytearray(pair.wim.read_bytes())
    at = data.rindex(pair.sha1(EXPLORER)) - 30 + 16
    data[at:at + 8] = (12345).to_bytes(8, "little")
    pair.wim.write_bytes(data)
    ids = [one["id"] for one in pair.verify()[1]["problems"]]
    assert ids == ["wim-rewritten", "pointer-size", "blob-damaged"]
    assert pair.repair("--spare", pair.spare)[0] == 0
    pair.assert_whole()


def test_a_mended_list_of_files_tells_of_more_that_is_missing(pair: Pair) -> None:
    """That is brought, too, in the same run."""
    metadata = next(blob for blob in read_wim(pair.wim).blobs.values() if blob.flags & 2)
    with pair.wim.open("r+b") as file:
        os.pwrite(file.fileno(), b"\xaa" * 20, metadata.offset + 40)
    pair.lose(EXPLORER)
    run = wimboot("verify", "--wim", pair.wim, "--repair", "--spare", pair.spare, "--json")
    assert (run.code, run.json["repair"]["lists"], run.json["repair"]["blobs"]) == (0, 1, 1)
    sound_wim(pair.wim)


@pytest.mark.heavy
def test_a_volume_on_a_disk_is_repaired(sample_disk: build.System, tmp_path: Path) -> None:
    """Named by its partition or found on the disk."""
    wim = tmp_path / "store.wim"
    done("convert", sample_disk.path, "--wim", wim, "--wim-place", "later")
    wimlib("optimize", wim, "--recompress")
    assert wimboot("verify", f"{sample_disk.path}#1", "--quick").code == 3
    done("verify", sample_disk.path, "--repair")
    sound_volume(sample_disk.path, sample_disk.offset)
    assert every_pointer_leads_home(sample_disk.path, wim, {}, sample_disk.offset) > 100
