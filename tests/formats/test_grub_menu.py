"""grub4dos' menu: the entry of an image is there once, and nothing else of the menu changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.grubmenu import Larger, MenuEntry, MenuKind, image_entry, put_entry

PATH = "/wimboot/x86/win7.ram"
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\n\r"), max_size=200)
KINDS = st.sampled_from(MenuKind)


def entry(path: str = PATH, *, kind: MenuKind = MenuKind.BIOS, title: str | None = None) -> MenuEntry:
    """An entry that is called so unless the menu calls it otherwise."""
    return image_entry(path, kind, title=title, new_title="Windows 7 (RAM)")


def test_the_entry_of_a_bios_is_that_of_the_first_such_systems() -> None:
    """Into memory from the top, the real disk behind it, the boot manager out of the image."""
    assert entry().lines() == (
        "title Windows 7 (RAM)",
        "find --set-root --ignore-floppies --ignore-cd /wimboot/x86/win7.ram",
        "map --mem --top /wimboot/x86/win7.ram (hd0)",
        "map (hd0) (hd1)",
        "map --hook",
        "root (hd0,0)",
        "chainloader /bootmgr",
        "boot",
    )


def test_of_an_image_that_ends_early_the_disk_is_as_large_as_the_entry_says() -> None:
    """In sectors, with a minus: a number alone would be an address. The volume gets the copy of its boot sector."""
    whole = entry().lines()
    larger = Larger(sectors=10485760, last=10483711)
    cut = image_entry(PATH, MenuKind.BIOS, title=None, new_title="Windows 7 (RAM)", larger=larger).lines()
    assert cut[2] == "map --top --mem=-10485760 /wimboot/x86/win7.ram (hd0)"
    assert cut[4:6] == ("map --hook", "dd if=(hd0,0)+1 of=(hd0)10483711+1")
    assert (*cut[:2], *cut[3:5], *cut[6:]) == (*whole[:2], *whole[3:])
    once = put_entry(None, entry())
    twice = put_entry(once, image_entry(PATH, MenuKind.BIOS, title=None, new_title="new", larger=larger))
    assert twice.decode().splitlines()[-len(cut):] == list(cut)
    assert put_entry(twice, entry()) == once


def test_an_older_entry_that_wrote_a_floppy_for_firadisk_is_renewed() -> None:
    """Its `vmem=find:` would have made a second disk, of the packed bytes of the image file."""
    find, load, *rest = entry().commands
    old = ("title mine", find, "map --heads=2 --sectors-per-track=18 --mem (md)0x800+4 (99)", load, *rest[:2],
           rf"write (99) [FiraDisk]\nStartOptions=disk,vmem=find:{PATH},boot;\n\0", "rootnoverify (hd0,0)", *rest[3:])
    menu = put_entry("\n".join((*old, "", "title other", "reboot", "")).encode(), entry())
    assert menu.decode().splitlines() == ["title mine", *entry().commands, "", "title other", "reboot"]


def test_under_uefi_the_disk_itself_is_started() -> None:
    """Its loader is found as a firmware would."""
    assert entry(kind=MenuKind.UEFI).lines()[2:] == (
        "map --mem --top /wimboot/x86/win7.ram (hd)", "chainloader (hd-1)", "boot")


def test_spaces_are_escaped() -> None:
    """A path with spaces is one word; other scripts stay as they are."""
    assert "map --mem --top /my\\ systems/\u7cfb\u7edf.ram (hd0)" in entry("/my systems/\u7cfb\u7edf.ram").lines()


@given(TEXTS, KINDS)
def test_a_second_time_changes_nothing(text: str, kind: MenuKind) -> None:
    """Whatever the menu held before; and everything it held is still there, in its order."""
    before = text.encode()
    once = put_entry(before, entry(kind=kind))
    assert put_entry(once, entry(kind=kind)) == once
    assert once.startswith(before)
    assert once.decode().splitlines()[-len(entry(kind=kind).lines()):] == list(entry(kind=kind).lines())


def test_a_new_menu_waits_ten_seconds() -> None:
    """And can be read by the editors of old Windows."""
    new = put_entry(None, entry())
    assert new.startswith(b"timeout 10\r\ndefault 0\r\n\r\ntitle Windows 7 (RAM)\r\n")
    assert new.count(b"\n") == new.count(b"\r\n")
    assert put_entry(new, entry()) == new


def test_an_entry_that_changed_is_replaced_where_it_stands() -> None:
    """Its title stays, what follows stays, the others stay; line ends are the menu's."""
    before = (b"\xef\xbb\xbf# mine\ntitle one\nboot\n\nTitle My system\nmap --mem /WIMBOOT/x86/win7.ram (hd0)\n\n"
              b"# two\ntitle two\nmap --mem --top /wimboot/x86/win7.ram2 (hd0)\n")
    after = put_entry(before, entry())
    commands = "\n".join(entry().commands).encode()
    assert after == (b"\xef\xbb\xbf# mine\ntitle one\nboot\n\ntitle My system\n" + commands + b"\n\n# two\ntitle two\n"
                     b"map --mem --top /wimboot/x86/win7.ram2 (hd0)\n")


def test_a_title_that_is_asked_for_is_given() -> None:
    """Also to an entry that is there."""
    before = put_entry(None, entry())
    assert b"title \xe7\xb3\xbb\xe7\xbb\x9f\r\n" in put_entry(before, entry(title="\u7cfb\u7edf"))


def test_an_entry_at_the_very_start_keeps_the_mark_before_it() -> None:
    """Of a menu whose first line is its title."""
    before = b"\xef\xbb\xbftitle Mine\nmap --mem /wimboot/x86/win7.ram (hd0)"
    after = put_entry(before, entry())
    assert after.startswith(b"\xef\xbb\xbftitle Mine\nfind ")
    assert put_entry(after, entry()) == after


@pytest.mark.parametrize("menu", [b"title \xce\xd2\xb5\xc4\xcf\xb5\xcd\xb3\n", b"title\0"])
def test_what_is_no_text_is_refused(menu: bytes) -> None:
    """A menu in an older code page, or something else altogether."""
    with pytest.raises(FormatError):
        put_entry(menu, entry())
