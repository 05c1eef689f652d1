"""What a system is given when it gets pointers: Setup\\WimBoot, the overlay driver; and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from converted import Converted
from driver_files import WOFADK_STRINGS, driver_file, signed, wofadk
from judges import every_pointer_leads_home, sound_volume
from mounting import mounted
from prepared import HIVE, WOFADK_VALUES, edit_system, keys_of, said, values_of
from registry_hives import dword, sz
from registry_samples import sample
from running import done, refused, unchanged, wimboot
from sample_features import set_attributes
from snapshots import snapshot

LATER = ("--wim-place", "later")
DRIVER = "Windows/System32/drivers/wofadk.sys"
SECOND_SET = {"ControlSet002\\services\\Disk": {"Start": dword(0)}, "Select": {"LastKnownGood": dword(2)}}


def test_windows_7_gets_its_driver_in_every_control_set(small_volume: Path, tmp_path: Path) -> None:
    """File and service as the ADK has them, Setup\\WimBoot; regipy sees no other key change."""
    edit_system(small_volume, SECOND_SET)
    before = keys_of(said(small_volume, tmp_path / "before"))
    wim, driver = tmp_path / "store.wim", wofadk(tmp_path)
    told = done("convert", small_volume, "--wim", wim, *LATER, "--driver", driver)
    assert "10.0.10240.16384" in told.err
    assert "KB3033929" in told.err
    hive = said(small_volume, tmp_path / "after")
    for number in (1, 2):
        service = f"\\ControlSet00{number}\\services\\WofAdk"
        assert values_of(hive, service) == WOFADK_VALUES
        assert values_of(hive, f"{service}\\Instances") == {"DefaultInstance": "WofAdk Instance"}
        assert values_of(hive, f"{service}\\Instances\\WofAdk Instance") == {"Altitude": "40730", "Flags": 0}
    assert values_of(hive, "\\Setup")["WimBoot"] == 1
    assert keys_of(hive) - before == {
        f"\\controlset00{number}\\services\\wofadk{rest}" for number in (1, 2)
        for rest in ("", "\\instances", "\\instances\\wofadk instance")}
    assert not before - keys_of(hive)
    facts = snapshot(small_volume)[DRIVER]
    assert (facts.reparse, facts.streams[""][0]) == (b"", driver.stat().st_size)
    assert every_pointer_leads_home(small_volume, wim, {}) > 20
    sound_volume(small_volume)


def test_explain_names_the_service(small_volume: Path, tmp_path: Path) -> None:
    """The one that makes a file real, with its control sets, wherever the file lies; what a list says comes after."""
    edit_system(small_volume, SECOND_SET | {
        f"ControlSet00{number}\\services\\Shield": {"Start": dword(1), "Type": dword(1), "ImagePath": sz(
            "\\??\\C:\\Program Files\\Shield\\shield.sys")} for number in (1, 2)})
    with mounted(small_volume, write=True) as root:
        (root / "Program Files/Shield").mkdir()
        (root / "Program Files/Shield/shield.sys").write_bytes(driver_file())
    done("convert", small_volume, "--wim", tmp_path / "store.wim", *LATER, "--driver", wofadk(tmp_path))
    for path, said_of_it in (
            ("\\Program Files\\Shield\\shield.sys", "service Shield, at system time (ControlSet001, ControlSet002)"),
            ("\\" + DRIVER.replace("/", "\\"), "service WofAdk, at boot time (ControlSet001, ControlSet002)")):
        assert said_of_it in done("explain", small_volume, path).out
        told = done("explain", small_volume, path, "--json").json
        assert (told["form"], told["rule"]["detail"]) == ("real", said_of_it)


def test_the_image_holds_what_the_volume_holds(small_volume: Path, tmp_path: Path) -> None:
    """The edits come before the capture: status and update find nothing, a restore has nothing to do."""
    wim = tmp_path / "store.wim"
    done("convert", small_volume, "--wim", wim, *LATER, "--driver", wofadk(tmp_path))
    assert done("status", small_volume, "--json").json["changes"] == []
    assert "nothing to do" in done("restore", small_volume).out
    with unchanged(small_volume, wim, times=False):
        assert done("update", small_volume, "--json").json["image"] is None
    assert "wofadk.sys" in done("extract", small_volume, DRIVER, tmp_path / "out.sys").out + DRIVER
    assert (tmp_path / "out.sys").read_bytes() == wofadk(tmp_path).read_bytes()


@pytest.mark.parametrize("given", ["option", "variable", "beside"])
def test_a_driver_may_be_given_in_three_ways(
        given: str, small_volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By --driver, by WIMBOOT_WOFADK, or as a file beside the WIM; the first counts most."""
    wims = tmp_path / "wims"
    wims.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    wrong, right = wofadk(elsewhere, "x86", "wrong.sys"), wofadk(elsewhere, name="right.sys")
    option: tuple[object, ...] = ()
    if given == "option":
        monkeypatch.setenv("WIMBOOT_WOFADK", str(wrong))
        option = ("--driver", right)
    elif given == "variable":
        monkeypatch.setenv("WIMBOOT_WOFADK", str(right))
        wofadk(wims, "x86")
    else:
        wofadk(wims)
    done("convert", small_volume, "--wim", wims / "store.wim", *LATER, *option)
    with mounted(small_volume) as root:
        assert (root / DRIVER).read_bytes() == right.read_bytes()


