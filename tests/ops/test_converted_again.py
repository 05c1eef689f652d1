"""Volumes that are converted or captured a second time, and WIMs that hold several systems."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import build
from converted import LOST_BITS, OVERLAY_FILES, SMALL, Converted, unpacked
from driver_files import wofadk
from judges import apply_with_wimlib, every_pointer_leads_home, sound_volume, sound_wim
from mounting import copy_sparse, mounted
from running import NO_PLACE, done, refused, unchanged, wimboot
from snapshots import Snapshot, differences, pointer, seen_through, snapshot
from volume_edits import rewrite
from wim_bytes import read_wim

NOT_IN_IMAGE = ("pagefile.sys", "System Volume Information", "Windows/Temp/left over.tmp", "Features/encrypted")


def _blobs(wim: Path) -> set[bytes]:
    return {digest for digest, blob in read_wim(wim).blobs.items() if not blob.flags & 2}


def _contents(facts: Snapshot) -> dict[str, tuple[int, str]]:
    return {path: each.streams[""] for path, each in facts.items() if "" in each.streams}


def test_a_second_conversion_carries_pointers_forward(converted: Converted) -> None:
    """Nothing of theirs is read or stored again; only what changed is, and every pointer knows the new table."""
    with mounted(converted.volume, write=True) as root:
        rewrite(root / "Windows/explorer.exe", b"MZ" + b"a new explorer" * 2000)
    before = seen_through(snapshot(converted.volume))
    size = converted.wim.stat().st_size
    told = done("convert", converted.volume, "--wim", converted.wim, "--name", "second", *NO_PLACE, "--json").json
    assert told["image"]["index"] == 2
    assert told["pointed"] == 1
    assert converted.wim.stat().st_size - size < 60_000
    sound_wim(converted.wim)
    sound_volume(converted.volume)
    now = snapshot(converted.volume)
    assert not differences(before, seen_through(now), attribute_mask=LOST_BITS, without=OVERLAY_FILES)
    assert every_pointer_leads_home(converted.volume, converted.wim, {}) > 100
    done("verify", converted.volume, "--wim", converted.wim)


def test_what_is_converted_already_is_left_alone(converted: Converted, tmp_path: Path) -> None:
    """With nothing to point no image is added, and no other WIM is made; `--format` brings it into that."""
    again = ("convert", converted.volume, "--wim", converted.wim, *NO_PLACE)
    with unchanged(converted.volume, converted.wim):
        assert done(*again, "--dry-run", "--json").json["already_converted"] is True
        assert "nothing to do" in done(*again, "--dry-run").out
        assert done(*again, "--json").json["image"] is None
        assert "is converted already" in done(*again).out
        done(*again[:-2], "--driver", "none")
        told = done(*again[:4], "--wim-place", "mbr:5cbea03e:1048576:\\store.wim", "--driver", "none")
        assert "--as 'mbr:5cbea03e:1048576:\\store.wim'` registers it" in told.err     # a wish that was not fulfilled
    assert "registers it" not in done(*again).err
    other = tmp_path / "other.wim"
    for more in ((), ("--dry-run",)):
        refused("points-elsewhere", 4, "convert", converted.volume, "--wim", other, *NO_PLACE, *more,
                watching=(converted.volume, converted.wim, other))


def test_a_driver_named_later_is_installed(small_volume: Path, tmp_path: Path) -> None:
    """What the system lacks for pointers is reason enough to convert again."""
    wim = tmp_path / "store.wim"
    done("convert", small_volume, "--wim", wim, *NO_PLACE)
    again = ("convert", small_volume, "--wim", wim, "--wim-place", "later", "--driver", wofadk(tmp_path), "--json")
    assert done(*again).json["already_converted"] is False
    assert done(*again).json["already_converted"] is True
    assert done("info", small_volume, "--json").json["volume"]["windows"]["overlay_driver"] == "wofadk"


def test_what_is_captured_from_pointers_is_what_they_contain(converted: Converted, tmp_path: Path) -> None:
    """Wimlib deploys the second image: no file of zeros, no reparse data in the place of contents."""
    done("capture", converted.volume, "--wim", converted.wim, "--name", "second")
    apply_with_wimlib(converted.wim, 2, tmp_path / "wimlib.img", size=64 << 20)
    out = snapshot(tmp_path / "wimlib.img")
    compact = "Features/compact/compact.exe"
    assert not differences(converted.before, out, without=(*NOT_IN_IMAGE, compact, ""), attribute_mask=LOST_BITS,
                           ignore=("change_time", "record", "eas"))
    assert out[compact].streams[""][1] == hashlib.sha1(
        unpacked(converted.original, compact), usedforsecurity=False).hexdigest()


def test_an_image_of_pointers_keeps_what_pointers_cannot_carry(converted: Converted, tmp_path: Path) -> None:
    """Whether a file was sparse or compressed is taken from the image that the volume stands on."""
    done("capture", converted.volume, "--wim", converted.wim, "--name", "second")
    volume = tmp_path / "full.img"
    build.make_volume(volume, size=64 << 20)
    done("apply", converted.wim, "2", volume, "--full")
    found = snapshot(volume)
    for path, bit in (("Features/compressed/compressible.txt", 0x800), ("Features/sparse/holes.bin", 0x200)):
        assert found[path].attributes & bit, path


def test_capturing_pointers_into_another_wim_brings_their_contents(converted: Converted, tmp_path: Path) -> None:
    """The WIM beside the volume is followed; the new one stands for itself."""
    other = tmp_path / "other.wim"
    done("capture", converted.volume, "--wim", other)
    sound_wim(other)
    volume = tmp_path / "full.img"
    build.make_volume(volume, size=64 << 20)
    done("apply", other, "1", volume, "--full")
    was, now = _contents(seen_through(converted.after)), _contents(snapshot(volume))
    kept = {path for path in was if not path.startswith(NOT_IN_IMAGE)}
    assert {path: was[path] for path in kept} == {path: now[path] for path in kept}


def test_capturing_pointers_without_their_wim_fails_loudly(converted: Converted, tmp_path: Path) -> None:
    """It names a file and the blob, and leaves no WIM behind; never zeros."""
    away = tmp_path / "away"
    away.mkdir()
    converted.wim.rename(away / "store.wim")
    with mounted(converted.volume, write=True) as root:
        rewrite(root / "Windows/explorer.exe", b"MZ" + b"a new explorer" * 2000)
    with unchanged(converted.volume, tmp_path / "other.wim"):
        for verb, extra in (("capture", ()), ("convert", NO_PLACE)):
            told = refused("blob-missing", 1, verb, converted.volume, "--wim", tmp_path / "other.wim", *extra)
            assert "is a pointer to the blob" in told.err


def test_a_capture_says_when_it_leaves_pointers_behind(converted: Converted) -> None:
    """The volume was only read, so its pointers know the WIM's older table; verify says so, restore mends it."""
    told = done("capture", converted.volume, "--wim", converted.wim, "--name", "second")
    assert "may refuse" in told.err
    checked = wimboot("verify", converted.volume, "--wim", converted.wim, "--quick", "--json")
    assert checked.code == 3
    assert checked.json["behind"] is True
    done("restore", converted.volume, "--wim", converted.wim)
    done("verify", converted.volume, "--wim", converted.wim)
    assert every_pointer_leads_home(converted.volume, converted.wim, {}) > 100


