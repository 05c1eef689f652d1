"""`boot`: a system is brought into a boot menu with its files, all of it or nothing, and taken out again."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

import build
from boot_stores import AT, BIOS_STORE, PLACE, UEFI_STORE, VHD_PLACE, devices, entries, left_dirty, objects
from boot_systems import BIOS_FILES, UEFI_FILES, boot_contents, files_of
from data_disks import MIB, data_disk
from judges import every_pointer_leads_home
from registry_samples import store
from running import NO_PLACE, Run, done, refused, unchanged
from two_partitions import SECOND_GUID, two_partitions
from vhd_making import fixed_vhd
from wimboot.formats.bcd import ElementType, ObjectType
from wimboot.formats.bcdnames import Ids
from wimboot.windows.bootplace import BootPlace


def test_boot_files_and_entry_arrive(bootable: Path, esp: Path) -> None:
    """For BIOS and UEFI: every file is the system's own, the menu has the system under a Chinese title, and waits."""
    system = boot_contents(bootable, {*BIOS_FILES.values(), *UEFI_FILES.values()})
    with unchanged(bootable):
        told = done("boot", bootable, "--to", esp, *AT, "--title", "系统\u3000甲", "--default", "--timeout", "5",
                    "--json").json
    found = files_of(esp)
    assert {path for path in found if not path.endswith("BCD")} == {*BIOS_FILES, *UEFI_FILES}
    for path, source in {**BIOS_FILES, **UEFI_FILES}.items():
        assert found[path] == system[source], path
    for path, program in ((BIOS_STORE, "exe"), (UEFI_STORE, "efi")):
        (entry,) = entries(esp / path)
        place = BootPlace.parse_volume(PLACE)
        assert devices(entry) == (place.device, place.os_device)
        assert entry.text(ElementType.PATH) == f"\\Windows\\system32\\winload.{program}"
        assert entry.text(ElementType.DESCRIPTION) == "系统\u3000甲"
        assert entry.text(ElementType.LOCALE) == "en-US"
        manager = objects(esp / path)[Ids.BOOT_MANAGER]
        assert (manager.text(ElementType.DEFAULT), manager.value(ElementType.TIMEOUT)) == (entry.id, 5)
    assert [each["outcome"] for each in told["stores"]] == ["created", "created"]
    assert {each["path"].replace("\\", "/")[1:]: each["size"] for each in told["written"]} == {
        path: len(data) for path, data in found.items()}
    assert told["boot_files"][0]["version"] == "6.1.7601.17514"


def test_template_of_the_system_is_used(bootable: Path, esp: Path) -> None:
    """A new store has the settings of the system's own BCD-Template, and the entry its elements."""
    done("boot", bootable, "--to", esp, *AT, "--firmware", "bios")
    (entry,) = entries(esp / BIOS_STORE)
    assert entry.value(ElementType.NX) == 1
    assert entry.element(0x46000004) is None
    assert objects(esp / BIOS_STORE)[Ids.EMS].value(ElementType.BOOT_EMS) is True


def test_second_run_changes_nothing(bootable: Path, esp: Path) -> None:
    """Not a byte, not a time; nor does another default or timeout twice."""
    arguments = ("boot", bootable, "--to", esp, *AT, "--title", "Seven", "--default", "--timeout", "9")
    done(*arguments)
    with unchanged(*(path for path in esp.rglob("*") if path.is_file())):
        told = done(*arguments, "--json").json
        assert told["written"] == []
        assert [each["outcome"] for each in told["stores"]] == ["same", "same"]
        assert "Nothing to write" in done(*arguments).out


def test_dry_run_says_the_same_and_writes_nothing(bootable: Path, esp: Path) -> None:
    """Files, their sizes and the entry's title are those of the run that follows."""
    arguments = ("boot", bootable, "--to", esp, *AT, "--json")
    dry = done(*arguments, "--dry-run").json
    assert list(esp.iterdir()) == []
    real = done(*arguments).json
    assert dry["dry_run"] is True
    assert dry["written"] == real["written"]
    assert [each["entries"][0]["title"] for each in dry["stores"]] == ["Windows 7 Ultimate"] * 2


