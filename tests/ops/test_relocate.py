"""Telling a volume where its WIM is now: several data sources, the files of the table, VHDs, unmounted volumes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import build
from converted import Converted
from data_disks import MIB, attached_disk, data_disk, make_disk
from judges import every_pointer_leads_home, sound_volume
from mounting import copy_sparse, mounted
from overlay_forging import FOLDER, read_overlay, write_overlay
from repair_rig import KERNEL32, Pair, wimlib
from running import done, notes, refused, unchanged, wimboot
from wimboot.formats.overlaydat import MAX_SOURCES, Overlay
from wimboot.windows.wimplace import WimPlace

FIRST = "mbr:11223344:1048576:\\wimboot\\first.wim"
SECOND = "mbr:11223344:1048576:\\wimboot\\second.wim"
OUTER = f"mbr:{build.DISK_SIGNATURE:08x}:{MIB}:\\x64\\win7.vhd"


def sources(volume: Path | str) -> list[dict[str, Any]]:
    """The data sources as `info` tells them."""
    found = done("info", volume, "--json").json["volume"]["sources"]
    assert isinstance(found, list)
    return found


def overlay_of(volume: Path) -> Overlay:
    """The table as it lies on the volume, its backup being the same and nothing left over."""
    data = read_overlay(volume)
    assert data is not None
    assert data == read_overlay(volume, "WimOverlay.backup")
    assert read_overlay(volume, "WimOverlay.new") is None
    return Overlay.parse(data)


def forge_sources(volume: Path, count: int, *, guid: bytes | None = None) -> Overlay:
    """Add data sources that no pointer names, of the same WIM or another."""
    overlay = overlay_of(volume)
    while len(overlay.sources) < count:
        place = WimPlace.mbr(0x1000 + len(overlay.sources), MIB, "\\more.wim")
        overlay, _ = overlay.add(wim_guid=guid or overlay.sources[0].wim_guid, location=place.device, wim_index=1)
    write_overlay(volume, dat=overlay.pack(), backup=overlay.pack())
    return overlay


@pytest.fixture
def twice(converted: Converted) -> Converted:
    """A volume with pointers into one WIM under two ids: some files were restored after it had got another place."""
    done("relocate", converted.volume, "--wim", converted.wim, "--as", FIRST)
    with mounted(converted.volume, write=True) as root:
        (root / "Windows/explorer.exe").unlink()
    done("restore", converted.volume, "--wim", converted.wim, "--wim-place", SECOND)
    return converted


# -- which data source


def test_of_several_data_sources_one_is_named(twice: Converted) -> None:
    """Ids tell those of one WIM apart; a wrong id is refused with those that there are."""
    volume, wim = twice.volume, twice.wim
    used = [found["pointers"] for found in sources(volume)]
    assert len(used) == 2
    assert all(used)
    told = refused("several-sources", 2, "relocate", volume, "--wim", wim, "--as", OUTER, watching=(volume, wim))
    assert "--id" in told.err
    assert FIRST in told.err
    refused("no-data-source", 2, "relocate", volume, "--wim", wim, "--id", "7", watching=(volume, wim))
    done("relocate", volume, "--wim", wim, "--id", "1", "--as", FIRST.replace("first", "third"))
    places = [found["place"] for found in sources(volume)]
    assert places == [FIRST, FIRST.replace("first", "third")]
    assert [found["pointers"] for found in sources(volume)] == used
    done("verify", volume, "--wim", wim)
    sound_volume(volume)


def test_an_unused_data_source_is_not_in_the_way(converted: Converted) -> None:
    """The one that pointers name is meant; one of another WIM is not touched, and not taken for this one."""
    forge_sources(converted.volume, 3)
    overlay = forge_sources(converted.volume, 4, guid=bytes(range(16)))
    done("relocate", converted.volume, "--wim", converted.wim, "--as", FIRST)
    now = overlay_of(converted.volume)
    assert str(WimPlace.of_device(now.sources[0].location)) == FIRST
    assert now.sources[1:] == overlay.sources[1:]
    told = refused("other-wim", 4, "relocate", converted.volume, "--wim", converted.wim, "--id", "3", "--as", FIRST,
                   watching=(converted.volume,))
    assert "data source 3" in told.err


def test_a_full_table_takes_no_more_until_unused_ones_go(converted: Converted) -> None:
    """256 at most; what is given up is never handed out again, and the pointers keep their id."""
    volume, wim = converted.volume, converted.wim
    done("relocate", volume, "--wim", wim, "--as", FIRST)
    forge_sources(volume, MAX_SOURCES)
    told = refused("overlay-full", 4, "restore", volume, "--wim", wim, "--wim-place", SECOND, watching=(volume, wim))
    assert "--drop-unused" in told.err
    with unchanged(volume, wim):
        dry = done("relocate", volume, "--wim", wim, "--as", FIRST, "--drop-unused", "--dry-run", "--json").json
    assert dry["dropped"] == list(range(1, MAX_SOURCES))
    told = done("relocate", volume, "--wim", wim, "--as", FIRST, "--drop-unused")
    assert "1, 2, 3, 4, 5" in told.out
    assert [source.data_source_id for source in overlay_of(volume).sources] == [0]
    done("restore", volume, "--wim", wim, "--wim-place", SECOND)
    assert [source.data_source_id for source in overlay_of(volume).sources] == [0, MAX_SOURCES]
    assert every_pointer_leads_home(volume, wim, {}) > 100
    sound_volume(volume)


# -- the files of the table


@pytest.mark.parametrize(("left", "fate"), [("newer", "adopted"), ("junk", "removed")])
def test_what_an_interrupted_change_left_is_settled(left: str, fate: str, converted: Converted) -> None:
    """As the driver reads it: .new counts where there is no .dat, and nothing else."""
    volume, wim = converted.volume, converted.wim
    done("relocate", volume, "--wim", wim, "--as", FIRST)
    data = read_overlay(volume)
    if left == "newer":
        write_overlay(volume, new=data, dat=None)
    else:
        write_overlay(volume, new=b"WoCf, and then the power went")
    told = done("relocate", volume, "--wim", wim, "--as", SECOND, "--json").json
    assert (told["left_over"], told["before"], told["after"]) == (fate, FIRST, SECOND)
    assert str(WimPlace.of_device(overlay_of(volume).sources[0].location)) == SECOND
    done("verify", volume, "--wim", wim)
    sound_volume(volume)


def test_a_damaged_table_is_not_written_over(converted: Converted) -> None:
    """Which ids the pointers have is in it: mending is another verb."""
    write_overlay(converted.volume, dat=b"WoCf" + bytes(100))
    told = refused("overlay-damaged", 1, "relocate", converted.volume, "--wim", converted.wim, "--as", FIRST,
                   watching=(converted.volume, converted.wim))
    assert "backup" in told.err


# -- places


def test_a_place_in_a_vhd_is_written_as_windows_reads_it(converted: Converted) -> None:
    """The form with the container behind it, byte for byte; shown as it was given, and left again."""
    place = f"mbr:11223344:{MIB}:\\wim\\w.wim inside {OUTER}"
    done("relocate", converted.volume, "--wim", converted.wim, "--as", place)
    (source,) = overlay_of(converted.volume).sources
    raw = bytes.fromhex(
        "00000000 00000000 f2000000 00000000 05000000 01000000 de000000 05000000"
        "06000000 00000000 bc000000 00000000 00001000 00000000 00000000 00000000"
        "06000000 01000000 44332211 00000000 00000000 00000000"
        "00000000 00000000 84000000 00000000 05000000 01000000 70000000 05000000"
        "06000000 00000000 48000000 00000000 00001000 00000000 00000000 00000000"
        "00000000 01000000 3ea0be5c 00000000 00000000 00000000" + "00" * 16)
    raw += "\\x64\\win7.vhd\0\\wim\\w.wim\0".encode("utf-16-le")
    assert source.location.pack() == raw
    assert sources(converted.volume)[0]["place"] == place
    done("relocate", converted.volume, "--wim", converted.wim, "--as", FIRST)
    assert sources(converted.volume)[0]["place"] == FIRST


def test_a_wim_is_moved_into_an_unmounted_volume_and_out_again(converted: Converted, tmp_path: Path) -> None:
    """Its place comes from the partition table of the disk that it lies in."""
    def fill(root: Path) -> None:
        (root / "WIMs").mkdir()
        (root / "WIMs" / "store.wim").write_bytes(converted.wim.read_bytes())

    disk = make_disk(tmp_path / "data.img", "gpt", fill)
    inside = f"{disk}#1:/wims/store.wim"
    done("relocate", converted.volume, "--wim", inside)
    (found,) = sources(converted.volume)
    assert found["place"] == f"gpt:{build.DISK_GUID}:{build.PARTITION_GUID}:\\wims\\store.wim"
    assert (found["state"], found["how"], found["wim"]) == ("in-place", "disk-image", inside)
    converted.wim.rename(tmp_path / "away.wim")
    done("verify", converted.volume)
    with data_disk(tmp_path / "..", "mbr") as root:
        out = root / "store.wim"
        out.write_bytes((tmp_path / "away.wim").read_bytes())
        done("relocate", converted.volume, "--wim", out)
        (found,) = sources(converted.volume)
        assert (found["place"], found["state"]) == (f"mbr:{build.DISK_SIGNATURE:08x}:{MIB}:\\store.wim", "in-place")


def test_a_wim_in_a_vhd_is_placed_by_who_points_at_it(converted: Converted, tmp_path: Path) -> None:
    """Inside the VHD's own place for pointers elsewhere; by the disk in the VHD alone for those in the same one."""
    raw = make_disk(tmp_path / "raw.img", "mbr", lambda root: (root / "w.wim").write_bytes(converted.wim.read_bytes()),
                    signature=0x11223344)
    start = raw.stat().st_size // MIB * MIB
    copy_sparse(converted.volume, raw, target_offset=start)
    with raw.open("r+b") as file:
        file.truncate(start + converted.volume.stat().st_size + MIB)
    subprocess.run(["sfdisk", "-q", "--append", "--no-reread", "--no-tell-kernel", str(raw)], text=True, check=True,
                   input=f"start={start // 512}, size={converted.volume.stat().st_size // 512}, type=7\n",
                   capture_output=True)
    with data_disk(tmp_path, "mbr") as root:
        vhd = root / "both.vhd"
        subprocess.run(["qemu-img", "convert", "-O", "vpc", "-o", "subformat=dynamic,force_size=on", raw, vhd],
                       check=True)
        virtual = f"mbr:11223344:{MIB}:\\w.wim"
        done("relocate", converted.volume, "--wim", f"{vhd}#1:/w.wim")
        (found,) = sources(converted.volume)
        outer = f"mbr:{build.DISK_SIGNATURE:08x}:{MIB}:\\both.vhd"
        assert found["place"] == f"{virtual} inside {outer}"
        assert (found["state"], found["wim"]) == ("in-place", f"{vhd}#1:/w.wim")
        done("relocate", f"{vhd}#2", "--wim", f"{vhd}#1:/w.wim")
        (found,) = sources(f"{vhd}#2")
        assert (found["place"], found["state"], found["how"]) == (virtual, "in-place", "same-disk")
        done("verify", f"{vhd}#2")