def test_two_systems_share_what_they_have_in_common(
        converted: Converted, built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Windows 10 goes into the WIM of a Windows 7; blobs of both are stored once, and both volumes stay sound."""
    other = tmp_path / "ten.img"
    copy_sparse(built_system(size=24 << 20, files=40, features=SMALL, version="10.0").path, other)
    before = snapshot(other)
    alone = tmp_path / "alone.wim"
    done("capture", other, "--wim", alone)
    first, second = _blobs(converted.wim), _blobs(alone)
    done("convert", other, "--wim", converted.wim, "--wim-place", "later")
    sound_wim(converted.wim)
    assert len(first & second) > 5
    together = _blobs(converted.wim)
    assert len(together - first - second) == len((first | second) - together) == 1  # SYSTEM has its mark now
    assert not differences(before, seen_through(snapshot(other)), attribute_mask=LOST_BITS, without=OVERLAY_FILES)
    assert every_pointer_leads_home(other, converted.wim, {}) > 20
    done("verify", other, "--wim", converted.wim)
    images = done("images", converted.wim, "--json").json["images"]
    assert [image["version"] for image in images] == ["6.1.7601", "10.0.19045"]
    assert all(image["only_here_bytes"] > 0 for image in images)


def test_every_version_of_windows_is_converted(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """8.1 and 10 have their own driver and need no word about it; their names say which they are."""
    for version, product in (("6.3", "Windows 8.1 Pro"), ("10.0", "Windows 10 Pro")):
        volume, wim = tmp_path / f"{version}.img", tmp_path / f"{version}.wim"
        copy_sparse(built_system(size=24 << 20, files=12, features=SMALL, version=version).path, volume)
        before = snapshot(volume)
        told = done("convert", volume, "--wim", wim, "--wim-place", "later", "--json").json
        assert told["image"]["name"].startswith(f"Win_{version}_")
        assert not differences(before, seen_through(snapshot(volume)), attribute_mask=LOST_BITS, without=OVERLAY_FILES)
        sound_volume(volume)
        assert done("info", volume, "--json").json["volume"]["windows"]["product"] == product


def test_a_name_given_twice_in_a_minute_is_made_another(small_volume: Path, tmp_path: Path) -> None:
    """The default name has minutes; two captures at once still differ."""
    wim = tmp_path / "store.wim"
    names = [done("capture", small_volume, "--wim", wim, "--json").json["image"]["name"] for _ in range(3)]
    assert len(set(names)) == 3
    assert all(name.startswith("Win_6.1_") for name in names)


def test_a_compact_volume_is_captured_as_what_it_contains(converted_once: Converted, tmp_path: Path) -> None:
    """Compact OS files, told by an image that wimlib deploys."""
    wim = tmp_path / "store.wim"
    done("capture", converted_once.original, "--wim", wim)
    apply_with_wimlib(wim, 1, tmp_path / "out.img", size=64 << 20)
    facts = snapshot(tmp_path / "out.img")["Features/compact/compact.exe"]
    content = unpacked(converted_once.original, "Features/compact/compact.exe")
    assert facts.streams == {"": (len(content), hashlib.sha1(content, usedforsecurity=False).hexdigest())}
    assert not facts.reparse


def test_pointers_stay_pointers_of_the_wim_they_lead_into(converted: Converted, tmp_path: Path) -> None:
    """A conversion into a second WIM leaves them; both WIMs are registered, found and sound."""
    other = tmp_path / "other.wim"
    with mounted(converted.volume, write=True) as root:
        rewrite(root / "Windows/explorer.exe", b"MZ" + b"another explorer" * 2000)
    done("convert", converted.volume, "--wim", other, *NO_PLACE)
    sources = done("info", converted.volume, "--json").json["volume"]["sources"]
    assert [(source["id"], bool(source["pointers"]), source["wim"] is not None) for source in sources] == [
        (0, True, True), (1, True, True)]
    for wim in (converted.wim, other):      # naming one leaves the other to be found
        done("verify", converted.volume, "--wim", wim)
    assert pointer(snapshot(converted.volume)["Windows/explorer.exe"]) is not None
    done("verify", converted.volume)


def test_converting_again_keeps_the_registered_place(converted: Converted) -> None:
    """Where the WIM will lie was said once; the second conversion takes it from the volume."""
    with mounted(converted.volume, write=True) as root:
        rewrite(root / "Windows/explorer.exe", b"MZ" + b"a third explorer" * 2000)
    done("relocate", converted.volume, "--wim", converted.wim, "--as", "mbr:5cbea03e:1048576:\\wimboot\\store.wim")
    done("convert", converted.volume, "--wim", converted.wim, "--driver", "none")
    sources = wimboot("info", converted.volume, "--json").json["volume"]["sources"]
    assert [(source["id"], source["place"]) for source in sources] == [
        (0, "mbr:5cbea03e:1048576:\\wimboot\\store.wim")]