def test_existing_store_is_extended(bootable: Path, esp: Path) -> None:
    """A real store keeps its entries and its default; its logs, whose changes it has, are gone."""
    path = esp / UEFI_STORE
    path.parent.mkdir(parents=True)
    path.write_bytes(store("regipy_BCD"))
    for suffix in (".LOG", ".LOG1", ".LOG2"):
        (path.parent / f"BCD{suffix}").write_bytes(b"")
    before = objects(path)
    told = done("boot", bootable, "--to", esp, *AT, "--json").json
    assert [each["firmware"] for each in told["stores"]] == ["uefi"]       # that is what this partition is for
    after = objects(path)
    (ours,) = set(after) - set(before)
    assert {id_ for id_ in before if before[id_] != after[id_]} == {Ids.BOOT_MANAGER}
    assert after[Ids.BOOT_MANAGER].ids(ElementType.DISPLAY_ORDER) == (
        *before[Ids.BOOT_MANAGER].ids(ElementType.DISPLAY_ORDER), ours)
    assert sorted(each.name for each in path.parent.iterdir() if each.name.startswith("BCD")) == ["BCD"]


def test_boot_files_are_read_through_pointers(bootable: Path, esp: Path, tmp_path: Path) -> None:
    """Of a converted system the files are copied, never zeros; without the WIM nothing is changed."""
    system = boot_contents(bootable, BIOS_FILES.values())
    (tmp_path / "few.ini").write_text("[PrepopulateList]\n\\bootmgr\n")
    wim = tmp_path / "store.wim"
    done("convert", bootable, "--wim", wim, *NO_PLACE, "--config", tmp_path / "few.ini")
    assert every_pointer_leads_home(bootable, wim, {}) > 10
    hidden = wim.rename(tmp_path / "elsewhere")
    refused("blob-missing", 1, "boot", bootable, "--to", esp, *AT, "--firmware", "bios", watching=(esp / "bootmgr",))
    assert list(esp.iterdir()) == []
    hidden.rename(wim)
    done("boot", bootable, "--to", esp, *AT, "--firmware", "bios")
    assert {path: files_of(esp)[path] for path in BIOS_FILES} == {
        path: system[source] for path, source in BIOS_FILES.items()}


@pytest.mark.parametrize("order", ["older first", "newer first"])
def test_newest_boot_manager_is_kept(order: str, bootable: Path, newer_volume: Path, esp: Path) -> None:
    """Whichever system comes first, the newer boot manager is there in the end, and both are in the menu."""
    systems = [bootable, newer_volume] if order == "older first" else [newer_volume, bootable]
    for number, system in enumerate(systems):
        done("boot", system, "--to", esp, "--firmware", "both", "--volume-place", f"mbr:5cbea03{number}:1048576")
    newest = boot_contents(newer_volume, {*BIOS_FILES.values(), *UEFI_FILES.values()})
    found = files_of(esp)
    for path, source in {**BIOS_FILES, **UEFI_FILES}.items():
        assert found[path] == newest[source], path
    assert len(entries(esp / BIOS_STORE)) == len(entries(esp / UEFI_STORE)) == 2


def test_boot_files_can_be_chosen(bootable: Path, newer_volume: Path, esp: Path) -> None:
    """An older boot manager replaces a newer one only on request; keep adds what is missing and replaces nothing."""
    done("boot", newer_volume, "--to", esp, *AT, "--firmware", "bios")
    newer, older = (esp / "bootmgr").read_bytes(), boot_contents(bootable, ["PCAT/bootmgr"])["PCAT/bootmgr"]
    (esp / "Boot/Fonts/chs_boot.ttf").unlink()
    done("boot", bootable, "--to", esp, *AT, "--firmware", "bios", "--boot-files", "keep")
    assert (esp / "bootmgr").read_bytes() == newer
    assert (esp / "Boot/Fonts/chs_boot.ttf").exists()
    told = done("boot", bootable, "--to", esp, *AT, "--firmware", "bios", "--boot-files", "system", "--json").json
    assert (esp / "bootmgr").read_bytes() == older
    assert told["boot_files"][0]["replaced"] is True


