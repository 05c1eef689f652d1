"""A WIM inside a volume that is not mounted: the one that it backs, another of the same disk, one on another disk."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import build
from converted import LOST_BITS, OVERLAY_FILES
from judges import every_pointer_leads_home, sound_volume, sound_wim
from mounting import carve, copy_sparse, mounted
from running import NO_PLACE, done, refused, unchanged, wimboot
from snapshots import Snapshot, differences, seen_through, snapshot
from two_partitions import FIRST_START, SECOND_GUID, two_partitions
from wimboot.disk import Transaction
from wimboot.events import Counter
from wimboot.ntfs import Volume, volume_facts
from wimboot.ntfs.volume import ROOT
from wimboot.storage import FileDevice, HostFile
from wimboot.windows.security import SYSTEM_ONLY

WIM = "WIMBOOT/store.wim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A target and a WIM in a volume. `system` and `home` are files and bytes at which the two volumes begin."""

    target: str
    wim: str
    system: tuple[Path, int]
    home: tuple[Path, int]
    place: tuple[str, ...]
    registered: str

    @property
    def files(self) -> list[Path]:
        """The disk images."""
        return sorted({self.system[0], self.home[0]})

    @contextmanager
    def wim_file(self) -> Iterator[Path]:
        """The WIM as the ntfs-3g driver shows it."""
        with mounted(self.home[0], offset=self.home[1]) as root:
            yield root / WIM


Making = Callable[[Path, Path, Path], Place]


def _same(folder: Path, volume: Path, _: Path) -> Place:
    disk = folder / "own.img"
    copy_sparse(volume, disk)
    return Place(target=str(disk), wim=f"{disk}:/{WIM}", system=(disk, 0), home=(disk, 0), place=NO_PLACE,
                 registered="later")


def _same_on_a_disk(folder: Path, volume: Path, data: Path) -> Place:
    disk = folder / "disk.img"
    second = two_partitions(disk, data, volume, "gpt")
    return Place(target=f"{disk}#2", wim=f"{disk}#2:/{WIM}", system=(disk, second), home=(disk, second),
                 place=("--driver", "none"), registered=f"gpt:{build.DISK_GUID}:{SECOND_GUID}:\\WIMBOOT\\store.wim")


def _sibling(folder: Path, volume: Path, data: Path) -> Place:
    disk = folder / "disk.img"
    second = two_partitions(disk, data, volume)
    return Place(target=f"{disk}#2", wim=f"{disk}#1:/{WIM}", system=(disk, second), home=(disk, FIRST_START),
                 place=("--driver", "none"),
                 registered=f"mbr:{build.DISK_SIGNATURE:08x}:{FIRST_START}:\\WIMBOOT\\store.wim")


def _other(folder: Path, volume: Path, data: Path) -> Place:
    disk, store = folder / "system.img", folder / "data.img"
    copy_sparse(volume, disk)
    copy_sparse(data, store)
    return Place(target=str(disk), wim=f"{store}:/{WIM}", system=(disk, 0), home=(store, 0), place=NO_PLACE,
                 registered="later")


MAKINGS = {"same": _same, "same-on-a-disk": _same_on_a_disk, "sibling": _sibling, "other": _other}