def test_a_dry_run_writes_no_driver(small_volume: Path, tmp_path: Path) -> None:
    """It says that it would be installed by not refusing, and refuses what the run would."""
    wim = tmp_path / "store.wim"
    good, bad = wofadk(tmp_path, name="good.sys"), wofadk(tmp_path, "x86", "bad.sys")
    with unchanged(small_volume, wim):
        done("convert", small_volume, "--wim", wim, *LATER, "--driver", good, "--dry-run")
        refused("driver-architecture", 4, "convert", small_volume, "--wim", wim, *LATER, "--driver", bad, "--dry-run")


def test_a_windows_with_a_driver_gets_none(tmp_path: Path, built_system: object) -> None:
    """Windows 10 has wof.sys: the file given is not installed, which is said."""
    from mounting import copy_sparse

    volume, wim = tmp_path / "ten.img", tmp_path / "store.wim"
    copy_sparse(built_system(size=24 << 20, files=12, features=(), version="10.0").path, volume)  # type: ignore[operator] # a fixture
    told = done("convert", volume, "--wim", wim, *LATER, "--driver", wofadk(tmp_path))
    assert "is not installed" in told.err
    assert values_of(said(volume, tmp_path / "hive"), "\\ControlSet001\\services\\WofAdk") == {}
    assert DRIVER not in snapshot(volume)


def test_windows_8_1_without_update_keeps_what_its_loader_reads(tmp_path: Path, built_system: object) -> None:
    """The added driver comes after the loader, which cannot follow pointers; nor does it learn to by an update."""
    from mounting import copy_sparse

    volume, wim = tmp_path / "eight.img", tmp_path / "store.wim"
    copy_sparse(built_system(size=24 << 20, files=12, features=(), version="6.3").path, volume)  # type: ignore[operator] # a fixture
    edit_system(volume, {"ControlSet001\\services\\Wof": {"Start": dword(4)}})
    (tmp_path / "list.ini").write_text("[PrepopulateList]\n\\none\n")
    lists = ("--config", tmp_path / "list.ini")
    refused("driver-needed", 4, "convert", volume, "--wim", wim, *LATER, *lists, watching=(volume, wim))
    done("convert", volume, "--wim", wim, *LATER, *lists, "--driver", wofadk(tmp_path))
    with mounted(volume, write=True) as root:
        (root / "Windows/new.txt").write_bytes(b"new" * 3000)
    done("update", volume, *lists)
    told = done("explain", volume, "\\Windows\\System32\\ntoskrnl.exe", "--json").json
    assert (told["form"], "loader" in told["rule"]["origin"]) == ("real", True)


