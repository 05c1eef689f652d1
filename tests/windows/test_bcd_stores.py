"""Boot configuration stores: made, extended, cut, and shown to programs of others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_samples import BCD_STORES, store
from wimboot.formats.bcd import DeviceValue, Element, ElementType, ObjectType
from wimboot.formats.bcdnames import Ids
from wimboot.formats.bootdevice import BootDevice, FileDevice, PartitionDevice
from wimboot.registry import Hive, RegistryValue, new_hive
from wimboot.windows.bcd import MAX_STORE_SIZE, BcdObject, NotAStore, Store, empty_store
from wimboot.windows.bcdentries import Entry, Firmware, Manager, Outcome, add_entry, find_entry, new_store, set_timeout
from wimboot.windows.bcdlisting import listing
from wimboot.windows.bcdloader import LoaderWish, MenuPolicy, grub4dos_entry, loader_entry
from wimboot.windows.bcdremoval import NoSuchEntry, NotAnEntry, remove_entry
from wimboot.windows.bootplace import BootPlace

DISK = PartitionDevice.mbr(0x43DA9AB1, 0x1F500000)
VHD = BootPlace.parse_vhd("mbr:5cbea03e:1048576:\\x64\\win7.vhd")
WISH = LoaderWish(firmware=Firmware.BIOS, product="Windows 7", version=(6, 1), locale="zh-CN", title="系统 甲")
NEW = Manager(firmware=Firmware.BIOS, device=DISK, locale="zh-CN", memory_tester=True)

Keys = dict[str, dict[str, tuple[int, bytes]]]


def keys(data: bytes) -> Keys:
    """Every key of a hive by its path, with its values."""
    with Hive(data) as hive:
        found: Keys = {}
        waiting = [("", hive.root)]
        while waiting:
            path, node = waiting.pop()
            found[path] = {name: (value.type, value.data) for name, value in node.values()}
            waiting += [(f"{path}\\{child.name}", child) for child in node.children()]
        return found


def hivexregedit(data: bytes, folder: Path) -> str:
    """What that program exports of a hive."""
    (folder / "judged").write_bytes(data)
    return subprocess.run(["hivexregedit", "--export", "--prefix", "BCD", str(folder / "judged"), "\\"], check=True,
                          capture_output=True, text=True).stdout


def opened(data: bytes) -> Store:
    return Store(data, where="the store")


def with_entry(data: bytes, entry: Entry, *, default: bool = False) -> tuple[bytes, str]:
    """The store with that entry, and its id."""
    with opened(data) as there:
        added = add_entry(there, entry, default=default)
        return there.commit(), added.id


@pytest.mark.parametrize("name", BCD_STORES)
@pytest.mark.parametrize("entry", [loader_entry(VHD, WISH), loader_entry(BootPlace.volume(DISK), WISH),
                                   grub4dos_entry()], ids=["vhd", "volume", "grub4dos"])
def test_real_store_is_extended_and_nothing_else_in_it_changes(name: str, entry: Entry) -> None:
    """Key by key: new are those of the entry, changed are the menu's order and a default that there was none of."""
    before = store(name)
    after, id_ = with_entry(before, entry)
    old, new = keys(before), keys(after)
    manager = f"\\Objects\\{Ids.BOOT_MANAGER}\\Elements"
    allowed = {f"{manager}\\24000001"}
    assert {path for path in old if old[path] != new.get(path)} <= allowed
    assert {path for path in new if path not in old and not path.startswith(f"\\Objects\\{id_}")} <= allowed
    with opened(after) as there:
        assert there.get(Ids.BOOT_MANAGER).ids(ElementType.DISPLAY_ORDER)[-1] == id_  # type: ignore[union-attr]
        again = add_entry(there, entry)
        assert (again.id, again.outcome, there.edited) == (id_, Outcome.SAME, False)
        assert there.commit() is after


@pytest.mark.parametrize("name", BCD_STORES)
def test_removing_what_was_added_leaves_a_real_store_as_it_was(name: str) -> None:
    """Key by key; where there was no menu, one with what started before is left."""
    before = store(name)
    after, id_ = with_entry(before, loader_entry(VHD, WISH))
    with opened(after) as there:
        assert remove_entry(there, id_) == (id_,)
        left = keys(there.commit())
    if name == "nikize_PXEBCD":
        kind, data = left.pop(f"\\Objects\\{Ids.BOOT_MANAGER}\\Elements\\24000001")["Element"]
        assert (kind, data.decode("utf-16-le")) == (7, "{489fb83c-b74c-11e5-8269-ae6f2b48e753}\0\0")
    assert left == keys(before)


