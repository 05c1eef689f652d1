"""Which list decides, and what `explain` says about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import build
from converted import SMALL, Converted
from mounting import copy_sparse, mounted
from running import NO_PLACE, done, refused, wimboot
from snapshots import Snapshot, pointer, snapshot

KEEP_TXT = "[PrepopulateList]\n*.txt\n"
KEEP_EXPLORER = "[PrepopulateList]\n\\Windows\\explorer.exe\n"
KEEP_MUI = "[PrepopulateList]\n*.mui\n"


def _converted(volume: Path, wim: Path, *options: object) -> Snapshot:
    done("convert", volume, "--wim", wim, *NO_PLACE, *options)
    return snapshot(volume, contents=False)


def _is_pointer(found: Snapshot, path: str) -> bool:
    return pointer(found[path]) is not None


MUI = "Windows/System32/en-US/kernel32.dll.mui"
EXPLORER = "Windows/explorer.exe"
TXT = "Features/streams/file with streams.txt"


def test_the_list_that_is_named_decides(small_volume: Path, tmp_path: Path) -> None:
    """`--config` wins over one beside the WIM."""
    (tmp_path / "WimBootCompress.ini").write_text(KEEP_EXPLORER)
    (tmp_path / "mine.ini").write_text(KEEP_TXT)
    found = _converted(small_volume, tmp_path / "store.wim", "--config", tmp_path / "mine.ini")
    assert (_is_pointer(found, TXT), _is_pointer(found, EXPLORER)) == (False, True)


def test_a_list_beside_the_wim_decides_else(small_volume: Path, tmp_path: Path) -> None:
    """No option is needed; the loader's files stay real besides."""
    (tmp_path / "WimBootCompress.ini").write_text(KEEP_EXPLORER)
    found = _converted(small_volume, tmp_path / "store.wim")
    assert (_is_pointer(found, TXT), _is_pointer(found, EXPLORER)) == (True, False)
    assert not _is_pointer(found, "Windows/System32/ntoskrnl.exe")