OTHER = (("CompanyName", "Microsoft Corporation"), ("OriginalFilename", "disk.sys"))
FOREIGN = (("CompanyName", "Somebody"), ("OriginalFilename", "wofadk.sys"))


def made(folder: Path, data: bytes) -> Path:
    """A driver file."""
    (folder / "given.sys").write_bytes(data)
    return folder / "given.sys"


@pytest.mark.parametrize(("error", "code", "data"), [
    ("driver-architecture", 4, lambda: signed(driver_file(machine="x86"))),
    ("driver-unsigned", 4, driver_file),
    ("driver-unknown", 4, lambda: signed(driver_file(strings=OTHER))),
    ("driver-unknown", 4, lambda: signed(driver_file(strings=FOREIGN))),
    ("driver-unknown", 4, lambda: signed(driver_file(version=None))),
    ("driver-altered", 1, lambda: signed(driver_file()).replace(b"\xcc" * 9, b"\x90" * 9, 1)),
    ("not-a-driver", 1, lambda: signed(driver_file(subsystem=2, kind=1))),
    ("not-a-driver", 1, lambda: b"MZ, a text"),
    ("not-a-driver", 1, lambda: signed(driver_file())[:-100]),
    ("driver-too-large", 4, lambda: bytes(17 << 20)),
], ids=["architecture", "unsigned", "another driver", "another maker", "no version", "altered", "program", "text",
        "cut", "huge"])
def test_a_file_that_will_not_do_is_refused(error: str, code: int, data: object, small_volume: Path,
                                            tmp_path: Path) -> None:
    """Before anything is written; the WIM is not made."""
    wim, given = tmp_path / "store.wim", made(tmp_path, data())  # type: ignore[operator] # one of the above
    refused(error, code, "convert", small_volume, "--wim", wim, *LATER, "--driver", given, watching=(small_volume, wim))
    refused(error, code, "driver", small_volume, given, watching=(small_volume,))


def test_a_driver_that_only_names_its_table_is_known(small_volume: Path, tmp_path: Path) -> None:
    """Whatever it was called: no other driver has the name of WimOverlay.dat in it."""
    body = b"\xcc" * 200 + "\\System Volume Information\\WimOverlay.dat".encode("utf-16-le")
    given = made(tmp_path, signed(driver_file(strings=OTHER, body=body)))
    done("convert", small_volume, "--wim", tmp_path / "store.wim", *LATER, "--driver", given)
    assert WOFADK_STRINGS[0][1].startswith("Microsoft")


def broken(kind: str) -> bytes:
    """SYSTEM as it should not be."""
    if kind == "text":
        return b"a text" * 2000
    data = bytearray(sample("SYSTEM-win7"))
    if kind == "bin":
        data[4096:4100] = b"nbin"
    if kind == "huge":
        data[40:44] = (0x7FFFF000).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("kind", ["text", "bin", "huge"])
def test_a_hive_that_is_none_is_refused(kind: str, sample_volume: Path, tmp_path: Path) -> None:
    """Nothing is changed."""
    with mounted(sample_volume, write=True) as root:
        (root / HIVE).write_bytes(broken(kind))
    wim = tmp_path / "store.wim"
    refused("registry-unusable", 1, "convert", sample_volume, "--wim", wim, *LATER, "--driver", "none",
            watching=(sample_volume, wim))


def test_a_hive_without_its_control_set_is_refused(small_volume: Path, tmp_path: Path) -> None:
    """The driver would be installed where no start looks."""
    wim = tmp_path / "store.wim"
    for default in (7, 0):
        edit_system(small_volume, {"Select": {"Default": dword(default)}})
        refused("registry-unusable", 1, "convert", small_volume, "--wim", wim, *LATER, "--driver", wofadk(tmp_path),
                watching=(small_volume, wim))