def test_a_place_is_compared_with_the_disks_at_hand(converted: Converted, tmp_path: Path,
                                                    built_system: Callable[..., build.System]) -> None:
    """Said, never refused: the disk may be elsewhere. The target's own disk counts."""
    run = done("relocate", converted.volume, "--wim", converted.wim, "--as", FIRST)
    assert "11223344" in run.err
    system = built_system(size=24 << 20, files=12, features=(), table="mbr", version="6.3")
    disk = tmp_path / "own.img"
    copy_sparse(system.path, disk)
    wim = tmp_path / "own.wim"
    right = f"mbr:{build.DISK_SIGNATURE:08x}:{MIB}:\\own.wim"
    run = done("convert", disk, "--wim", wim, "--wim-place", right)
    assert "hand" not in run.err
    assert "partition like" not in run.err
    run = done("relocate", disk, "--wim", wim, "--as", right.replace(str(MIB), str(2 * MIB)))
    assert f"#1 at {MIB}" in run.err


def test_disks_of_one_signature_are_warned_of(converted: Converted, tmp_path: Path) -> None:
    """A clone beside its original: Windows would take either. One disk under two names is no clone."""
    first = make_disk(tmp_path / "first.img", "mbr", signature=0x0BADCAFE, size=8 * MIB)
    second = tmp_path / "second.img"
    second.write_bytes(first.read_bytes())
    place = FIRST.replace("11223344", "0badcafe")
    with attached_disk(first) as one, attached_disk(first):
        run = done("relocate", converted.volume, "--wim", converted.wim, "--as", place)
        assert "wrong one" not in run.err
        with attached_disk(second) as clone:
            run = done("relocate", converted.volume, "--wim", converted.wim, "--as", place)
        assert "wrong one" in run.err
        assert str(one) in run.err
        assert str(clone) in run.err