def test_boot_manager_of_unknown_version_stays(bootable: Path, esp: Path) -> None:
    """The packed one for BIOS says no version, and neither does anything beside it: it stays, and that is said."""
    (esp / "bootmgr").write_bytes(b"\xe9packed")
    said = done("boot", bootable, "--to", esp, *AT, "--firmware", "bios")
    assert "cannot be told" in said.err
    assert (esp / "bootmgr").read_bytes() == b"\xe9packed"


def test_version_of_a_packed_boot_manager_is_that_of_its_texts(bootable: Path, newer_volume: Path, esp: Path) -> None:
    """Its language file beside it tells, so that a newer one replaces it."""
    done("boot", bootable, "--to", esp, *AT, "--firmware", "bios")
    (esp / "bootmgr").write_bytes(b"\xe9packed")
    (esp / "Boot/memtest.exe").unlink()
    done("boot", newer_volume, "--to", esp, *AT, "--firmware", "bios")
    assert (esp / "bootmgr").read_bytes() == boot_contents(newer_volume, ["PCAT/bootmgr"])["PCAT/bootmgr"]


def test_fallback_of_another_loader_is_left(bootable: Path, esp: Path) -> None:
    """What UEFI starts from an unknown disk may be somebody else's: it is made only where there is none."""
    (esp / "EFI/BOOT").mkdir(parents=True)
    (esp / "EFI/BOOT/BOOTX64.EFI").write_bytes(b"grub")
    done("boot", bootable, "--to", esp, *AT, "--firmware", "uefi", "--boot-files", "system")
    assert (esp / "EFI/BOOT/BOOTX64.EFI").read_bytes() == b"grub"


@pytest.mark.parametrize("table", ["mbr", "gpt"])
def test_volume_of_a_disk_is_known_by_its_partition(table: build.Table, bootable: Path, data_volume: Path, esp: Path,
                                                    tmp_path: Path) -> None:
    """Signature and offset, or two GUIDs, from the table of the disk that TARGET is on."""
    disk = tmp_path / "disk.img"
    start = two_partitions(disk, data_volume, bootable, table)
    done("boot", disk, "--to", esp, "--firmware", "bios")
    place = (f"mbr:{build.DISK_SIGNATURE:08x}:{start}" if table == "mbr" else
             f"gpt:{build.DISK_GUID}:{SECOND_GUID}")
    (entry,) = entries(esp / BIOS_STORE)
    assert devices(entry) == (BootPlace.parse_volume(place).device,) * 2


@pytest.fixture
def vhd(bootable: Path, data_volume: Path, tmp_path: Path) -> Path:
    """A fixed VHD with the system on its second partition."""
    disk, path = tmp_path / "disk.img", tmp_path / "win7.vhd"
    two_partitions(disk, data_volume, bootable)
    path.write_bytes(fixed_vhd(disk.read_bytes()))
    disk.unlink()
    return path


def test_vhd_starts_natively(vhd: Path, esp: Path) -> None:
    """Its entry names the VHD file and looks in it for the loader; the same again is the same entry."""
    refused("vhd-place-unknown", 4, "boot", vhd, "--to", esp, watching=(vhd,))
    for _ in range(2):
        done("boot", vhd, "--to", esp, "--vhd-place", VHD_PLACE, "--firmware", "bios")
    (entry,) = entries(esp / BIOS_STORE)
    place = BootPlace.parse_vhd(VHD_PLACE)
    assert devices(entry) == (place.device, place.os_device)
    assert "vhd=[mbr:5cbea03e:1048576]\\x64\\win7.vhd,locate=custom:22000002" in done("boot", "--list", esp).out
    said = done("boot", vhd, "--to", esp, "--vhd-place", "locate:\\x64\\win7.vhd", "--firmware", "bios")
    assert "every disk" in said.err
    assert len(entries(esp / BIOS_STORE)) == 2