def test_logs_that_cannot_be_applied_are_refused(sample_volume: Path, tmp_path: Path) -> None:
    """They hold newer changes than the hive."""
    from registry_samples import log_pair

    first = bytearray(log_pair()["LOG1"])
    first[700] ^= 0xFF
    with mounted(sample_volume, write=True) as root:
        (root / HIVE).write_bytes(sample("SYSTEM-win10-dirty"))
        (root / f"{HIVE}.LOG1").write_bytes(first)
        (root / f"{HIVE}.LOG2").write_bytes(log_pair()["LOG2"])
    wim = tmp_path / "store.wim"
    refused("registry-logs", 4, "convert", sample_volume, "--wim", wim, *LATER, "--driver", "none",
            watching=(sample_volume, wim))


def test_a_system_without_a_hive_is_told(small_volume: Path, tmp_path: Path) -> None:
    """It cannot start anyway; a driver is refused, the rest goes on."""
    with mounted(small_volume, write=True) as root:
        (root / HIVE).unlink()
    wim = tmp_path / "store.wim"
    refused("registry-missing", 4, "convert", small_volume, "--wim", wim, *LATER, "--driver", wofadk(tmp_path),
            watching=(small_volume, wim))
    assert "cannot start" in done("convert", small_volume, "--wim", wim, *LATER, "--driver", "none").err


def test_a_system_without_drivers_is_refused(small_volume: Path, tmp_path: Path) -> None:
    """There is no folder to put one into."""
    with mounted(small_volume, write=True) as root:
        for path in sorted((root / "Windows/System32/drivers").iterdir()):
            path.unlink()
        (root / "Windows/System32/drivers").rmdir()
    run = wimboot("driver", small_volume, wofadk(tmp_path), "--json")
    assert (run.code, run.json["error"]["id"]) == (1, "no-drivers-folder")


def test_without_pointers_the_mark_goes(converted: Converted, tmp_path: Path) -> None:
    """Once `rehydrate` leaves none; as long as there is one it stays."""
    for path, marked in (("\\Windows\\explorer.exe", True), (None, False)):
        assert values_of(said(converted.volume, tmp_path / "hive"), "\\Setup")["WimBoot"] == 1
        done("rehydrate", converted.volume, *filter(None, (path,)))
        assert ("WimBoot" in values_of(said(converted.volume, tmp_path / "hive"), "\\Setup")) is marked
    sound_volume(converted.volume)


def test_a_restore_in_full_takes_the_mark_back(converted: Converted, tmp_path: Path) -> None:
    """One as pointers sets it again; neither is a change to be told."""
    for form, marked in (("--full", False), ("--pointers", True)):
        done("restore", converted.volume, "--wim", converted.wim, "--image", "1", form)
        assert ("WimBoot" in values_of(said(converted.volume, tmp_path / "hive"), "\\Setup")) is marked
        told = done("status", converted.volume, "--wim", converted.wim, "--json").json
        assert not [change for change in told["changes"] if "config" in change["path"]]


def test_a_damaged_hive_does_not_hinder_going_back_to_files(converted: Converted) -> None:
    """Its mark does no harm; that it is still there is said."""
    with mounted(converted.volume, write=True) as root:
        (root / HIVE).write_bytes(b"a text")
    assert "which does no harm" in done("rehydrate", converted.volume).err


