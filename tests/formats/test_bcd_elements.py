"""Elements of boot configuration stores: laws, the forms of real stores, and bytes that are of no form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_samples import BCD_STORES, store
from wimboot.formats.bcd import DeviceValue, Element, ElementType, ObjectType, Value, element_class, object_id
from wimboot.formats.bcdnames import Ids, element_name, heading, integer_text
from wimboot.formats.bootdevice import BootDevice, PartitionDevice
from wimboot.formats.guid import BadGuid
from wimboot.registry import Hive

GUIDS = st.uuids().map(lambda guid: f"{{{guid}}}")
TEXTS = st.text(st.characters(codec="utf-16-le", exclude_characters="\0"), max_size=20)
U64 = st.integers(0, 2 ** 64 - 1)
DEVICES = st.builds(DeviceValue, device=st.just(BootDevice()) | st.builds(
    PartitionDevice.mbr, st.integers(1, 2 ** 32 - 1), st.integers(1, 2 ** 40)), options=st.binary(min_size=16,
                                                                                                max_size=16))
PAIRS: dict[int, st.SearchStrategy[Value]] = {
    1: DEVICES, 2: TEXTS, 3: GUIDS, 4: st.lists(GUIDS, max_size=4).map(tuple), 5: U64, 6: st.booleans(),
    7: st.lists(U64, min_size=1, max_size=4).map(tuple)}


@given(st.sampled_from(sorted(PAIRS)).flatmap(lambda kind: st.tuples(
    st.integers(0, 0xF0FF_FFFF).map(lambda type_: type_ & 0xF0FF_FFFF | kind << 24), PAIRS[kind])))
def test_a_value_survives_its_element(pair: tuple[int, Value]) -> None:
    """What is put in comes out, with the type of the registry that its format has."""
    type_, value = pair
    element = Element.of(type_, value)
    assert element.value == value
    assert type(element.value) is type(value)
    assert element.registry_type == {2: 1, 3: 1, 4: 7}.get(type_ >> 24 & 0xF, 3)


@given(st.builds(Element, type=st.integers(0, 2 ** 32 - 1), registry_type=st.integers(0, 12),
                 data=st.binary(max_size=120)))
def test_any_bytes_have_a_value_or_none(element: Element) -> None:
    """Nothing is raised for what a store holds."""
    assert element.value is None or isinstance(element.value, DeviceValue | str | int | tuple)


@pytest.mark.parametrize("name", BCD_STORES)
def test_every_element_of_a_real_store_is_understood_and_written_the_same(name: str) -> None:
    """Each value of each object reads as its format says; an element made of it has its bytes, but for a second NUL."""
    count = 0
    with Hive(store(name)) as hive:
        for each in (hive.root.child("Objects") or hive.root).children():
            elements = each.child("Elements")
            for key in elements.children() if elements else ():
                value = key.value("Element")
                assert value is not None
                element = Element(type=int(key.name, 16), registry_type=value.type, data=value.data)
                assert element.value is not None, (each.name, key.name)
                again = Element.of(element.type, element.value)
                ended_twice = element.registry_type == 1 and again.data + b"\0\0" == element.data
                assert again.data == element.data or ended_twice
                assert again.registry_type == element.registry_type
                count += 1
    assert count >= 9


@pytest.mark.parametrize(("type_", "value"), [
    (ElementType.DEVICE, "a text"), (ElementType.PATH, 3), (ElementType.TIMEOUT, True), (ElementType.DETECT_HAL, 1),
    (ElementType.DISPLAY_ORDER, (1, 2)), (ElementType.ALLOWED_IN_MEMORY, ("a",)), (ElementType.TIMEOUT, -1),
    (ElementType.TIMEOUT, 2 ** 64), (ElementType.DESCRIPTION, "a\0b"),
    (ElementType.DEVICE, DeviceValue(device=BootDevice(), options=b"short")),
])
def test_a_value_of_another_format_is_never_written(type_: int, value: Value) -> None:
    """A caller's mistake is told before bytes exist."""
    with pytest.raises(ValueError, match=r"hold|bits|NUL|16 bytes"):
        Element.of(type_, value)


def test_what_is_not_of_its_format_stays_bytes() -> None:
    """A short integer, a device with a tail, a string in binary: no value, and the bytes as they were."""
    for type_, stored, data in ((ElementType.TIMEOUT, 3, b"\1\0\0\0"), (ElementType.DETECT_HAL, 3, b""),
                                (ElementType.DEVICE, 3, bytes(16) + BootDevice().pack() + b"\0"),
                                (ElementType.DEVICE, 3, bytes(20)),
                                (ElementType.PATH, 3, b"a\0\0\0"), (ElementType.DISPLAY_ORDER, 1, b"a\0\0\0")):
        assert Element(type=type_, registry_type=stored, data=data).value is None


def test_ids_are_written_in_one_way() -> None:
    """With or without braces, in any case; what is no GUID is refused."""
    assert object_id("9DEA862C-5cdd-4e70-acc1-f32b344d4795") == Ids.BOOT_MANAGER == object_id(Ids.BOOT_MANAGER.upper())
    with pytest.raises(BadGuid):
        object_id("{bootmgr}")


def test_names_depend_on_the_application() -> None:
    """The same number means another thing to another program; what has no name is shown by its type."""
    assert element_name(ObjectType.OS_LOADER, 0x23000003) == "resumeobject"
    assert element_name(ObjectType.BOOT_MANAGER, 0x23000003) == "default"
    assert element_name(ObjectType.RESUME, 0x21000001) == "filedevice"
    assert element_name(ObjectType.OS_LOADER, 0x46000010) == "custom:46000010"
    assert element_name(0x101FFFFF, 0x21000001) == "custom:21000001"
    assert element_name(ObjectType.DEVICE_OPTIONS, 0x32000004) == "ramdisksdipath"
    assert element_class(0x46000010) == 4
    assert (integer_text("nx", 1), integer_text("nx", 9), integer_text("timeout", 3)) == ("OptOut", "9", "3")
    assert heading(0x1020000A, "{}") == "Application (1020000a)"
