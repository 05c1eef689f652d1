"""A WIM inside a volume that is not mounted: the one that it backs, another of the same disk, one on another disk."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import build
from converted import LOST_BITS, OVERLAY_FILES
from data_disks import attached_disk
from judges import every_pointer_leads_home, sound_volume, sound_wim
from mounting import carve, copy_sparse, mounted
from running import NO_PLACE, done, refused, unchanged
from snapshots import SYSTEM_HIVE, Snapshot, differences, seen_through, snapshot
from two_partitions import FIRST_START, two_partitions
from wim_places import WIM, Place, convert_into, place_in_the_same
from wimboot.disk import Transaction
from wimboot.events import Counter


def _system(place: Place) -> Snapshot:
    found = snapshot(*place.system)
    return {name: facts for name, facts in found.items() if not name.startswith("WIMBOOT")}


def _looks_like(before: Snapshot, place: Place) -> None:
    after = seen_through(_system(place))
    assert not differences(seen_through(before), after, attribute_mask=LOST_BITS, without=OVERLAY_FILES)


def test_conversion_and_its_checks(place: Place, tmp_path: Path) -> None:
    """A system is converted into such a WIM: others find volumes and WIM sound, and every pointer leads home."""
    before = _system(place)
    convert_into(place)
    assert sorted(path for path in tmp_path.iterdir() if path.is_file()) == place.files
    for image, offset in {place.system, place.home}:
        sound_volume(image, offset)
    with place.wim_file() as wim:
        sound_wim(wim)
        assert every_pointer_leads_home(*place.system[:1], wim, {}, place.system[1]) > 20
        assert b"WIMBOOT" not in subprocess.run(["wimlib-imagex", "dir", wim, "1"], capture_output=True,
                                                check=True).stdout
    _looks_like(before, place)
    told = done("verify", place.target, "--wim", place.wim, "--json").json
    assert told["pointers"] > 20


def test_place_follows_from_the_disks_table(place: Place) -> None:
    """What is registered for Windows is the partition that the WIM lies in."""
    convert_into(place)
    (source,) = done("info", place.target, "--json").json["volume"]["sources"]
    assert str(source["place"]).casefold() == place.registered.casefold()


def test_all_that_follows_a_conversion(two_places: Place) -> None:
    """Capture, relocate, update, restore, prune work on such a WIM, and each leaves everything sound."""
    place = two_places
    before = _system(place)
    convert_into(place)
    done("capture", place.target, "--wim", place.wim, "--name", "second")
    done("relocate", place.target, "--wim", place.wim)
    done("verify", place.target, "--wim", place.wim)
    assert [image["name"] for image in done("images", place.wim, "--json").json["images"]] == ["first", "second"]
    if not place.system[1]:
        with mounted(place.system[0], write=True) as root:
            (root / "Windows/added.dll").write_bytes(b"a new file " * 5000)
            (root / "Windows/Fonts/segoeui.ttf").unlink()
        done("update", place.target, "--wim", place.wim, "--name", "third")
        done("verify", place.target, "--wim", place.wim)
    done("restore", place.target, "--wim", place.wim, "--image", "first", "--driver", "none")
    done("verify", place.target, "--wim", place.wim)
    done("prune", place.wim, "--keep", "first", "--target", place.target, "--yes")
    assert [image["name"] for image in done("images", place.wim, "--json").json["images"]] == ["first"]
    done("verify", place.target, "--wim", place.wim)
    for image, offset in {place.system, place.home}:
        sound_volume(image, offset)
    with place.wim_file() as wim:
        sound_wim(wim)
    _looks_like(before, place)


def test_the_wim_is_left_out_and_left_alone(pristine_small: Path, tmp_path: Path) -> None:
    """In a folder that no list excludes, too: it is not captured, not pointed and not removed."""
    disk = tmp_path / "own.img"
    copy_sparse(pristine_small, disk)
    wim = f"{disk}:/Store of systems/deep/all.wim"
    done("convert", disk, "--wim", wim, "--name", "first", *NO_PLACE)
    with mounted(disk, write=True) as root:
        (root / "Store of systems/notes.txt").write_bytes(b"what the user keeps beside it " * 100)
    done("update", disk, "--wim", wim, "--name", "second")
    listed = [_listing(disk, "Store of systems/deep/all.wim", number) for number in (1, 2)]
    assert "Store of systems" not in listed[0]
    assert "notes.txt" in listed[1]
    assert not re.search(r"all\.wim|\\deep|/deep", listed[1])
    done("restore", disk, "--wim", wim, "--image", "first", "--driver", "none")
    with mounted(disk) as root:
        assert sorted(path.name for path in (root / "Store of systems").iterdir()) == ["deep"]
        sound_wim(root / "Store of systems/deep/all.wim")
    sound_volume(disk)


def test_explain_says_that_it_is_the_wim(pristine_small: Path, data_volume: Path, tmp_path: Path) -> None:
    """Why it is real is that it backs the volume, whatever other list names it."""
    disk = tmp_path / "disk.img"
    two_partitions(disk, data_volume, pristine_small)
    done("convert", f"{disk}#2", "--wim", f"{disk}#2:/Store/all.wim", "--name", "first", "--driver", "none")
    told = done("explain", f"{disk}#2", "\\store\\ALL.wim", "--json").json
    assert told["reason"] == "excluded"
    assert "backs this volume" in str(told["rule"])


def _listing(disk: Path, inside: str, number: int) -> str:
    with mounted(disk) as root:
        said = subprocess.run(["wimlib-imagex", "dir", root / inside, str(number)], capture_output=True, check=True)
    return said.stdout.decode(errors="replace")


@pytest.mark.parametrize("beside", [False, True], ids=["very volume", "other partition"])
def test_an_image_is_deployed_from_a_wim_on_the_same_disk(
    beside: bool, pristine_small: Path, data_volume: Path, tmp_path: Path
) -> None:
    """A volume that holds nothing but the WIM counts as empty, and so does one beside it."""
    store = tmp_path / "store.wim"
    done("capture", pristine_small, "--wim", store, "--name", "first")
    home = tmp_path / "home.img"
    copy_sparse(data_volume, home)
    with mounted(home, write=True) as root:
        (root / "Images").mkdir()
        (root / "Images/store.wim").write_bytes(store.read_bytes())
    empty = tmp_path / "empty.img"
    build.make_volume(empty, size=24 << 20)
    disk = tmp_path / "disk.img"
    second = two_partitions(disk, home, empty)
    start = second if beside else FIRST_START
    wim = f"{disk}#1:/images/STORE.wim"
    done("apply", wim, "first", f"{disk}#{1 + beside}", "--driver", "none")
    done("verify", f"{disk}#{1 + beside}", "--wim", wim)
    sound_volume(disk, start)
    after = {name: facts for name, facts in snapshot(disk, start).items() if not name.startswith("Images")}
    before = {name: facts for name, facts in snapshot(pristine_small).items()
              if name != "pagefile.sys" and not name.startswith("Windows/Temp/")}
    said = differences(seen_through(before), seen_through(after), attribute_mask=LOST_BITS,
                       without=(*OVERLAY_FILES, "System Volume Information", SYSTEM_HIVE))  # it knows its new C:
    assert not said


@pytest.mark.heavy
def test_two_systems_share_the_wim_in_one_of_them(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Each is updated beside the other, images are dropped, lost data comes back: both are sound after each step."""
    first, second, copy = tmp_path / "first.img", tmp_path / "second.img", tmp_path / "copy.wim"
    copy_sparse(built_system(size=24 << 20, files=12, features=(), seed=3).path, first)
    copy_sparse(built_system(size=24 << 20, files=12, features=(), seed=4).path, second)
    wim = f"{first}:/{WIM}"

    def sound() -> None:
        for volume in (first, second):
            done("verify", volume, "--wim", wim)
            sound_volume(volume)
        with mounted(first) as root:
            sound_wim(root / WIM)
            assert [path.name for path in (root / WIM).parent.iterdir()] == ["store.wim"]

    done("convert", first, "--wim", wim, "--name", "first", *NO_PLACE)
    done("convert", second, "--wim", wim, "--name", "second", *NO_PLACE)
    done("relocate", first, "--wim", wim)
    sound()
    for volume, other, name in ((second, first, "third"), (first, second, "fourth")):
        with mounted(volume, write=True) as root:
            (root / "Windows/added.txt").write_bytes(name.encode() * 3000)
        done("update", volume, "--wim", wim, "--target", other, "--name", name)
        sound()
    done("prune", wim, "--drop", "first", "--drop", "second", "--target", first, "--target", second, "--yes")
    sound()
    done("sync", wim, copy)
    with mounted(first, write=True) as root, (root / WIM).open("r+b") as file:
        file.seek(300_000)
        file.write(b"\xff" * 2000)
    done("verify", first, "--wim", wim, "--repair", "--spare", copy)
    done("verify", second, "--wim", wim, "--repair")
    sound()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.wim", "first.img", "second.img"]


