"""Dropping images of a WIM that two systems share: the rest of the WIM and both volumes are as good as before."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import build
import judges
from mounting import copy_sparse, mounted
from partition_table import partition
from running import done, refused, unchanged, wimboot
from shared_wim import Shared, make_shared
from volume_edits import rewrite
from wim_making import wimlib
from wimboot.disk import Host
from wimboot.events import silent
from wimboot.ops import prune as prune_module
from wimboot.ops.options import PruneOptions, TargetOptions
from wimboot.ops.sharing.users import users_of
from wimboot.plan.space import NotEnoughSpace
from wimboot.storage import HostFolder
from wimboot.wim import open_store


@pytest.fixture(scope="module")
def shared_once(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Converted and updated once; for copying only."""
    return make_shared(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def shared(shared_once: Shared, tmp_path: Path) -> Shared:
    """The test's own copies."""
    return shared_once.copied(tmp_path)


def _names(wim: Path) -> list[str]:
    with open_store(wim) as store:
        return [image.name for image in store.images]


def _listing(wim: Path, image: int) -> list[str]:
    """What wimlib says of all files of an image, but for how often their data is used."""
    lines = wimlib("dir", wim, str(image), "--detailed").stdout.splitlines()
    return [line for line in lines if not line.strip().startswith(("Reference Count", "Raw offset", "Offset"))]


def _standing_on(volume: Path) -> int:
    number = done("info", volume, "--json").json["volume"]["sources"][0]["image"]
    assert isinstance(number, int)
    return number


def _sound(shared: Shared) -> None:
    """By the judgement of others: the WIM, both volumes, every pointer."""
    judges.sound_wim(shared.wim)
    for volume in (shared.x64, shared.x86):
        judges.sound_volume(volume)
        assert judges.every_pointer_leads_home(volume, shared.wim, {}) > 20
        done("verify", volume, "--wim", shared.wim)
        assert not done("status", volume, "--wim", shared.wim, "--exit-code", "--json").json.get("total")


def test_the_last_images_of_each_system_stay(shared: Shared, tmp_path: Path) -> None:
    """Images, WIM and volumes are what they were, for wimlib, for others, and for our own verbs afterwards."""
    before = {name: _listing(shared.wim, number) for number, name in enumerate(_names(shared.wim), start=1)}
    size = shared.wim.stat().st_size
    judges.apply_with_wimlib(shared.wim, 4, tmp_path / "before.ntfs", size=24 << 20)
    told = done("prune", shared.wim, "--keep-last", 1, *shared.targets, "--yes", "--json").json
    assert _names(shared.wim) == ["x64-3", "x86-2"]
    assert [(image["name"], image["index_after"]) for image in told["images"]] == [
        ("x64-1", None), ("x86-1", None), ("x64-2", None), ("x64-3", 1), ("x86-2", 2)]
    assert (told["bytes_before"], told["bytes_after"]) == (size, shared.wim.stat().st_size)
    assert shared.wim.stat().st_size < size
    assert [(volume["image_before"], volume["image"]) for volume in told["volumes"]] == [(4, 1), (5, 2)]
    assert all(volume["refreshed"] > 20 for volume in told["volumes"])
    for number, name in enumerate(_names(shared.wim), start=1):
        assert _listing(shared.wim, number) == before[name]
    judges.apply_with_wimlib(shared.wim, 1, tmp_path / "after.ntfs", size=24 << 20)
    assert not judges.differences(judges.snapshot(tmp_path / "before.ntfs"), judges.snapshot(tmp_path / "after.ntfs"))
    _sound(shared)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "after.ntfs", "before.ntfs", "store.wim", "x64.img", "x86.img"]
    done("restore", shared.x64)
    done("update", shared.x86, "--target", shared.x64)
    _sound(shared)