def test_a_list_in_the_current_folder_decides_else(
        small_volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the user stands."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "WimBootCompress.ini").write_text(KEEP_EXPLORER)
    monkeypatch.chdir(here)
    found = _converted(small_volume, tmp_path / "store.wim")
    assert (_is_pointer(found, TXT), _is_pointer(found, EXPLORER)) == (True, False)


def test_the_systems_own_list_decides_else(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """It lies in \\Windows\\System32, and is asked when nobody gave another."""
    volume = tmp_path / "own.img"
    copy_sparse(built_system(size=24 << 20, files=12, features=SMALL, config=KEEP_MUI).path, volume)
    found = _converted(volume, tmp_path / "store.wim")
    assert (_is_pointer(found, MUI), _is_pointer(found, EXPLORER)) == (False, True)


def test_the_built_in_list_decides_last(small_volume: Path, tmp_path: Path) -> None:
    """Page file and temporary files are left out, the loader's files stay real."""
    found = _converted(small_volume, tmp_path / "store.wim")
    assert (_is_pointer(found, MUI), _is_pointer(found, EXPLORER)) == (True, True)
    assert not _is_pointer(found, "Windows/System32/winload.exe")
    assert "pagefile.sys" in found


def test_what_a_list_excludes_is_not_captured_and_stays(small_volume: Path, tmp_path: Path) -> None:
    """With an exception out of it."""
    (tmp_path / "mine.ini").write_text(
        "[ExclusionList]\n\\Users\n[ExclusionException]\n\\Users\\Public\\Documents\\letter 1.txt\n")
    found = _converted(small_volume, tmp_path / "store.wim", "--config", tmp_path / "mine.ini")
    assert "Users/Default/Documents/letter 1.txt" in found
    build.make_volume(tmp_path / "full.img", size=24 << 20)
    done("apply", tmp_path / "store.wim", "1", tmp_path / "full.img", "--full")
    deployed = snapshot(tmp_path / "full.img", contents=False)
    assert "Users/Default/Documents/letter 1.txt" not in deployed


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x80\x81\x82\xff" * 100, b"; long\n" * 200_000])
def test_a_list_that_is_no_text_is_refused(content: bytes, small_volume: Path, tmp_path: Path) -> None:
    """It is named in the message; nothing is changed."""
    (tmp_path / "WimBootCompress.ini").write_bytes(content)
    wim = tmp_path / "store.wim"
    told = refused("list-damaged", 1, "convert", small_volume, "--wim", wim, *NO_PLACE, watching=(small_volume, wim))
    assert "WimBootCompress.ini" in told.err


# -- explain ----------------------------------------------------------------------------------------------------

REASONS = {
    "\\bootmgr": ("real", "rule"),
    "\\Windows\\System32\\ntoskrnl.exe": ("real", "rule"),
    "\\Windows\\System32\\config\\SYSTEM": ("real", "rule"),
    "\\Features\\resident\\8 bytes.txt": ("real", "resident"),
    "\\Features\\empty\\empty.txt": ("real", "empty"),
    "\\Features\\encrypted\\encrypted.bin": ("real", "encrypted"),
    "\\Features\\symlinks\\relative.txt": ("real", "reparse-point"),
    "\\Features\\junctions\\to Windows": ("real", "folder"),
    "\\Windows": ("real", "folder"),
    "\\pagefile.sys": ("real", "excluded"),
    "\\Windows\\Temp\\left over.tmp": ("real", "excluded"),
    "\\Windows\\explorer.exe": ("pointer", None),
    "\\Features\\links\\a\\shared.dll": ("pointer", None),
}


@pytest.mark.parametrize("path", REASONS)
def test_explain_gives_the_reason(path: str, converted_once: Converted) -> None:
    """By its stable id, and with the rule where one decided."""
    told = done("explain", converted_once.volume, path, "--json").json
    assert (told["form"], told["reason"]) == REASONS[path]
    assert bool(told["rule"]) == (told["reason"] in ("rule", "excluded"))
    if told["form"] == "pointer":
        assert told["pointer"]["place"] == "later"
        assert told["pointer"]["wim"] == str(converted_once.wim)
        facts = converted_once.before[path[1:].replace("\\", "/")]
        assert (told["bytes"], told["pointer"]["sha1"]) == facts.streams[""]
    people = done("explain", converted_once.volume, path.replace("\\", "/").upper())
    assert path in people.out
    if told["form"] == "pointer":
        assert f"its place to be decided later).\nOn this machine {converted_once.wim} holds it." in people.out


def test_explain_names_every_name_of_a_file(converted_once: Converted) -> None:
    """One pointer serves all hard links."""
    told = done("explain", converted_once.volume, "\\Features\\links\\shared too.dll", "--json").json
    assert len(told["names"]) == 4


def test_explain_says_what_could_be_a_pointer(converted_once: Converted, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a volume that was not converted yet, nothing keeps this file real but that a Windows 7 needs a driver."""
    asked = ("explain", converted_once.original, "\\Windows\\explorer.exe")
    told = done(*asked, "--json").json
    assert (told["form"], told["reason"], told["refusal"]["id"]) == ("real", None, "driver-needed")
    people = done(*asked).out
    assert "is refused:" in people
    assert "--driver" in people
    assert "makes it a pointer" not in people
    monkeypatch.setenv("WIMBOOT_WOFADK", "none")
    assert done(*asked, "--json").json["refusal"] is None
    assert "the next conversion or update makes it a pointer" in done(*asked).out
    compact = done("explain", converted_once.original, "\\Features\\compact\\compact.exe", "--json").json
    assert compact["form"] == "compact"


def test_explain_uses_the_list_that_is_named(small_volume: Path, tmp_path: Path) -> None:
    """What a conversion with it would do, down to the line of the rule."""
    config = tmp_path / "mine.ini"
    config.write_text("[PrepopulateList]\n\n\\Windows\\explorer.exe\n")
    told = done("explain", small_volume, "\\Windows\\explorer.exe", "--config", config, "--json").json
    assert told["reason"] == "rule"
    assert (told["rule"]["origin"], told["rule"]["line"]) == (str(config), 3)


def test_explain_goes_by_the_list_beside_the_wim(converted: Converted) -> None:
    """As the next update will; and where none is found it promises nothing, as that would be refused."""
    with mounted(converted.volume, write=True) as root:
        (root / "added.exe").write_bytes(b"MZ" * 5000)
    away = converted.wim.parent / "away"
    away.mkdir()
    converted.wim.rename(away / "store.wim")
    added = ("explain", converted.volume, "\\added.exe")
    assert done(*added, "--json").json["refusal"]["id"] == "wim-not-found"
    pointer = ("explain", converted.volume, "\\Windows\\explorer.exe")
    lost = done(*pointer)
    assert "No WIM at hand holds it." in lost.out
    assert "was not found" in lost.err
    told = done(*pointer, "--json").json
    assert (told["pointer"]["wim"], len(told["warnings"])) == (None, 1)
    for option in (("--wim", away / "store.wim"), ("--search", away)):
        assert done(*pointer, *option, "--json").json["pointer"]["wim"] == str(away / "store.wim")
        told = done(*added, *option, "--json").json
        assert (told["reason"], told["refusal"], told["warnings"]) == (None, None, [])
    (away / "WimBootCompress.ini").write_text("[PrepopulateList]\n\\added.exe\n")
    assert done(*added, "--search", away, "--json").json["reason"] == "rule"


def test_explain_goes_by_the_wim_of_a_volume_without_pointers(converted: Converted) -> None:
    """One that was restored in full stands on its WIM still, and an update goes by the list beside that."""
    done("restore", converted.volume, "--full")
    (converted.wim.parent / "WimBootCompress.ini").write_text(KEEP_EXPLORER)
    asked = ("explain", converted.volume, "\\Windows\\explorer.exe")
    for option in ((), ("--wim", converted.wim)):
        told = done(*asked, *option, "--json").json
        assert (told["reason"], told["refusal"]) == ("rule", None)
        assert told["rule"]["origin"] == str(converted.wim.parent / "WimBootCompress.ini")
    converted.wim.rename(converted.wim.with_suffix(".gone"))
    told = done(*asked, "--json").json
    assert (told["reason"], told["refusal"]["id"]) == (None, "wim-not-found")


def test_a_windows_of_unknown_version_is_explained(small_volume: Path) -> None:
    """By the rules of all; what would refuse it is named, and `info` does not say that there is none."""
    with mounted(small_volume, write=True) as root:
        for name in ("config/SOFTWARE", "ntoskrnl.exe", "kernel32.dll"):
            (root / "Windows/System32" / name).unlink()
    told = done("explain", small_volume, "\\Windows\\explorer.exe", "--json").json
    assert (told["reason"], told["refusal"]["id"]) == (None, "unknown-windows")
    assert "a Windows is there" in told["warnings"][0]
    refused("unknown-windows", 1, "convert", small_volume, "--wim", small_volume.with_name("store.wim"), *NO_PLACE)
    seen = done("info", small_volume)
    assert "one whose version cannot be read" in seen.out
    assert "none found" not in seen.out
    found = done("info", small_volume, "--json").json["volume"]
    assert (found["windows"], found["windows_unknown"]) == (None, True)


def test_explain_refuses_what_is_not_there(small_volume: Path) -> None:
    """A path that no file has, a code that nobody knows."""
    refused("no-such-path", 2, "explain", small_volume, "\\nothing\\here")
    assert wimboot("explain", "ffffffff").code in (1, 2)


@pytest.mark.parametrize("code", ["c000046e", "0xC000046E", "1314", "wim-not-backable"])
def test_explain_knows_the_codes(code: str) -> None:
    """Those of Windows, of wimlib, of the original's list, and ours."""
    told = wimboot("explain", code, "--json")
    if told.code == 0:
        assert told.json["codes"][0]["when"]
        assert done("explain", code).out
    else:
        assert code == "wim-not-backable"


def test_a_volume_edited_since_is_explained_as_it_is(converted: Converted) -> None:
    """A pointer that was written to is an ordinary file that the next conversion would point."""
    with mounted(converted.volume, write=True) as root:
        (root / "Windows/explorer.exe").unlink()
        (root / "Windows/explorer.exe").write_bytes(b"MZ" * 5000)
    told = done("explain", converted.volume, "\\Windows\\explorer.exe", "--json").json
    assert (told["form"], told["reason"]) == ("real", None)
    assert told["fragments"] >= 1
    assert sum(run["bytes"] for run in told["runs"]) >= 10_000
