"""A place that is left for later is told in words: "later" is what a user writes, and no place."""

from __future__ import annotations

import re
from pathlib import Path

from converted import Converted
from running import done, wimboot

PLACE = "mbr:5cbea03e:1048576:\\store.wim"
AS_A_PLACE = re.compile(r"\b(?:at|from|to|as|on) later\b|\(later\)")
WORDS = "its place to be decided later"


def test_no_verb_calls_later_a_place(converted: Converted, tmp_path: Path) -> None:
    """Nor does one say None; with the WIM at hand and without it."""
    volume, wim = converted.volume, converted.wim
    pointer = next(path for path, facts in converted.after.items() if facts.reparse and path.endswith(".dll"))
    path = "\\" + pointer.replace("/", "\\")
    told = {
        "info": done("info", volume), "explain": done("explain", volume, path), "space": done("space", volume),
        "stays": done("relocate", volume, "--wim", wim, "--as", "later", "--dry-run"),
        "placed": done("relocate", volume, "--wim", wim, "--as", PLACE, "--dry-run"),
    }
    assert f", {WORDS}\n" in told["info"].out
    assert f"({WORDS})" in told["explain"].out
    assert "has no place yet" in told["stays"].out
    assert f"would be registered at {PLACE}; it had no place yet" in told["placed"].out
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    wim.rename(hidden / wim.name)
    told["lost"] = wimboot("space", volume)
    assert f"{WORDS}, was not found" in told["lost"].out
    told["checked"] = wimboot("verify", volume)
    assert f"{WORDS}; looked at" in told["checked"].out + told["checked"].err
    told["taken out"] = wimboot("extract", volume, path, tmp_path / "out")
    assert f"{WORDS}, was not found" in told["taken out"].err
    done("relocate", volume, "--wim", hidden / wim.name, "--as", PLACE)
    told["unplaced"] = done("relocate", volume, "--wim", hidden / wim.name, "--as", "later")
    assert f"was taken from {PLACE}, {WORDS}" in told["unplaced"].out
    for verb, run in told.items():
        text = " ".join((run.out + run.err).split())
        assert not AS_A_PLACE.search(text), verb
        assert "None" not in text, verb
