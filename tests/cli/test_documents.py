"""The JSON contract: one document on standard output and nothing else, with a schema; errors as documents too."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from converted import Converted, fresh_volume
from mounting import copy_sparse, mounted
from overlay_forging import write_overlay
from running import NO_PLACE, done, unchanged, wimboot
from snapshots import pointer
from wim_bytes import read_wim
from wimboot.wim import Store

HEADER_SIZE = 208
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _commands(converted: Converted, folder: Path) -> dict[str, tuple[object, ...]]:
    fresh = fresh_volume(folder / "fresh.img")
    volume, wim = converted.volume, converted.wim
    return {
        "info": ("info", volume), "images": ("images", wim, "--hash"), "explain": ("explain", volume, "\\bootmgr"),
        "code": ("explain", "c000046e"), "verify": ("verify", volume, "--wim", wim),
        "verify wim": ("verify", "--wim", wim), "recover": ("recover", volume, "--wim", wim),
        "capture": ("capture", converted.original, "--wim", folder / "new.wim"),
        "convert": ("convert", volume, "--wim", wim, *NO_PLACE),
        "restore": ("restore", volume, "--wim", wim), "apply": ("apply", wim, "1", fresh, *NO_PLACE),
        "capture dry": ("capture", volume, "--wim", wim, "--dry-run"),
        "convert dry": ("convert", volume, "--wim", wim, *NO_PLACE, "--dry-run"),
        "rehydrate dry": ("rehydrate", volume, "--wim", wim, "--dry-run"),
        "extract": ("extract", volume, "\\Windows\\INF", folder / "out"),
        "restore dry": ("restore", volume, "--wim", wim, "--dry-run"),
    }


def test_every_document_has_the_schema(converted: Converted, tmp_path: Path) -> None:
    """And is the only thing on standard output, whatever the verb warned of."""
    for name, command in _commands(converted, tmp_path).items():
        assert done(*command, "--json").json["schema"] == 1, name


@pytest.mark.parametrize("command", [
    ("info", "/nothing"), ("images", "/nothing.wim"), ("verify",), ("convert", "/nothing", "--wim", "/no/x.wim"),
    ("convert",), ("frobnicate",), ("info", "--frobnicate"), ("explain", "ffffffff"), ("apply", "x", "1"),
    ("capture", "/nothing", "--wim", "/x.wim", "--threads", "many"), ("recover", "/nothing"),
])
def test_every_error_is_a_document(command: tuple[str, ...]) -> None:
    """With a stable id, a message and the exit code that the process has."""
    run = wimboot(*command, "--json")
    document = run.json
    assert run.code in (1, 2, 3, 4)
    assert document["schema"] == 1
    assert document["exit"] == run.code
    assert re.fullmatch(r"[a-z][a-z0-9-]*", document["error"]["id"])
    assert document["error"]["message"]


def test_info_describes_a_converted_volume(converted_once: Converted) -> None:
    """Product, form, data sources, counts and sizes, as they are."""
    told = done("info", converted_once.volume, "--json").json
    volume = told["volume"]
    assert volume["windows"] | {"overlay_driver": ""} == {
        "product": "Windows 7 Ultimate", "version": "6.1", "build": 7601, "edition": "Ultimate",
        "release": None, "service_pack": 1, "installed": None,
        "architecture": "amd64", "languages": ["en-US"], "overlay_driver": ""}
    assert volume["wimboot"] is True
    assert re.fullmatch(r"Win_6\.1_\d{12}", volume["next_image_name"])
    (source,) = volume["sources"]
    assert GUID.fullmatch(source["guid"])
    assert (source["id"], source["image"], source["place"], source["behind"]) == (0, 1, "later", False)
    assert source["wim"] == str(converted_once.wim)
    assert source["pointers"] == volume["pointers"] == converted_once.told["pointed"]
    assert 0 < source["bytes_in_wim"] < converted_once.wim.stat().st_size
    assert 0 < volume["occupied_bytes"] < volume["virtual_bytes"]
    assert volume["full"] + volume["pointers"] + volume["resident"] == volume["files"]
    assert told["disk"]["bytes"] == converted_once.volume.stat().st_size
    assert told["warnings"] == []


def test_info_asks_the_wim_for_no_blob_of_its_own(converted_once: Converted, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pointers take in the WIM is summed in one pass, for there may be 100,000; it is what others read."""
    asked: list[bytes] = []
    blob = Store.blob

    def counting(store: Store, sha1: bytes) -> object:
        asked.append(sha1)
        return blob(store, sha1)

    monkeypatch.setattr(Store, "blob", counting)
    (source,) = done("info", converted_once.volume, "--json").json["volume"]["sources"]
    assert source["pointers"] > 100
    assert len(asked) < source["pointers"] // 4
    blobs = read_wim(converted_once.wim).blobs
    needed = {bytes.fromhex(promise[1]) for facts in converted_once.after.values() if (promise := pointer(facts))}
    assert source["bytes_in_wim"] == sum(blobs[sha1].stored_size for sha1 in needed)