def test_images_go_by_name_and_number(shared: Shared) -> None:
    """--drop takes names and numbers; the volumes get the numbers that their images have now. Programs say --yes."""
    told = wimboot("prune", shared.wim, "--drop", "x64-1", "--drop", 2, *shared.targets, "--json")
    assert (told.code, told.json["error"]["id"]) == (4, "confirmation-needed")
    done("prune", shared.wim, "--drop", "x64-1", "--drop", 2, *shared.targets, "-y", "-q")
    assert _names(shared.wim) == ["x64-2", "x64-3", "x86-2"]
    _sound(shared)
    assert [_standing_on(volume) for volume in (shared.x64, shared.x86)] == [2, 3]


def test_a_dry_run_and_nothing_to_drop_write_nothing(shared: Shared) -> None:
    """Both say what is, and leave every byte and time."""
    with unchanged(*shared.all):
        told = done("prune", shared.wim, "--keep-last", 2, *shared.targets, "--dry-run")
        assert "Would drop image 1 (x64-1)" in told.out
        assert "x64.img stands on image 3, which was 4" in told.out
        assert "Nothing to drop" in done("prune", shared.wim, "--keep-last", 3, *shared.targets, "--yes").out
        assert "Nothing to drop" in done("prune", shared.wim, "--older-than", "1d").out
        assert done("prune", shared.wim, "--older-than", "1d", "--json").json["dropped"] == 0


def test_nobody_confirms(shared: Shared) -> None:
    """Without --yes, and with nobody to ask, nothing is dropped."""
    with unchanged(*shared.all):
        run = wimboot("prune", shared.wim, "--keep-last", 2, *shared.targets)
        assert run.code == 4
        assert "Drop image 1 (x64-1)" in run.err


def test_a_volume_that_was_not_given_is_a_refusal(shared: Shared) -> None:
    """It is found beside the WIM and named, read or not; --force goes on, and tells how to mend it, which works."""
    run = refused("users-not-given", 4, "prune", shared.wim, "--keep-last", 1, "--target", shared.x64, "--yes",
                  watching=shared.all)
    assert str(shared.x86) in run.err
    with shared.x86.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused("users-unread", 4, "prune", shared.wim, "--keep-last", 1, "--target", shared.x64, "--yes",
                watching=shared.all)
    told = done("prune", shared.wim, "--keep-last", 1, "--target", shared.x64, "--yes", "--force")
    assert f"warning: {shared.x86} still points to where its data lay before" in told.err
    assert f"`wimboot restore {shared.x86} --wim {shared.wim} --image 2`" in told.err
    assert _names(shared.wim) == ["x64-3", "x86-2"]
    assert wimboot("verify", shared.x86, "--wim", shared.wim).code == 3
    done("restore", shared.x86, "--wim", shared.wim, "--image", 2)
    _sound(shared)


def test_both_partitions_of_a_disk_count(shared: Shared, tmp_path: Path) -> None:
    """The one that is given has the disk locked; the other one is found all the same, and may be given too."""
    disk = tmp_path / "disk.img"
    copy_sparse(shared.x64, disk, target_offset=1 << 20)
    copy_sparse(shared.x86, disk, target_offset=32 << 20)
    sectors = (24 << 20) // 512
    table = f"label: dos\nstart=2048, size={sectors}, type=7\nstart=65536, size={sectors}, type=7\n"
    partition(disk, table)
    shared.x64.unlink()
    shared.x86.unlink()
    drop = ("prune", shared.wim, "--keep-last", 1, "--yes")
    run = refused("users-not-given", 4, *drop, "--target", f"{disk}#1", watching=(shared.wim, disk))
    assert f"were not given: {disk}#2\n" in run.err
    told = done(*drop, "--target", f"{disk}#2", "--target", f"{disk}#1", "--json").json
    assert [(volume["where"], volume["image"]) for volume in told["volumes"]] == [(f"{disk}#2", 2), (f"{disk}#1", 1)]
    for offset in (1 << 20, 32 << 20):
        judges.sound_volume(disk, offset)
        assert judges.every_pointer_leads_home(disk, shared.wim, {}, offset) > 20


