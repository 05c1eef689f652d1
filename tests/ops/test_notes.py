"""Notes: what a run tells besides its result, by the stable id that front-ends match on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import build
from converted import Converted, fresh_volume
from data_disks import MIB, attached_disk, make_disk
from disk_kinds import as_kind
from mounting import copy_sparse, mounted
from repair_rig import EXPLORER, KERNEL32, Pair, problem_of
from running import NO_PLACE, done, notes, unchanged, wimboot
from sample_features import JUNCTION_TAG, set_reparse
from shared_wim import Shared, make_shared
from volume_edits import rewrite
from wim_bytes import read_wim
from wimboot.disk import Transaction
from wimboot.errors import HostError
from wimboot.ops.sharing import users

FIRST = f"mbr:{build.DISK_SIGNATURE:08x}:{MIB}:\\wimboot\\store.wim"


@pytest.fixture(scope="module")
def shared_once(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Two systems on one WIM with five images; for reading only."""
    return make_shared(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def shared(shared_once: Shared, tmp_path: Path) -> Shared:
    """The test's own."""
    return shared_once.copied(tmp_path)


# -- what was found when a target was opened


def test_vhd_footer(pristine_small: Path, tmp_path: Path) -> None:
    """A VHD of which one footer is broken is used, and that is said."""
    disk = as_kind("dynamic", pristine_small, tmp_path / "own", 0).path
    with disk.open("r+b") as file:
        file.seek(-400, os.SEEK_END)
        file.write(b"\xff")
    told = notes("info", disk)["vhd-footer"]
    assert (str(disk) in told.text, told.warning) == (True, True)


@pytest.fixture
def power_cut(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a verb whose power is cut before the volume is written."""
    def cut(transaction: Transaction, *_: object) -> None:
        transaction.leave()
        raise HostError(what="writing", where="the volume", why="the power went")

    def run(*arguments: object) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Transaction, "commit", cut)
            assert wimboot(*arguments).code == 1

    return run


def test_recovered(pair: Pair, power_cut: Callable[..., None]) -> None:
    """A run that had decided is finished by the next one, which says so."""
    with pair.edited() as root:
        rewrite(root / KERNEL32, b"new" * 9000)
    power_cut("update", pair.volume)
    told = notes("info", pair.volume)["recovered"]
    assert (str(pair.volume) in told.text, told.warning) == (True, True)
    assert not notes("info", pair.volume).keys() & {"recovered", "dropped"}


def test_dropped(pair: Pair, power_cut: Callable[..., None]) -> None:
    """A run that had not decided is undone, and that is said."""
    with unchanged(pair.volume, pair.wim):
        power_cut("relocate", pair.volume, "--wim", pair.wim, "--as", FIRST)
        told = notes("info", pair.volume)["dropped"]
        assert (str(pair.volume) in told.text, told.warning) == (True, True)


def test_unfinished(small_volume: Path, tmp_path: Path) -> None:
    """Files of a hibernated system are given with the word that there may be newer ones."""
    with mounted(small_volume, write=True) as root:
        (root / "hiberfil.sys").write_bytes(b"hibr" + bytes(4092))
    assert notes("extract", small_volume, f"/{EXPLORER}", tmp_path)["unfinished"].warning


# -- which WIM, and where


def test_passed_over(pair: Pair) -> None:
    """Of several copies those that were not taken are named, each with why; but not a spare one that is as good."""
    older = pair.volume.with_name("older.wim")
    copy_sparse(pair.wim, older)
    assert "passed-over" not in notes("status", pair.volume)
    assert f"passed over: {older}: it would do as well\n" in done("info", pair.volume).out
    done("capture", pair.volume, "--wim", pair.wim, "--name", "second")
    told = notes("status", pair.volume)["passed-over"]
    assert told.warning
    assert f"{older} was passed over: it is older" in told.text


def test_wim_moved(pair: Pair, tmp_path: Path) -> None:
    """A WIM that is not at its registered place, although that disk is there, is used and told."""
    done("relocate", pair.volume, "--wim", pair.wim, "--as", FIRST)
    make_disk(tmp_path / "data.img", "mbr", lambda root: (root / "wimboot").mkdir())
    told = notes("status", pair.volume)["wim-moved"]
    assert (str(pair.wim) in told.text, "relocate" in told.text, told.warning) == (True, True, True)
    assert "wim-moved" in notes("restore", pair.volume, "--dry-run")
    assert "wim-moved" not in notes("restore", pair.volume, "--full", "--dry-run")      # which will not need it
    code, document = pair.verify("--quick")
    assert (code, problem_of(document)["id"]) == (3, "wim-moved")
    assert f"found as {pair.wim}" in problem_of(document)["text"]
    (tmp_path / "deep" / "er").mkdir(parents=True)
    away = pair.wim.rename(tmp_path / "deep" / "er" / "store.wim")      # where it is found only when it is named
    pair.spare.unlink()
    code, document = pair.verify("--quick", wim=away)
    assert (code, problem_of(document)["id"]) == (3, "wim-moved")
    assert f"found as {away}" in problem_of(document)["text"]
    data = away.read_bytes()
    pair.wim.write_bytes(data[:0x18] + bytes(range(16)) + data[0x28:])
    away.unlink()
    document = wimboot("verify", pair.volume, "--quick", "--json").json     # another WIM of that name was not moved
    assert [problem["id"] for problem in document["problems"]] == ["other-wim"]
    assert "only has the name" in problem_of(document)["text"]


def test_place_not_at_hand(pair: Pair) -> None:
    """Of a place on a disk that is not here it cannot be said whether it is right."""
    told = notes("relocate", pair.volume, "--wim", pair.wim, "--as", FIRST)["place-not-at-hand"]
    assert (f"{build.DISK_SIGNATURE:08x}" in told.text, told.warning) == (True, False)
    told = notes("verify", pair.volume, "--quick")["place-not-at-hand"]
    assert (FIRST in told.text, f"found as {pair.wim}" in told.text, told.warning) == (True, True, False)


def test_place_no_partition(pair: Pair, tmp_path: Path) -> None:
    """One wrong digit in the offset: the disk is here, and has no such partition."""
    with attached_disk(make_disk(tmp_path / "data.img", "mbr")):
        told = notes("relocate", pair.volume, "--wim", pair.wim, "--as", FIRST.replace(str(MIB), str(MIB + 512)))
        assert "place-no-partition" in told
        assert told["place-no-partition"].warning
        assert f"#1 at {MIB}" in told["place-no-partition"].text
        assert not notes("relocate", pair.volume, "--wim", pair.wim, "--as", FIRST).keys() & {
            "place-no-partition", "place-ambiguous", "place-not-at-hand"}


def test_place_ambiguous(pair: Pair, tmp_path: Path) -> None:
    """Two attached disks with one signature: Windows may take the wrong one."""
    first, second = make_disk(tmp_path / "one.img", "mbr"), make_disk(tmp_path / "two.img", "mbr")
    with attached_disk(first) as one, attached_disk(second) as two:
        told = notes("relocate", pair.volume, "--wim", pair.wim, "--as", FIRST)["place-ambiguous"]
        assert (str(one) in told.text, str(two) in told.text, told.warning) == (True, True, True)


def test_place_twice(pair: Pair, tmp_path: Path) -> None:
    """Beside the disk with the WIM lies one with the same signature and something else in that place."""
    def fill(content: bytes) -> Callable[[Path], None]:
        def put(root: Path) -> None:
            (root / "wimboot").mkdir()
            (root / "wimboot" / "store.wim").write_bytes(content)
        return put

    done("relocate", pair.volume, "--wim", pair.wim, "--as", FIRST)
    right = make_disk(tmp_path / "b.img", "mbr", fill(pair.wim.read_bytes()))
    wrong = make_disk(tmp_path / "a.img", "mbr", fill(b"no WIM"))
    pair.wim.unlink()
    told = notes("verify", pair.volume, "--quick")["place-twice"]
    assert (str(right) in told.text, str(wrong) in told.text, told.warning) == (True, True, True)


def test_other_wim_needed(pair: Pair, tmp_path: Path) -> None:
    """What was a pointer into another WIM already stays one, and the volume needs both."""
    with pair.edited() as root:
        (root / "Windows/new.bin").write_bytes(os.urandom(50_000))
    told = notes("convert", pair.volume, "--wim", tmp_path / "second.wim", *NO_PLACE)
    assert told["other-wim-needed"].warning
    assert "another WIM" in told["other-wim-needed"].text


# -- volumes that share a WIM


def test_others_behind(shared: Shared) -> None:
    """Who grows a WIM names the volumes on it that did not take part; where none is seen that is no warning."""
    with mounted(shared.x64, write=True) as root:
        rewrite(root / KERNEL32, b"again" * 9000)
    told = notes("update", shared.x64, "--name", "x64-4")["others-behind"]
    assert (str(shared.x86) in told.text, told.warning) == (True, True)
    shared.x86.unlink()
    with mounted(shared.x64, write=True) as root:
        rewrite(root / KERNEL32, b"and again" * 9000)
    told = notes("update", shared.x64, "--name", "x64-5")["others-behind"]
    assert ("not at hand" in told.text, told.warning) == (True, False)


def test_image_held_and_left_behind(shared: Shared) -> None:
    """A rule keeps the image that a volume stands on; a volume that was not given is told how to be mended."""
    done("restore", shared.x64, "--image", "x64-1")
    told = notes("prune", shared.wim, "--keep-last", 1, "--target", shared.x64, "--yes", "--force")
    assert ("image 1 (x64-1)" in told["image-held"].text, told["image-held"].warning) == (True, False)
    assert (str(shared.x86) in told["left-behind"].text, told["left-behind"].warning) == (True, True)


def test_many_files(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search for volumes that was cut short is told: there may be more of them."""
    monkeypatch.setattr(users, "_MOST_FILES", 1)
    told = notes("prune", shared.wim, "--keep-last", 1, *shared.targets, "--dry-run")["many-files"]
    assert ("too many files" in told.text, told.warning) == (True, True)


# -- lists, images, copies


def test_list(pair: Pair, tmp_path: Path) -> None:
    """A line of a list that means nothing is named with its number."""
    ini = tmp_path / "own.ini"
    ini.write_text("[ExclusionList]\n\\pagefile.sys\n[Nonsense]\nx\n", encoding="utf-8")
    told = notes("status", pair.volume, "--config", ini)["list"]
    assert (str(ini) in told.text, "Nonsense" in told.text, told.warning) == (True, True, True)


def test_exported_and_would_export(pair: Pair, tmp_path: Path) -> None:
    """The image that pointers will lead to is named, beforehand and afterwards."""
    solid, new, volume = tmp_path / "in.wim", tmp_path / "new.wim", fresh_volume(tmp_path / "fresh.img", 24 << 20)
    subprocess.run(["wimlib-imagex", "export", pair.wim, "all", solid, "--solid"], check=True, capture_output=True)
    with unchanged(volume):
        told = notes("apply", solid, "1", volume, "--export", new, *NO_PLACE, "--dry-run")
    assert ("would be exported" in told["would-export"].text, "exported" in told) == (True, False)
    told = notes("apply", solid, "1", volume, "--export", new, *NO_PLACE)
    assert (f"image 1 of {new}" in told["exported"].text, told["exported"].warning) == (True, False)


def test_copy_differs(pair: Pair) -> None:
    """A copy with rot in it is written anew, which is told."""
    with pair.spare.open("r+b") as file:
        os.pwrite(file.fileno(), b"rot", 5000)
    told = notes("sync", pair.wim, pair.spare, "--full")["copy-differs"]
    assert (str(pair.spare) in told.text, told.warning) == (True, True)


def test_repaired(pair: Pair) -> None:
    """What was mended is for good from then on, whatever comes afterwards."""
    pair.damage(EXPLORER)
    told = notes("verify", pair.volume, "--repair", "--spare", pair.spare)
    assert ("committed" in told["repaired"].text, told["repaired"].warning) == (True, False)


def test_attributes_unknown(pair: Pair) -> None:
    """Where the image cannot be read that knows which files were sparse, they become plain ones, aloud."""
    (metadata,) = (blob for blob in read_wim(pair.wim).blobs.values() if blob.flags & 2)
    with pair.wim.open("r+b") as file:
        os.pwrite(file.fileno(), b"\xff" * 64, metadata.offset + metadata.stored_size // 2)
    assert notes("rehydrate", pair.volume, f"/{EXPLORER}")["attributes-unknown"].warning


# -- what stays out of an extracted folder


def test_what_was_left_out(tmp_path: Path) -> None:
    """Named streams, links that lead out, and names that the host cannot have are counted."""
    volume = fresh_volume(tmp_path / "odd.img", 16 << 20)
    with mounted(volume, write=True) as root:
        (root / "all").mkdir()
        (root / "all/!!_escaped").write_bytes(b"one")
        (root / "all/two").write_bytes(b"two")
        Path(f"{root}/all/two:stream").write_bytes(b"more")
        (root / "all/junction").mkdir()
        name = "\\??\\C:\\..\\..\\tmp".encode("utf-16-le")
        set_reparse(root / "all/junction", JUNCTION_TAG,
                    b"\0\0" + len(name).to_bytes(2, "little") * 2 + b"\0\0" + name + b"\0\0")
    data = volume.read_bytes()
    volume.write_bytes(data.replace("!!_escaped".encode("utf-16-le"), "../escaped".encode("utf-16-le")))
    told = notes("extract", volume, "\\all", tmp_path / "out")
    assert told["streams-left-out"].text.startswith("1 named")
    assert told["links-left-out"].text.startswith("1 link")
    assert "junction" in told["links-left-out"].text
    assert told["names-escaped"].warning
    assert "%2F" in told["names-escaped"].text


def test_encrypted_and_behind(converted_once: Converted, tmp_path: Path) -> None:
    """What an image cannot hold is named; so are pointers that a capture leaves behind its WIM."""
    volume, wim = tmp_path / "system.img", tmp_path / "store.wim"
    copy_sparse(converted_once.volume, volume)
    shutil.copyfile(converted_once.wim, wim)
    told = notes("capture", volume, "--wim", wim, "--name", "again")
    assert (told["behind"].warning, "relocate" in told["behind"].text) == (True, True)
    assert (told["encrypted"].warning, "NOT in the image" in told["encrypted"].text) == (True, True)