def test_info_describes_a_volume_that_was_not_converted(converted_once: Converted) -> None:
    """No sources, no pointers; the compact file is counted."""
    volume = done("info", converted_once.original, "--json").json["volume"]
    assert (volume["wimboot"], volume["sources"], volume["pointers"], volume["compact"]) == (False, [], 0, 1)


def test_a_damaged_table_of_data_sources_makes_no_ordinary_files(converted: Converted) -> None:
    """The pointers are still there: `info` names the command that mends the table, in a sentence of its own."""
    write_overlay(converted.volume, dat=b"WoCf" + bytes(100))
    for verb in ("info", "space"):
        run = done(verb, converted.volume)
        assert re.search(rf"is damaged: WimOverlay[^`]+\. `wimboot verify {converted.volume} --repair`",
                         run.out + run.err), verb
    told = done("info", converted.volume)
    assert "ordinary files" not in told.out
    assert "it names no WIM" in told.out
    assert done("info", converted.volume, "--json").json["volume"]["wimboot"] is True
    done("verify", converted.volume, "--repair", "--wim", converted.wim)
    assert "it names no WIM" not in done("info", converted.volume).out


def test_images_lists_them_with_their_own_bytes(converted: Converted) -> None:
    """A second image of the same volume holds nothing of its own but what changed."""
    with mounted(converted.volume, write=True) as root:
        (root / "Windows/added.bin").write_bytes(bytes(range(256)) * 100)
    done("capture", converted.volume, "--wim", converted.wim, "--name", "\u7b2c\u4e8c")
    told = done("images", converted.wim, "--json").json
    assert GUID.fullmatch(told["guid"])
    assert (told["compression"], told["chunk_bytes"], told["not_backable"]) == ("xpress", 4096, None)
    first, second = told["images"]
    assert (first["name"], second["name"]) == ("first", "\u7b2c\u4e8c")
    assert (first["version"], first["architecture"]) == ("6.1.7601", "x64")
    assert datetime.fromisoformat(first["created"]).utcoffset() is not None
    assert second["only_here_bytes"] == 25_600
    assert 0 < second["only_here_bytes_in_wim"] < 25_600
    assert (told["md5"], told["sha1"]) == (None, None)


def test_images_hash_is_that_of_the_file(converted_once: Converted) -> None:
    """Size, MD5 and SHA-1, as such WIMs are published, for people too."""
    told = done("images", converted_once.wim, "--json", "--hash").json
    data = converted_once.wim.read_bytes()
    assert told["bytes"] == len(data)
    assert told["md5"] == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert told["sha1"] == hashlib.sha1(data, usedforsecurity=False).hexdigest()
    people = done("images", converted_once.wim, "--hash").out
    assert told["sha1"] in people
    assert f"{len(data):,}" in people


def test_convert_tells_what_it_did(converted_once: Converted) -> None:
    """The image, the growth, the counts; each file is accounted for."""
    told = converted_once.told
    assert told["image"]["index"] == 1
    assert uuid.UUID(told["image"]["wim_guid"]).bytes_le == read_wim(converted_once.wim).guid
    assert told["image"]["grown_bytes"] == converted_once.wim.stat().st_size - HEADER_SIZE
    assert (told["data_source_id"], told["dry_run"]) == (0, False)
    assert set(told["real"]) <= {"rule", "resident", "empty", "encrypted", "reparse-point", "folder", "excluded",
                                 "not-in-wim", "too-large", "already-pointer"}
    assert told["real"]["encrypted"] == 1


def test_verify_tells_each_problem(converted: Converted) -> None:
    """With the id, the file and the sentence; exit code 3."""
    data = bytearray(converted.wim.read_bytes())
    digest = bytes.fromhex(converted.before["Windows/explorer.exe"].streams[""][1])
    blob = read_wim(converted.wim).blobs[digest]
    data[blob.offset + 10] ^= 0xFF
    converted.wim.write_bytes(data)
    run = wimboot("verify", converted.volume, "--wim", converted.wim, "--json")
    assert (run.code, run.json["sound"], run.json["problem_count"]) == (3, False, 1)
    assert digest.hex() in run.json["problems"][0]["text"]
    quick = wimboot("verify", converted.volume, "--wim", converted.wim, "--json", "--quick")
    assert (quick.code, quick.json["data_bytes"]) == (0, 0)