def test_users_of_a_wim_inside_a_volume_are_found(shared: Shared, tmp_path: Path) -> None:
    """Beside the disk that holds it; that disk is locked by the run itself, and is no reason to refuse."""
    data = tmp_path / "data.img"
    build.make_volume(data, size=16 << 20)
    with mounted(data, write=True) as root:
        (root / "store.wim").write_bytes(shared.wim.read_bytes())
    shared.wim.unlink()
    drop = ("prune", f"{data}:/store.wim", "--keep-last", 1, "--yes")
    run = refused("users-not-given", 4, *drop, "--target", shared.x86, watching=(data, shared.x64, shared.x86))
    assert f"were not given: {shared.x64}\n" in run.err
    done(*drop, *shared.targets)
    judges.sound_volume(data)
    with mounted(data) as root:
        shared.wim.write_bytes((root / "store.wim").read_bytes())
    judges.sound_wim(shared.wim)
    for volume in (shared.x64, shared.x86):
        assert judges.every_pointer_leads_home(volume, shared.wim, {}) > 20


def test_images_in_use_are_held_or_refused(shared: Shared) -> None:
    """A rule keeps what a volume stands on; by name it is refused, where data would go for good, else unless forced."""
    done("restore", shared.x64, "--image", "x64-1")
    told = done("prune", shared.wim, "--keep-last", 1, *shared.targets, "--yes", "--json").json
    assert _names(shared.wim) == ["x64-1", "x64-3", "x86-2"]
    assert [image["index"] for image in told["images"] if image["held"]] == [1]
    run = refused("data-in-use", 4, "prune", shared.wim, "--drop", "x64-1", *shared.targets, "--yes",
                  watching=shared.all)
    assert "kernel32.dll" in run.err
    assert "Keep image 1 (x64-1)" in run.err
    _sound(shared)


def test_what_is_to_be_kept_is_the_image_with_the_data(shared: Shared) -> None:
    """Not the one that the volume stands on, which stays anyway: a restore may leave newer files where they are."""
    done("restore", shared.x64, "--image", "x64-1", "--keep", "\\Windows\\x64-2.txt")
    run = refused("data-in-use", 4, "prune", shared.wim, "--drop", "x64-2", "--drop", "x64-3", *shared.targets, "--yes",
                  watching=shared.all)
    assert "x64-2.txt" in run.err
    assert "Keep image 4 (x64-3), which has it" in run.err


def test_a_volume_whose_data_all_stays_can_be_forced_onto_another_image(shared: Shared) -> None:
    """Without --force it is refused, saying onto which."""
    done("capture", shared.x64, "--wim", shared.wim, "--name", "again")
    done("relocate", shared.x64, "--wim", shared.wim, "--as", "later")
    done("relocate", shared.x86, "--wim", shared.wim, "--as", "later")
    drop = ("prune", shared.wim, "--drop", "x64-3", *shared.targets, "--yes")
    run = refused("image-in-use", 4, *drop, watching=shared.all)
    assert "6 (again)" in run.err
    done(*drop, "--force")
    assert _standing_on(shared.x64) == 5
    _sound(shared)


@pytest.mark.parametrize(("error", "code", "arguments"), [
    ("no-image", 2, ["--drop", "nobody"]),
    ("prune-choice", 2, []),
    ("prune-choice", 2, ["--drop", "1", "--keep", "2"]),
    ("none-would-stay", 2, ["--drop", "1", "--drop", "2", "--drop", "3", "--drop", "4", "--drop", "5"]),
    ("usage", 2, ["--older-than", "90 days"]),
])
def test_impossible_wishes(error: str, code: int, arguments: list[str], shared: Shared) -> None:
    """Each has its message, and changes nothing."""
    with unchanged(*shared.all):
        run = wimboot("prune", shared.wim, *arguments, *shared.targets, "--yes", "--json")
        assert (run.json["error"]["id"], run.code) == (error, code)