@pytest.fixture(scope="session")
def data_volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty volume; for reading only."""
    path = tmp_path_factory.mktemp("data") / "data.img"
    build.make_volume(path, size=24 << 20, label="Data")
    return path


@pytest.fixture(params=[
    "same", "other", *(pytest.param(name, marks=pytest.mark.heavy) for name in ("same-on-a-disk", "sibling"))])
def two_places(request: pytest.FixtureRequest, tmp_path: Path, pristine_small: Path, data_volume: Path) -> Place:
    """The places that differ most, for what takes long; the others where there is time."""
    return MAKINGS[request.param](tmp_path, pristine_small, data_volume)


@pytest.fixture(params=MAKINGS)
def place(request: pytest.FixtureRequest, tmp_path: Path, pristine_small: Path, data_volume: Path) -> Place:
    """Each of the places in turn, with a system that is not converted yet."""
    return MAKINGS[request.param](tmp_path, pristine_small, data_volume)


def _convert(place: Place) -> None:
    done("convert", place.target, "--wim", place.wim, "--name", "first", *place.place)


def _system(place: Place) -> Snapshot:
    found = snapshot(*place.system)
    return {name: facts for name, facts in found.items() if not name.startswith("WIMBOOT")}


def _looks_like(before: Snapshot, place: Place) -> None:
    after = seen_through(_system(place))
    assert not differences(seen_through(before), after, attribute_mask=LOST_BITS, without=OVERLAY_FILES)


def test_conversion_and_its_checks(place: Place, tmp_path: Path) -> None:
    """A system is converted into such a WIM: others find volumes and WIM sound, and every pointer leads home."""
    before = _system(place)
    _convert(place)
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
    _convert(place)
    (source,) = done("info", place.target, "--json").json["volume"]["sources"]
    assert str(source["place"]).casefold() == place.registered.casefold()


def test_a_volume_without_a_disk_has_no_place(pristine_small: Path, tmp_path: Path) -> None:
    """Where no partition table tells it, the user has to say where Windows will find the WIM."""
    place = _same(tmp_path, pristine_small, pristine_small)
    refused("place-unknown", 4, "convert", place.target, "--wim", place.wim, "--driver", "none",
            watching=tuple(place.files))


def test_all_that_follows_a_conversion(two_places: Place) -> None:
    """Capture, relocate, update, restore, prune work on such a WIM, and each leaves everything sound."""
    place = two_places
    before = _system(place)
    _convert(place)
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
                       without=(*OVERLAY_FILES, "System Volume Information"))
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


def test_formatting_over_the_wim_is_refused(pristine_small: Path, tmp_path: Path) -> None:
    """A rebuild would destroy the WIM before it could be read."""
    place = _same(tmp_path, pristine_small, pristine_small)
    _convert(place)
    for verb in (("convert", place.target, "--wim", place.wim, "--name", "x", *NO_PLACE),
                 ("restore", place.target, "--wim", place.wim, "--driver", "none"),
                 ("apply", place.wim, "first", place.target, *NO_PLACE)):
        refused("wim-on-volume", 4, *verb, "--format", "--yes", watching=tuple(place.files))


def test_an_image_that_would_replace_the_wim_is_refused(pristine_small: Path, tmp_path: Path) -> None:
    """Where the image has a file at the path of the WIM in use, nothing is changed."""
    place = _same(tmp_path, pristine_small, pristine_small)
    with mounted(place.system[0], write=True) as root:
        (root / "data").mkdir()
        (root / "data/store.wim").write_bytes(b"another file of that name " * 200)
    store = tmp_path / "outside.wim"
    done("capture", place.target, "--wim", store, "--name", "first")
    with mounted(place.system[0], write=True) as root:
        (root / "data/store.wim").write_bytes(store.read_bytes())
    refused("wim-in-the-way", 4, "restore", place.target, "--wim", f"{place.target}:/data/store.wim", "--image",
            "first", *NO_PLACE, watching=tuple(place.files))


def test_dry_runs_leave_every_disk_alone(two_places: Place) -> None:
    """A preview opens such a WIM only to read it."""
    place = two_places
    with unchanged(*place.files):
        done("convert", place.target, "--wim", place.wim, *place.place, "--dry-run")
    _convert(place)
    with unchanged(*place.files):
        done("restore", place.target, "--wim", place.wim, "--dry-run", "--driver", "none")
        done("verify", place.target, "--wim", place.wim)
        done("images", place.wim)


@pytest.mark.parametrize(("inside", "error", "code"), [
    ("../store.wim", "bad-inside-path", 2),
    ("a/../../store.wim", "bad-inside-path", 2),
    ("what?.wim", "bad-inside-path", 2),
    ("", "bad-inside-path", 2),
    ("Windows", "not-a-file", 4),
    ("Windows/explorer.exe/store.wim", "not-a-folder", 4),
    ("Features/junctions/to Windows/store.wim", "link-on-the-way", 4),
    ("Windows/explorer.exe", "not-a-wim", 1),
])
def test_places_that_hold_no_wim_are_refused(
    inside: str, error: str, code: int, pristine_small: Path, tmp_path: Path
) -> None:
    """Paths that leave the volume, folders, links, other files: each refused by name, nothing changed."""
    disk = tmp_path / "own.img"
    copy_sparse(pristine_small, disk)
    refused(error, code, "capture", disk, "--wim", f"{disk}:/{inside}", watching=(disk,))


def test_a_wim_that_is_missing_is_told(pristine_small: Path, data_volume: Path) -> None:
    """Reading makes no file and no folder."""
    for missing in (f"{data_volume}:/WIMBOOT/no.wim", f"{data_volume}:/no.wim"):
        refused("wim-missing", 2, "images", missing, watching=(data_volume,))
        refused("wim-missing", 2, "verify", pristine_small, "--wim", missing, watching=(data_volume,))
    refused("no-target", 2, "images", f"{data_volume.parent}/none.img#1:/a.wim")
    refused("no-partition", 4, "images", f"{data_volume}#3:/a.wim")


@pytest.mark.parametrize("kind", ["compressed", "sparse", "encrypted", "pointer"])
def test_a_wim_that_does_not_lie_plainly_is_refused(kind: str, data_volume: Path, pristine_small: Path,
                                                    tmp_path: Path) -> None:
    """NTFS-compressed, sparse, encrypted, or a pointer itself: never read or written as what it is not."""
    home, store = tmp_path / "home.img", tmp_path / "store.wim"
    done("capture", pristine_small, "--wim", store, "--name", "first")
    copy_sparse(data_volume, home)
    _put_unplain(home, store.read_bytes(), kind)
    for verb in (("images", f"{home}:/store.wim"), ("capture", pristine_small, "--wim", f"{home}:/store.wim")):
        refused("not-plain", 1, *verb, watching=(home, store))


def _put_unplain(home: Path, data: bytes, kind: str) -> None:
    file = HostFile.open(home, write=True)
    with Volume(FileDevice(file), write=True, where="home") as volume:
        made = volume.create_file(ROOT, "store.wim".encode("utf-16-le"), b"", 0x20, (0, 0, 0),
                                  volume.security_id(SYSTEM_ONLY))
        padded = data + bytes(1 << 20)
        volume.write_data(made, b"", iter((padded,)), len(padded), sparse=kind == "sparse",
                          compressed=kind == "compressed")
        if kind == "pointer":
            volume.set_reparse(made, struct.pack("<IHH", 0x80000017, 88, 0) + bytes(88))
    file.close()
    if kind == "encrypted":
        _encrypt(home)


def _encrypt(home: Path) -> None:
    with mounted(home, write=True) as root:
        path = root / "store.wim"
        path.write_bytes(bytes(4096) + b"\0\0")     # the raw form ends with the count of padding bytes
        os.setxattr(path, "system.ntfs_efsinfo", struct.pack("<I", 400) + bytes(396))


def test_a_volume_that_may_not_be_changed_is_refused(pristine_small: Path, data_volume: Path, tmp_path: Path) -> None:
    """What holds for a target holds for the volume of its WIM: mounted, dirty."""
    home = tmp_path / "home.img"
    copy_sparse(data_volume, home)
    command = ("capture", pristine_small, "--wim", f"{home}:/store.wim", "--name", "first")
    with mounted(home, write=True):
        refused("mounted", 4, *command)
    subprocess.run(["ntfsfix", "-n", str(home)], check=False, capture_output=True)
    _mark_dirty(home)
    refused("volume-dirty", 4, *command, watching=(home,))


def _mark_dirty(volume: Path) -> None:
    file = HostFile.open(volume, write=True)
    for offset in volume_facts(FileDevice(file)).flags_offsets:
        file.pwrite(offset, b"\x01\x00")
    file.close()


def test_a_full_volume_is_told_beforehand_or_left_as_it_was(pristine_small: Path, tmp_path: Path) -> None:
    """A WIM for which the volume has no room fails, and volume and target are as they were."""
    home = tmp_path / "tiny.img"
    build.make_volume(home, size=5 << 20)
    with mounted(home, write=True) as root:
        (root / "filling.bin").write_bytes(b"x" * (1800 << 10))
    target = tmp_path / "system.img"
    copy_sparse(pristine_small, target)
    with unchanged(home, target, times=False):
        run = wimboot("convert", target, "--wim", f"{home}:/store.wim", *NO_PLACE, "--json")
    assert run.code in (1, 4)
    assert run.json["error"]["id"] in {"volume-full", "not-enough-space"}


def test_new_data_does_not_go_through_the_log(pristine_small: Path, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """The WIM's bytes go straight to free clusters, also in the volume that is converted: the log stays small."""
    seen: list[tuple[int, int]] = []
    commit = Transaction.commit

    def spy(self: Transaction, counter: Counter | None = None) -> None:
        seen.append((self.logged_bytes, self.straight_bytes))
        commit(self, counter)

    monkeypatch.setattr(Transaction, "commit", spy)
    place = _same(tmp_path, pristine_small, pristine_small)
    _convert(place)
    with place.wim_file() as wim:
        size = wim.stat().st_size
    ((logged, straight),) = seen
    assert straight >= size * 9 // 10
    assert logged < size


def test_a_new_wim_can_be_read_by_windows_itself(place: Place) -> None:
    """Administrators and the system may read and write what was made, and its size and folders are as they should."""
    _convert(place)
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


def test_a_wim_on_another_device(pristine_small: Path, data_volume: Path, tmp_path: Path) -> None:
    """Two devices, both logs in the folder that was named; nothing stays there."""
    system, home, logs = tmp_path / "system.img", tmp_path / "home.img", tmp_path / "logs"
    copy_sparse(pristine_small, system)
    copy_sparse(data_volume, home)
    logs.mkdir()
    with _attached(system) as target, _attached(home) as store:
        refused("log-folder", 2, "convert", target, "--wim", f"{store}:/{WIM}", *NO_PLACE)
        done("convert", target, "--wim", f"{store}:/{WIM}", *NO_PLACE, "--log", logs)
        done("verify", target, "--wim", f"{store}:/{WIM}")
    assert not list(logs.iterdir())
    for image in (system, home):
        sound_volume(image)


@contextmanager
def _attached(image: Path) -> Iterator[Path]:
    made = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"there are no loop devices here: {made.stderr.strip()}")
    try:
        yield Path(made.stdout.strip())
    finally:
        subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


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