def test_a_dry_run_tells_and_writes_nothing(converted: Converted, tmp_path: Path) -> None:
    """Not one byte, not one time; the document says that it was one."""
    fresh = fresh_volume(tmp_path / "fresh.img")
    volume, wim, new = converted.volume, converted.wim, tmp_path / "new.wim"
    original = tmp_path / "original.img"
    copy_sparse(converted.original, original)
    with unchanged(volume, wim, fresh, new, original):
        for command in (("capture", volume, "--wim", wim), ("capture", original, "--wim", new),
                        ("convert", volume, "--wim", wim, *NO_PLACE), ("convert", original, "--wim", new, *NO_PLACE),
                        ("convert", original, "--wim", new, *NO_PLACE, "--format"),
                        ("apply", wim, "1", fresh, *NO_PLACE), ("apply", wim, "1", volume, "--format", "--full"),
                        ("restore", volume, "--wim", wim), ("restore", volume, "--wim", wim, "--format")):
            if "--format" in command and command[0] != "apply":
                assert wimboot(*command, "--dry-run").code == 4  # its encrypted file would go
                continue
            assert done(*command, "--dry-run", "--json").json["dry_run"] is True, command
            told = done(*command, "--dry-run").out
            assert "Would" in told or "nothing to do" in told, command


def test_what_a_dry_run_foretells_happens(small_volume: Path, tmp_path: Path) -> None:
    """The figures of a conversion's preview are those of the conversion."""
    wim = tmp_path / "store.wim"
    before = done("convert", small_volume, "--wim", wim, *NO_PLACE, "--dry-run", "--json").json
    after = done("convert", small_volume, "--wim", wim, *NO_PLACE, "--json").json
    for figure in ("files", "pointed"):
        assert before[figure] == after[figure], figure
    assert 0 <= after["read_bytes"] - before["read_bytes"] <= 8192  # by what the registry grows
    assert before["image"] is None


# -- event lines ------------------------------------------------------------------------------------------------


def _events(err: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err.splitlines()]


def test_progress_json_is_one_event_a_line(small_volume: Path, tmp_path: Path) -> None:
    """Phases with a beginning and an end, notes; nothing else on standard error, the result on standard output."""
    wim = tmp_path / "store.wim"
    run = done("convert", small_volume, "--wim", wim, *NO_PLACE, "--progress", "json", "--json")
    events = _events(run.err)
    assert {event["event"] for event in events} <= {"phase", "progress", "phase-end", "note", "problem"}
    begun = [event["name"] for event in events if event["event"] == "phase"]
    ended = [event["name"] for event in events if event["event"] == "phase-end"]
    assert begun == ended
    assert [name for name in begun if name in ("capture", "read-back", "point")] == ["capture", "read-back", "point"]
    for event in events:
        if event["event"] == "phase-end" and event["name"] in ("capture", "read-back", "point"):
            total = next(each["total"] for each in events if each["event"] == "phase" and each["name"] == event["name"])
            assert event["done"] == total, event["name"]
    notes = {event["id"] for event in events if event["event"] == "note"}
    assert "no-driver" in notes
    assert "place-later" not in notes       # which was what had been typed
    assert run.json["schema"] == 1


@pytest.mark.parametrize("command", ["capture", "apply", "restore", "verify", "images"])
def test_every_verb_tells_its_progress(command: str, converted: Converted, tmp_path: Path) -> None:
    """At least one phase, each one ended."""
    arguments = {key: value for key, value in _commands(converted, tmp_path).items() if key == command}[command]
    events = _events(done(*arguments, "--progress", "json").err)
    assert [event["event"] for event in events].count("phase") == [event["event"] for event in events].count(
        "phase-end") > 0


def test_problems_are_events_too(converted: Converted) -> None:
    """A front-end need not read sentences."""
    data = bytearray(converted.wim.read_bytes())
    blob = max((blob for blob in read_wim(converted.wim).blobs.values() if not blob.flags & 2),
               key=lambda blob: blob.stored_size)
    data[blob.offset + 10] ^= 0xFF
    converted.wim.write_bytes(data)
    run = wimboot("verify", "--wim", converted.wim, "--progress", "json")
    assert run.code == 3
    lines = [json.loads(line) for line in run.err.splitlines() if line.startswith("{")]
    assert [event["id"] for event in lines if event["event"] == "problem"] == ["blob-damaged"]