def test_removal_takes_the_resume_object_and_every_mention_along() -> None:
    """Windows 10's own entry goes: its resume object, the default, the order; what others use stays."""
    loader, resume = ("{733b62e5-f608-11eb-825c-c112f60133ab}", "{733b62e4-f608-11eb-825c-c112f60133ab}")
    before = store("regipy_BCD")
    with opened(before) as there:
        assert remove_entry(there, loader) == (loader, resume)
        after = there.commit()
        manager = there.get(Ids.BOOT_MANAGER)
        assert manager is not None
        assert not {ElementType.DEFAULT, ElementType.MANAGER_RESUME, ElementType.DISPLAY_ORDER} & {
            element.type for element in manager.elements}
    old, new = keys(before), keys(after)
    gone = {path for path in old if path not in new}
    assert all(path.startswith((f"\\Objects\\{loader}", f"\\Objects\\{resume}", f"\\Objects\\{Ids.BOOT_MANAGER}\\El"))
               for path in gone)
    assert {path: new[path] for path in new} == {path: old[path] for path in new}
    assert loader.encode("utf-16-le") not in b"".join(value for values in new.values() for _, value in values.values())


def test_removal_chooses_another_default_and_keeps_a_shared_resume_object() -> None:
    """The first entry that is left starts then; a resume object that another loader names is kept."""
    data, first = with_entry(new_store(NEW), loader_entry(BootPlace.volume(DISK), WISH), default=True)
    data, second = with_entry(data, loader_entry(VHD, WISH))
    resume = "{733b62e4-f608-11eb-825c-c112f60133ab}"
    with opened(data) as there:
        there.add(resume, ObjectType.RESUME)
        for id_ in (first, second):
            there.set(id_, ElementType.RESUME_OBJECT, resume)
        there.set(Ids.BOOT_MANAGER, ElementType.MANAGER_RESUME, resume)
        there.set(Ids.BOOT_MANAGER, ElementType.BOOT_SEQUENCE, (first,))
        assert remove_entry(there, first) == (first,)
        manager = there.get(Ids.BOOT_MANAGER)
        assert manager is not None
        assert manager.text(ElementType.DEFAULT) == second
        assert manager.ids(ElementType.DISPLAY_ORDER) == (second,)
        assert manager.element(ElementType.BOOT_SEQUENCE) is None
        assert remove_entry(there, second) == (second, resume)
        assert there.get(resume) is None


def test_only_entries_are_removed() -> None:
    """The boot manager, settings, and what is not there are refused."""
    with opened(store("regipy_BCD")) as there:
        for id_ in (Ids.BOOT_MANAGER, Ids.GLOBAL, Ids.MEMORY_TESTER):
            with pytest.raises(NotAnEntry):
                remove_entry(there, id_)
        with pytest.raises(NoSuchEntry):
            remove_entry(there, "{00000000-0000-0000-0000-000000000001}")
        assert not there.edited


def test_new_store_is_that_of_the_recipes(tmp_path: Path) -> None:
    """Objects and elements as a real store has them, in a hive of version 1.3; hivexregedit reads all of it."""
    data, id_ = with_entry(new_store(NEW), loader_entry(VHD, WISH), default=True)
    with opened(data) as there:
        found = {each.id: each for each in there.objects()}
    assert int.from_bytes(data[24:28], "little") == 3
    assert {each for each in found if each != id_} == {
        Ids.BOOT_MANAGER, Ids.MEMORY_TESTER, Ids.GLOBAL, Ids.DEBUGGER, Ids.EMS, Ids.BAD_MEMORY, Ids.LOADER,
        Ids.HYPERVISOR, Ids.RESUME}
    assert found[Ids.BOOT_MANAGER].text(ElementType.DEFAULT) == id_
    assert found[id_].text(ElementType.DESCRIPTION) == "系统 甲"
    exported = hivexregedit(data, tmp_path)
    assert exported.count("\\Elements\\") == sum(len(each.elements) for each in found.values())
    assert '"KeyName"=hex(1):42,00,43,00,44,00' in exported


@pytest.mark.parametrize("id_", [Ids.GLOBAL, Ids.DEBUGGER, Ids.EMS, Ids.BAD_MEMORY, Ids.LOADER, Ids.HYPERVISOR,
                                 Ids.RESUME])
def test_settings_are_those_of_a_real_store(id_: str) -> None:
    """Element by element, byte by byte, what Windows 10 itself wrote."""
    with opened(store("regipy_BCD")) as real, opened(new_store(NEW)) as ours:
        assert ours.get(id_) == real.get(id_)