def test_an_older_copy_is_registered_with_a_warning(converted: Converted, tmp_path: Path) -> None:
    """Nothing is lost by it: the pointers to what it lacks stay as they are."""
    old = tmp_path / "old.wim"
    old.write_bytes(converted.wim.read_bytes())
    done("capture", converted.volume, "--wim", converted.wim, "--name", "second")
    done("restore", converted.volume, "--wim", converted.wim, "--image", "2")
    run = done("relocate", converted.volume, "--wim", old, "--as", FIRST)
    assert "older" in run.err
    done("relocate", converted.volume, "--wim", converted.wim, "--as", FIRST)
    done("verify", converted.volume, "--wim", converted.wim)


def test_a_wim_that_lacks_data_or_cannot_be_read_is_not_registered_in_silence(pair: Pair) -> None:
    """Lost data is warned of; a form that Windows' driver does not read is refused, with another way."""
    pair.lose(KERNEL32)
    warned = done("relocate", pair.volume, "--wim", pair.wim, "--as", FIRST).err
    assert "does not have the data of 1 pointer of" in warned
    wimlib("optimize", pair.spare, "--solid")
    told = refused("relocate-not-backable", 4, "relocate", pair.volume, "--wim", pair.spare, "--as", FIRST,
                   watching=(pair.volume, pair.spare))
    assert "rehydrate" in told.err