def test_volumes_of_another_wim_are_refused(shared: Shared, tmp_path: Path) -> None:
    """A target has to stand on this WIM; the same one twice is a mistake; so is a WIM that is not there."""
    plain = tmp_path / "plain" / "plain.img"
    plain.parent.mkdir()
    build.make_volume(plain, size=8 << 20)
    refused("not-wimboot", 4, "prune", shared.wim, "--keep-last", 1, *shared.targets, "--target", plain, "--yes",
            watching=shared.all)
    refused("same-volume", 2, "prune", shared.wim, "--keep-last", 1, *shared.targets, "--target", shared.x64, "--yes",
            watching=shared.all)
    refused("wim-missing", 2, "prune", tmp_path / "no.wim", "--keep-last", 1, "--yes", watching=shared.all)


def test_damage_in_what_stays_is_refused_and_named(shared: Shared) -> None:
    """The old WIM is not given up for one with damage in it; without the images that need the data it goes."""
    with open_store(shared.wim) as store:
        tree = store.load_tree(3)
        stream = tree.stream(tree.data_stream(tree.find("\\Windows\\x64-2.txt")))
        blob = store.blob(stream.hash)
    assert blob is not None
    with shared.wim.open("r+b") as file:
        os.pwrite(file.fileno(), bytes(100), blob.offset + blob.size_in_wim - 200)
    run = refused("kept-data-damaged", 1, "prune", shared.wim, "--drop", 2, *shared.targets, "--yes",
                  watching=shared.all)
    assert stream.hash.hex() in run.err
    assert "\\Windows\\x64-2.txt in image 3" in run.err
    done("update", shared.x64, "--target", shared.x86)
    with mounted(shared.x64, write=True) as root:
        rewrite(root / "Windows/x64-2.txt", b"another" * 3000)
    done("update", shared.x64, "--target", shared.x86, "--name", "x64-4")
    done("prune", shared.wim, "--keep", "x64-4", "--keep", "x86-2", *shared.targets, "--yes")
    _sound(shared)


def test_too_little_room_is_said_before_anything_is_written(shared: Shared) -> None:
    """The new WIM lies beside the old one for a while."""
    class Full(HostFolder):
        """A disk with ten kilobytes left; where the volumes' logs go there is room."""

        def free_size(self) -> int:
            return 10_000 if self.path == shared.wim.parent else 1 << 30

    target = TargetOptions(place="", folders=Full)
    with unchanged(*shared.all), pytest.raises(NotEnoughSpace, match="10 KB are free"):
        prune_module.prune(PruneOptions(target=target, wim=shared.wim, drop=("1",), targets=(), force=True), silent)


def test_a_wim_without_volumes_is_pruned(tmp_path: Path) -> None:
    """One of wimlib's making, with an integrity table, that nobody stands on."""
    source, wim = tmp_path / "files", tmp_path / "plain.wim"
    source.mkdir()
    for name in ("one", "two"):
        (source / "file.txt").write_bytes(name.encode() * 9000)
        assert wimlib("append" if wim.exists() else "capture", source, wim, name, "--check").returncode == 0
    done("prune", wim, "--keep", "two", "--yes")
    judges.sound_wim(wim)
    assert _names(wim) == ["two"]
    solid = tmp_path / "solid.wim"
    assert wimlib("capture", source, solid, "--solid").returncode == 0
    refused("wim-not-rewritable", 4, "prune", solid, "--keep", 1, "--yes", watching=(solid,))


@pytest.fixture(autouse=True)
def nothing_attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Volumes that other tests mount or attach at this moment are no users."""
    host = Host(proc=tmp_path / "proc", sys=tmp_path / "sys")
    monkeypatch.setattr(prune_module, "users_of", partial(users_of, host=host))


@pytest.fixture(autouse=True)
def no_leftovers(tmp_path: Path) -> Iterator[None]:
    """No log, record or temporary file is left, whatever a test did."""
    yield
    assert not [path.name for path in tmp_path.rglob("*.wimboot-*")]