def test_loader_is_that_of_a_real_store() -> None:
    """The entry of a volume has what Windows 10's own has, but for recovery and hibernation, with the same bytes."""
    gpt = PartitionDevice.gpt(bytes.fromhex("a994230b5e097d488d48719ecd4d78ca"),
                              bytes.fromhex("382c0f8eeae4ba47b7fc9d8c74dccf0b"))
    wish = LoaderWish(firmware=Firmware.UEFI, product="Windows 10", version=(10, 0), locale="en-US",
                      menu=MenuPolicy.STANDARD)
    manager = Manager(firmware=Firmware.UEFI, device=BootDevice(), locale="en-US")
    data, id_ = with_entry(new_store(manager), loader_entry(BootPlace.volume(gpt), wish))
    with opened(store("regipy_BCD")) as real, opened(data) as ours:
        theirs = real.get("{733b62e5-f608-11eb-825c-c112f60133ab}")
        mine = ours.get(id_)
    assert theirs is not None
    assert mine is not None
    left_out = {ElementType.RECOVERY_SEQUENCE, 0x15000066, ElementType.RESUME_OBJECT, ElementType.RECOVERY_ENABLED}
    assert {element for element in theirs.elements if element.type not in left_out} == {
        element for element in mine.elements
        if element.type not in {ElementType.RECOVERY_ENABLED, ElementType.DETECT_HAL}}


def test_device_elements_are_those_of_bcdedit_but_for_its_placeholders() -> None:
    """The VHD of a store that bcdedit made, whose path and partition were painted over: every other byte is ours."""
    with opened(store("ntloader_bcdvhd")) as real:
        theirs = real.get("{19260817-6666-8888-abcd-000000000000}")
    assert theirs is not None
    path = "\\" + "0" * 249 + ".vhd"
    place = BootPlace.vhd(FileDevice(parent=PartitionDevice(style=0, partition_id=bytes(16), disk_id=bytes(16)),
                                     path=path))
    for type_, device in ((ElementType.DEVICE, place.device), (ElementType.OS_DEVICE, place.os_device)):
        raw = theirs.element(type_)
        assert raw is not None
        ours = Element.of(type_, DeviceValue(device=device)).data
        assert len(ours) == len(raw.data) == 700
        start = ours.index(path[:4].encode("utf-16-le"))
        painted = set(range(start - 0x38, start - 0x28)) | set(range(start, len(ours) - 2))
        assert {at for at in range(700) if ours[at] != raw.data[at]} <= painted


def test_regipy_lists_our_entries(tmp_path: Path) -> None:
    """Its plugin for boot entries finds them with their names and programs."""
    registry = pytest.importorskip("regipy.registry")
    plugin = pytest.importorskip("regipy.plugins.bcd.boot_entry_list")
    data, id_ = with_entry(new_store(NEW), loader_entry(VHD, WISH))
    (tmp_path / "BCD").write_bytes(data)
    run = plugin.BootEntryListPlugin(registry.RegistryHive(str(tmp_path / "BCD")), as_json=True)
    run.run()
    assert {(each["guid"], each["name"], each["image_path"]) for each in run.entries} >= {
        (id_, "系统 甲", "\\Windows\\system32\\winload.exe")}


def test_entry_that_is_there_keeps_what_its_user_made_of_it() -> None:
    """Found by device and program in any case; its title stays unless another is asked for, its other elements do."""
    data, id_ = with_entry(new_store(NEW), loader_entry(BootPlace.volume(DISK), WISH))
    with opened(data) as there:
        there.set(id_, ElementType.PATH, "\\WINDOWS\\system32\\WINLOAD.exe")
        there.set(id_, ElementType.NX, 3)
        there.set(id_, ElementType.DESCRIPTION, "my own")
        there.set(id_, ElementType.LOCALE, "de-DE")
        wish = LoaderWish(firmware=Firmware.BIOS, product="Windows 7", version=(6, 1), locale="zh-CN")
        added = add_entry(there, loader_entry(BootPlace.volume(DISK), wish))
        assert (added.id, added.title, added.outcome) == (id_, "my own", Outcome.SAME)
        added = add_entry(there, loader_entry(BootPlace.volume(DISK), WISH))
        assert (added.id, added.title, added.outcome) == (id_, "系统 甲", Outcome.CHANGED)
        kept = there.get(id_)
        assert kept is not None
        assert (kept.value(ElementType.NX), kept.text(ElementType.LOCALE)) == (3, "de-DE")
        assert len(find_entry(there, DISK)) == 1