@pytest.mark.heavy
def test_place_of_a_vhd_is_found_from_where_it_lies(vhd: Path, esp: Path, tmp_path: Path) -> None:
    """On a mounted partition of a disk that Windows reads: its disk, its partition, its path, from the mount table."""
    with data_disk(tmp_path, "mbr") as root:
        (root / "x64").mkdir()
        inside = root / "x64" / "win7.vhd"
        dynamic = ["-O", "vpc", "-o", "subformat=dynamic,force_size=on"]
        subprocess.run(["qemu-img", "convert", "-f", "vpc", *dynamic, vhd, inside], check=True, capture_output=True)
        done("boot", inside, "--to", esp, "--firmware", "bios")
    (entry,) = entries(esp / BIOS_STORE)
    place = BootPlace.parse_vhd(f"mbr:{build.DISK_SIGNATURE:08x}:{MIB}:\\x64\\win7.vhd")
    assert devices(entry) == (place.device, place.os_device)


def test_removal_takes_the_system_out(bootable: Path, esp: Path) -> None:
    """From every store; another system's entry stays and becomes the default; a second removal changes nothing."""
    here, other = ("--volume-place", "mbr:1:512"), ("--volume-place", "mbr:2:512")
    done("boot", bootable, "--to", esp, *here, "--default")
    done("boot", bootable, "--to", esp, *other)
    kept = entries(esp / BIOS_STORE)[1].id
    told = done("boot", bootable, "--to", esp, *here, "--remove", "--json").json
    assert [len(each["removed"]) for each in told["stores"]] == [1, 1]
    assert [each.id for each in entries(esp / BIOS_STORE)] == [kept]
    assert objects(esp / BIOS_STORE)[Ids.BOOT_MANAGER].text(ElementType.DEFAULT) == kept
    with unchanged(*(path for path in esp.rglob("*") if path.is_file())):
        assert "nothing to remove" in done("boot", bootable, "--to", esp, *here, "--remove").err
    done("boot", "--to", esp, "--remove-id", kept.upper())
    assert entries(esp / BIOS_STORE) == []
    refused("no-such-entries", 2, "boot", "--to", esp, "--remove-id", kept, watching=(esp / BIOS_STORE,))
    refused("not-an-entry", 4, "boot", "--to", esp, "--remove-id", Ids.BOOT_MANAGER, watching=(esp / BIOS_STORE,))


def test_grub4dos_gets_an_entry(bootable: Path, esp: Path, tmp_path: Path) -> None:
    """A boot sector entry for BIOS, once; its files are copied from the folder that is named."""
    done("boot", bootable, "--to", esp, *AT)
    refused("no-grub4dos", 4, "boot", "--to", esp, "--grub4dos", watching=(esp / BIOS_STORE,))
    folder = tmp_path / "g4d"
    folder.mkdir()
    (folder / "GRLDR.MBR").write_bytes(b"mbr")
    (folder / "grldr").write_bytes(b"grldr")
    for _ in range(2):
        done("boot", "--to", esp, "--grub4dos", "--grub4dos-files", folder)
        (entry,) = entries(esp / BIOS_STORE, ObjectType.BOOT_SECTOR)
        assert entry.text(ElementType.PATH) == "\\grldr.mbr"
    assert not entries(esp / UEFI_STORE, ObjectType.BOOT_SECTOR)
    assert (esp / "grldr.mbr").read_bytes() == b"mbr"
    assert "Real-mode Boot Sector" in done("boot", "--list", esp).out


