"""What docs/front-ends.md says of documents and errors is what they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from converted import Converted
from running import done, notes, wimboot
from volume_edits import edit

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs/front-ends.md").read_text(encoding="utf-8")
EVERYWHERE = ("schema",)


def keys(document: object) -> Iterator[str]:
    """Of a document, and of all in it."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from keys(value)
    elif isinstance(document, list):
        for one in document:
            yield from keys(one)


def names_all(heading: str, document: dict[str, Any]) -> None:
    """Whether the chapter has each key as code."""
    assert heading in DOC
    words = set(re.findall(r"`([\w-]+)`", DOC.partition(heading)[2].partition("\n## ")[0]))
    assert not set(keys(document)) - words - set(EVERYWHERE)


def test_explain_relocate_and_restore_name_every_key(converted: Converted) -> None:
    """Of a pointer, of a real file with its rule and runs, of a place, of what is brought back."""
    volume, wim = converted.volume, converted.wim
    pointer = next(path for path, facts in converted.after.items() if facts.reparse and path.endswith(".dll"))
    for path in (pointer, "Windows/System32/ntoskrnl.exe"):
        told = done("explain", volume, "\\" + path.replace("/", "\\"), "--json").json
        names_all("## What `explain` told", told)
        if told["pointer"] is not None:
            assert told["pointer"]["wim"] == str(wim)
    names_all("## What `relocate` did", done("relocate", volume, "--wim", wim, "--as", "later", "--json").json)
    edit(volume)
    names_all("## What `restore` did", done("restore", volume, "--wim", wim, "--dry-run", "--json").json)


def test_info_names_every_key_of_a_volume(converted_once: Converted) -> None:
    """Its data sources have a chapter of their own."""
    told = done("info", converted_once.volume, "--json").json["volume"]
    assert told["windows"]
    (source,) = told.pop("sources")
    names_all("## Where a WIM is", source)
    names_all("## What a volume holds", told)


def test_ram_names_every_key_of_its_disk(converted: Converted, tmp_path: Path) -> None:
    """What `apply` has as well is told with it."""
    told = done("ram", converted.volume, tmp_path / "a.ram", "--size", "256M", "--driver", "none", "--wim-place",
                "mbr:5cbea03e:1048576:\\store.wim", "--dry-run", "--json").json
    names_all("## What `ram` did", {"disk": told["disk"], "menu": told["menu"]})
    assert (told["disk"]["packed_bytes"], told["disk"]["file_bytes"]) == (0, 0)


def test_a_place_that_is_kept_is_a_warning(converted: Converted) -> None:
    """Without --as, the WIM on a disk of this machine only."""
    volume, wim = converted.volume, converted.wim
    assert notes("relocate", volume, "--wim", wim)["place-kept"].warning
    told = done("relocate", volume, "--wim", wim, "--json").json
    assert told["before"] == told["after"] == "later"


@pytest.mark.parametrize(("arguments", "error"), [
    (("capture", "{volume}", "--wim", "{base}/nothing/here.wim"), "host-missing"),
    (("capture", "{volume}", "--wim", "{base}/file/here.wim"), "host-not-usable"),
    (("info", "{base}/none.img"), "no-target"), (("info", "{base}"), "not-a-target"),
    (("info", "{volume}#7"), "no-partition"), (("images", "{base}/none.wim"), "wim-missing")],
    ids=lambda value: value if isinstance(value, str) else value[0])
def test_what_the_host_refuses_has_the_facts_that_are_told(
        arguments: tuple[str, ...], error: str, converted: Converted, tmp_path: Path) -> None:
    """And the exit code, in the table and in both READMEs."""
    (tmp_path / "file").write_bytes(b"a text")
    run = wimboot(*(one.format(volume=converted.original, base=tmp_path) for one in arguments), "--json")
    document = run.json
    assert document["error"]["id"] == error
    row = next(line for line in DOC.splitlines() if line.startswith(f"| `{error}` |"))
    code, facts = row.split("|")[2].strip(), set(re.findall(r"`(\w+)`", row.split("|")[4]))
    assert (run.code, document["exit"]) == (int(code), int(code))
    assert facts <= document["error"].keys()
    for name_of in ("README.md", "README.zh-CN.md"):
        text = (ROOT / name_of).read_text(encoding="utf-8")
        words = {error, "read-only", "place-kept", "pointer.wim"} - {"not-a-target"}    # told in words there
        assert all(f"`{word}`" in text for word in words)
