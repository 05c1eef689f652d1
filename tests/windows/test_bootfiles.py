"""Which files stay real because the registry starts with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.registry import Hive, RegistryValue, new_hive
from wimboot.windows.bootfiles import boot_files, image_path


def system_hive() -> bytes:
    """A SYSTEM hive with two control sets whose drivers lie in all the places that ImagePath can name."""
    with Hive(new_hive()) as hive:
        hive.root.ensure("Select").set("Default", RegistryValue.dword(1))
        for number in (1, 2):
            control_set = f"ControlSet00{number}"
            for name, start, path in (
                ("plain", 0, None), ("rooted", 1, "\\SystemRoot\\System32\\drivers\\rooted.sys"),
                ("elsewhere", 0, "\\??\\C:\\Program Files\\Shield\\shield.sys"), ("later", 3, "system32\\later.sys"),
                (f"only{number}", 0, f"system32\\only{number}.sys"),
            ):
                service = hive.root.ensure(f"{control_set}\\services\\{name}")
                service.set("Start", RegistryValue.dword(start))
                service.set("Type", RegistryValue.dword(1))
                if path is not None:
                    service.set("ImagePath", RegistryValue.expand_sz(path))
            hive.root.ensure(f"{control_set}\\Control\\Nls\\CodePage").set("OEMHAL", RegistryValue.sz("vga936.fon"))
        return hive.commit()


def test_every_early_driver_of_every_control_set_is_named() -> None:
    """Boot and system drivers, wherever they lie, and the OEM font; not those that start later."""
    hive = system_hive()
    both = "(ControlSet001, ControlSet002)"
    assert boot_files(lambda path: hive if path.casefold().endswith("\\config\\system") else None) == {
        "\\Program Files\\Shield\\shield.sys": f"service elsewhere, at boot time {both}",
        "\\Windows\\Fonts\\vga936.fon": f"OEMHAL, the font of the loader {both}",
        "\\Windows\\System32\\drivers\\plain.sys": f"service plain, at boot time {both}",
        "\\Windows\\System32\\drivers\\rooted.sys": f"service rooted, at system time {both}",
        "\\Windows\\system32\\only1.sys": "service only1, at boot time (ControlSet001)",
        "\\Windows\\system32\\only2.sys": "service only2, at boot time (ControlSet002)",
    }


@pytest.mark.parametrize("data", [None, b"", b"regf" + bytes(5000)])
def test_an_unreadable_hive_names_nothing(data: bytes | None) -> None:
    """The built-in list has to do then."""
    assert boot_files(lambda _: data) == {}


@pytest.mark.parametrize(("value", "path"), [
    (None, "\\Windows\\System32\\drivers\\x.sys"), ("", "\\Windows\\System32\\drivers\\x.sys"),
    ("system32\\drivers\\y.sys", "\\Windows\\system32\\drivers\\y.sys"),
    ("\\SystemRoot\\y.sys", "\\Windows\\y.sys"), ("%SystemRoot%\\y.sys", "\\Windows\\y.sys"),
    ("\\??\\D:\\a\\y.sys", "\\a\\y.sys"), ("C:\\a\\y.sys", "\\a\\y.sys"), ('"C:\\a b\\y.sys"', "\\a b\\y.sys"),
])
def test_an_image_path_is_read_as_windows_does(value: str | None, path: str) -> None:
    """Each form of ImagePath leads to one path on the system's volume."""
    assert image_path("x", value) == path


@given(st.text(max_size=60))
def test_any_image_path_gives_some_path(value: str) -> None:
    """A hive may say anything; the answer is text."""
    assert isinstance(image_path("x", value), str)