def test_the_help_tells_every_form_of_a_place() -> None:
    """What --as and --wim-place take is nowhere else."""
    told = wimboot("relocate", "--help").out
    assert all(form in told for form in ("mbr:", "gpt:", "inside", "later", "--id"))
    assert FOLDER == "System Volume Information"


@pytest.mark.parametrize(("content", "error", "code"), [(None, "wim-missing", 2), (b"no WIM" * 100, "not-a-wim", 1)])
def test_a_wim_that_is_none_is_told_as_that(content: bytes | None, error: str, code: int, converted: Converted,
                                            tmp_path: Path) -> None:
    """Not as the WIM of another volume."""
    wim = tmp_path / "none.wim"
    if content is not None:
        wim.write_bytes(content)
    told = refused(error, code, "relocate", converted.volume, "--wim", wim, "--as", FIRST, watching=(converted.volume,))
    assert str(wim) in told.err


def test_a_wim_where_windows_reads_nothing_keeps_the_place_registered(
    converted: Converted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is said, with what to do; the volume goes on naming the place that it had."""
    done("relocate", converted.volume, "--wim", converted.wim, "--as", FIRST)
    monkeypatch.setattr("wimboot.ops.pointing.placing._READABLE", frozenset())
    note = notes("relocate", converted.volume, "--wim", converted.wim)["place-kept"]
    assert note.warning
    assert "which Windows cannot read" in note.text
    assert "--as" in note.text
    told = done("relocate", converted.volume, "--wim", converted.wim)
    assert f"stays registered at {FIRST}.\n" in told.out, "and nothing of pointers, of which none was behind"
    done("relocate", converted.volume, "--wim", converted.wim, "--as", "later")
    assert "has no place yet" in done("relocate", converted.volume, "--wim", converted.wim).out
    note = notes("relocate", converted.volume, "--wim", converted.wim)["place-kept"]
    assert "There is no place yet" in note.text
    assert "Copy the WIM to where Windows can read it, or say with --as" in note.text