def test_menu_and_signing_are_set_on_request(bootable: Path, esp: Path) -> None:
    """Test signatures and missing ones, for drivers that a system in memory needs."""
    done("boot", bootable, "--to", esp, *AT, "--firmware", "bios", "--test-signing", "--no-integrity-checks")
    (entry,) = entries(esp / BIOS_STORE)
    assert entry.value(ElementType.TEST_SIGNING) is True
    assert entry.value(ElementType.NO_INTEGRITY_CHECKS) is True
    assert entry.value(ElementType.RECOVERY_ENABLED) is False
    done("boot", bootable, "--to", esp, *AT, "--firmware", "bios")
    assert entries(esp / BIOS_STORE) == [entry]


def test_newest_changes_of_a_store_are_kept(bootable: Path, esp: Path) -> None:
    """What Windows had written to a log only is in the store afterwards, beside the new entry; the log is gone."""
    done("boot", bootable, "--to", esp, "--volume-place", "mbr:1:512", "--firmware", "bios", "--title", "the older")
    path = esp / BIOS_STORE
    older = path.read_bytes()
    done("boot", bootable, "--to", esp, "--volume-place", "mbr:2:512", "--firmware", "bios", "--title", "the newer")
    newer = path.read_bytes()
    path.write_bytes(older)
    left_dirty(path, newer)
    assert "the newer" in done("boot", "--list", esp).out
    done("boot", bootable, "--to", esp, "--volume-place", "mbr:3:512", "--firmware", "bios", "--title", "the newest")
    assert [entry.text(ElementType.DESCRIPTION) for entry in entries(path)] == ["the older", "the newer", "the newest"]
    assert [each.name for each in path.parent.glob("BCD*")] == ["BCD"]


def test_system_without_boot_files_is_started_by_those_there(bootable: Path, pristine_small: Path, esp: Path) -> None:
    """The boot manager that another system brought starts it too."""
    done("boot", bootable, "--to", esp, "--volume-place", "mbr:1:512", "--firmware", "bios")
    done("boot", pristine_small, "--to", esp, "--volume-place", "mbr:2:512")
    assert len(entries(esp / BIOS_STORE)) == 2


def test_inside_a_disk_in_memory_the_system_is_where_the_boot_manager_is(bootable: Path, esp: Path) -> None:
    """One entry, by `boot`, in a menu of its own; whatever the store started before is on a disk that is not there."""
    path = esp / BIOS_STORE
    path.parent.mkdir()
    path.write_bytes(store("ntloader_bcdwin"))
    for outcome in ("created", "same"):
        told: dict[str, Any] = done("boot", bootable, "--to", esp, "--inside", "--firmware", "bios", "--json").json
        assert [each["outcome"] for each in told["stores"]] == [outcome]
    (entry,) = entries(path)
    assert devices(entry) == (BootPlace.parse_volume("boot").device,) * 2
    assert Ids.MEMORY_TESTER not in objects(path)
    assert len([each for each in objects(path).values() if each.type == ObjectType.OS_LOADER]) == 1


def test_listing_shows_partitions_and_files(esp: Path, tmp_path: Path) -> None:
    """As JSON with every element's name, text, value and bytes; a partition without a store says so."""
    file = tmp_path / "BCD"
    file.write_bytes(store("regipy_BCD"))
    listed: Run = done("boot", "--list", file, "--json")
    (one,) = listed.json["stores"]
    assert (one["firmware"], len(one["objects"])) == (None, 17)
    elements = {element["name"]: element for each in one["objects"] for element in each["elements"]
                if each["alias"] == "{bootmgr}"}
    assert (elements["timeout"]["value"], elements["timeout"]["data"]) == (30, "1e00000000000000")
    assert "has no boot configuration store" in done("boot", "--list", esp).out
    (esp / "Boot").mkdir()
    (esp / BIOS_STORE).write_bytes(file.read_bytes())
    assert done("boot", "--list", esp, "--json").json["stores"][0]["firmware"] == "bios"
    (tmp_path / "broken").write_bytes(b"regf" + bytes(5000))
    refused("not-a-bcd", 1, "boot", "--list", tmp_path / "broken")