def test_a_restored_system_keeps_its_driver(small_volume: Path, tmp_path: Path) -> None:
    """The image was captured before there was one: the volume's own is put back, and that is no change."""
    wim = tmp_path / "store.wim"
    done("capture", small_volume, "--wim", wim, "--name", "before")
    driver = wofadk(tmp_path, name="given.sys")
    done("convert", small_volume, "--wim", wim, *LATER, "--driver", driver, "--name", "with")
    done("restore", small_volume, "--image", "before")
    hive = said(small_volume, tmp_path / "hive")
    assert values_of(hive, "\\ControlSet001\\services\\WofAdk") == WOFADK_VALUES
    with mounted(small_volume) as root:
        assert (root / DRIVER).read_bytes() == driver.read_bytes()
    assert done("status", small_volume, "--json").json["changes"] == []
    assert "nothing to do" in done("restore", small_volume).out
    with unchanged(wim, times=False):
        assert done("update", small_volume, "--json").json["image"] is None
    sound_volume(small_volume)


def test_changes_of_the_registry_are_told_beside_what_was_prepared(small_volume: Path, tmp_path: Path) -> None:
    """Only the mark, the driver and the letters are forgiven, and only as long as nothing else differs."""
    wim = tmp_path / "store.wim"
    done("capture", small_volume, "--wim", wim, "--name", "before")
    done("convert", small_volume, "--wim", wim, *LATER, "--driver", wofadk(tmp_path, name="given.sys"))
    done("restore", small_volume, "--image", "before")
    edit_system(small_volume, {"ControlSet001\\services\\Null": {"DisplayName": sz("changed")}})
    changed = {change["path"] for change in done("status", small_volume, "--json").json["changes"]}
    assert changed == {"\\Windows\\System32\\config\\SYSTEM", "\\Windows\\System32\\drivers\\wofadk.sys"}
    assert done("update", small_volume, "--json").json["image"]["index"] == 3
    assert done("status", small_volume, "--json").json["changes"] == []


def store_otherwise(volume: Path, kind: str) -> int:
    """Have NTFS keep SYSTEM and a log of it compressed, or sparse; their attributes then."""
    with mounted(volume, write=True) as root:
        for path in (root / HIVE, root / f"{HIVE}.LOG1"):
            data = path.read_bytes()
            path.unlink()
            set_attributes(path.parent, 0x800 if kind == "compressed" else 0)
            with path.open("wb") as file:
                file.truncate(len(data) if kind == "compressed" else len(data) + (1 << 17))
                file.write(data)
            set_attributes(path.parent, 0)
        return attributes_of(root)


def attributes_of(root: Path) -> int:
    """FILE_ATTRIBUTE_* of SYSTEM on a mounted volume, as the ntfs-3g driver shows them."""
    return int.from_bytes(os.getxattr(root / HIVE, "system.ntfs_attrib_be"), "big")


@pytest.mark.parametrize(("kind", "bit"), [("compressed", 0x800), ("sparse", 0x200)])
def test_a_hive_that_ntfs_keeps_otherwise_stays_so(
        kind: str, bit: int, small_volume: Path, tmp_path: Path) -> None:
    """What is prepared is no change of its attributes: not by convert, nor where the image is laid out or restored."""
    assert store_otherwise(small_volume, kind) & bit
    wim, other = tmp_path / "store.wim", tmp_path / "other.vhd"
    given = ("--driver", wofadk(tmp_path, name="given.sys"))
    done("capture", small_volume, "--wim", wim, "--name", "before")
    done("convert", small_volume, "--wim", wim, *LATER, *given)
    done("create", other, "--size", "64M")
    done("apply", wim, "before", other, *LATER, *given, "--no-expand", "--yes")
    before = ("--image", "before", "--wim", wim, *given)
    for place, restored in ((small_volume, None), (other, None), (small_volume, before), (other, (*before, "--full")),
                            (other, (*before, "--pointers", *LATER)), (other, (*before, "--format", "--yes"))):
        if restored is not None:
            done("restore", place, *restored)
        assert done("status", place, "--wim", wim, "--json").json["changes"] == [], restored
    with mounted(small_volume) as root:
        assert attributes_of(root) & bit
    sound_volume(small_volume)