def test_title_that_windows_ended_twice_is_the_same_title() -> None:
    """Windows' own setup writes strings with a second NUL; they are left so."""
    id_ = "{733b62e5-f608-11eb-825c-c112f60133ab}"
    with opened(store("regipy_BCD")) as there:
        entry = there.get(id_)
        assert entry is not None
        value = entry.value(ElementType.DEVICE)
        assert isinstance(value, DeviceValue)
        wish = LoaderWish(firmware=Firmware.UEFI, product="Windows", version=(10, 0), locale="zh-CN")
        added = add_entry(there, loader_entry(BootPlace.volume(value.device), wish), default=True)
        assert (added.id, added.title, added.outcome, there.edited) == (id_, "Windows 10", Outcome.SAME, False)


def test_template_gives_what_this_windows_wants() -> None:
    """Its settings and its loader's elements are taken, those that say how setup fills it are not."""
    template = (
        BcdObject(id=Ids.LOADER_TEMPLATE_BIOS, type=ObjectType.OS_LOADER, elements=(
            Element.of(ElementType.NX, 1), Element.of(ElementType.BOOT_MENU_POLICY, 1), Element.of(0x45000001, 2),
            Element.of(ElementType.DEVICE, DeviceValue(device=BootDevice())))),
        BcdObject(id=Ids.EMS, type=ObjectType.SETTINGS, elements=(Element.of(ElementType.BOOT_EMS, True),)))
    manager = Manager(firmware=Firmware.BIOS, device=DISK, locale="en-US", template=template)
    wish = LoaderWish(firmware=Firmware.BIOS, product="Windows 8", version=(6, 2), locale="en-US", template=template)
    data, id_ = with_entry(new_store(manager), loader_entry(BootPlace.volume(DISK), wish))
    with opened(data) as there:
        entry, ems = there.get(id_), there.get(Ids.EMS)
        assert entry is not None
        assert ems is not None
        assert (entry.value(ElementType.NX), entry.value(ElementType.BOOT_MENU_POLICY)) == (1, 1)
        assert entry.element(0x45000001) is None
        assert entry.value(ElementType.DEVICE) == DeviceValue(device=DISK)
        assert ems.value(ElementType.BOOT_EMS) is True


def test_menu_of_a_store_without_boot_manager_gets_one() -> None:
    """A store that some tool left without is completed, and waits as long as asked."""
    with opened(empty_store()) as there:
        assert set_timeout(there, 7)
        assert not set_timeout(there, 7)
        manager = there.get(Ids.BOOT_MANAGER)
        assert manager is not None
        assert manager.value(ElementType.TIMEOUT) == 7


def test_what_is_no_store_is_told() -> None:
    """Another hive, half a store, noise, far too many bytes, an order of the menu that cannot be read."""
    good = store("regipy_BCD")
    for data in (new_hive(), good[:9000], b"regf" + bytes(9000), b"", bytes(MAX_STORE_SIZE + 1)):
        with pytest.raises(NotAStore):
            opened(data)
    with opened(good) as there:
        there.put(Ids.BOOT_MANAGER, Element(type=ElementType.DISPLAY_ORDER, registry_type=3, data=b"x"))
        with pytest.raises(NotAStore, match="order"):
            add_entry(there, loader_entry(VHD, WISH))


def test_keys_that_are_no_objects_stay(tmp_path: Path) -> None:
    """Names that are neither ids nor element types are not listed, and survive an edit."""
    with Hive(store("ntloader_bcdvhd")) as hive:
        hive.root.ensure("Objects\\not an id").set("x", RegistryValue.dword(1))
        hive.root.ensure(f"Objects\\{Ids.BOOT_MANAGER}\\Elements\\nothing").set("Element", RegistryValue.dword(1))
        data = hive.commit()
    after, _ = with_entry(data, loader_entry(VHD, WISH))
    assert "not an id" in hivexregedit(after, tmp_path)
    with opened(after) as there:
        assert len(there.objects()) == 4
    assert f"\\Objects\\{Ids.BOOT_MANAGER}\\Elements\\nothing" in keys(after)


@settings(max_examples=300)
@given(name=st.sampled_from(["nikize_PXEBCD", "ntloader_bcdwin"]), at=st.integers(0, 16383),
       junk=st.binary(min_size=1, max_size=12), edit=st.booleans())
def test_a_damaged_store_is_told_and_nothing_else(name: str, at: int, junk: bytes, edit: bool) -> None:
    """Bytes painted over anywhere: the store is listed and extended, or it is said that it is none."""
    data = bytearray(store(name))
    at %= len(data)
    data[at:at + len(junk)] = junk[:len(data) - at]
    try:
        with opened(bytes(data)) as there:
            assert list(listing(there.objects())) is not None
            if edit:
                added = add_entry(there, loader_entry(VHD, WISH))
                remove_entry(there, added.id)
                there.commit()
    except (NotAStore, NotAnEntry):
        return