def test_dry_runs_leave_every_disk_alone(two_places: Place) -> None:
    """A preview opens such a WIM only to read it."""
    place = two_places
    with unchanged(*place.files):
        done("convert", place.target, "--wim", place.wim, *place.place, "--dry-run")
    convert_into(place)
    with unchanged(*place.files):
        done("restore", place.target, "--wim", place.wim, "--dry-run", "--driver", "none")
        done("verify", place.target, "--wim", place.wim)
        done("images", place.wim)


def test_new_data_does_not_go_through_the_log(pristine_small: Path, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """The WIM's bytes go straight to free clusters, also in the volume that is converted: the log stays small."""
    seen: list[tuple[int, int]] = []
    commit = Transaction.commit

    def spy(self: Transaction, counter: Counter | None = None) -> None:
        seen.append((self.logged_bytes, self.straight_bytes))
        commit(self, counter)

    monkeypatch.setattr(Transaction, "commit", spy)
    place = place_in_the_same(tmp_path, pristine_small)
    convert_into(place)
    with place.wim_file() as wim:
        size = wim.stat().st_size
    ((logged, straight),) = seen
    assert straight >= size * 9 // 10
    assert logged < size


def test_a_new_wim_can_be_read_by_windows_itself(place: Place) -> None:
    """Administrators and the system may read and write what was made, and its size and folders are as they should."""
    convert_into(place)
    with place.wim_file() as wim:
        assert sorted(path.name for path in wim.parent.iterdir()) == ["store.wim"]
        assert wim.read_bytes()[:5] == b"MSWIM"
        assert wim.stat().st_blocks * 512 - wim.stat().st_size < 4096


def test_an_export_goes_into_such_a_wim(pristine_small: Path, data_volume: Path, tmp_path: Path) -> None:
    """`apply --export` makes its store inside the volume that is then filled from it."""
    lzx = tmp_path / "solid.wim"
    done("capture", pristine_small, "--wim", tmp_path / "plain.wim", "--name", "first")
    subprocess.run(["wimlib-imagex", "export", tmp_path / "plain.wim", "1", lzx, "--solid"], check=True,
                   capture_output=True)
    disk = tmp_path / "disk.img"
    two_partitions(disk, data_volume, data_volume)
    store = f"{disk}#1:/store.wim"
    done("apply", lzx, "first", f"{disk}#1", "--export", store, "--driver", "none")
    done("verify", f"{disk}#1", "--wim", store)
    carved = carve(disk, FIRST_START, tmp_path / "volume.img")
    sound_volume(carved)
    with mounted(carved) as root:
        sound_wim(root / "store.wim")


def test_a_wim_on_another_device(pristine_small: Path, data_volume: Path, tmp_path: Path, durable: Path) -> None:
    """Two devices, both logs in the folder that was named; nothing stays there."""
    system, home = tmp_path / "system.img", tmp_path / "home.img"
    copy_sparse(pristine_small, system)
    copy_sparse(data_volume, home)
    with attached_disk(system) as target, attached_disk(home) as store:
        refused("log-folder", 2, "convert", target, "--wim", f"{store}:/{WIM}", *NO_PLACE)
        done("convert", target, "--wim", f"{store}:/{WIM}", *NO_PLACE, "--log", durable)
        done("verify", target, "--wim", f"{store}:/{WIM}")
    assert not list(durable.iterdir())
    for image in (system, home):
        sound_volume(image)


def test_the_list_beside_the_wim_counts_there_too(pristine_small: Path, data_volume: Path, tmp_path: Path) -> None:
    """A WimBootCompress.ini in the folder of the WIM, inside the volume, decides what is captured."""
    home = tmp_path / "home.img"
    copy_sparse(data_volume, home)
    with mounted(home, write=True) as root:
        (root / "WIMBOOT").mkdir()
        (root / "WIMBOOT/WimBootCompress.ini").write_text("[ExclusionList]\n\\Windows\\Fonts\n")
    done("capture", pristine_small, "--wim", f"{home}:/{WIM}", "--name", "first")
    with mounted(home) as root:
        listed = subprocess.run(["wimlib-imagex", "dir", root / WIM, "1"], capture_output=True, check=True).stdout
    assert b"explorer.exe" in listed
    assert b"Windows/Fonts" not in listed
