"""The main job, judged by others: what a converted volume is, beside what it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

from converted import LOST_BITS, OVERLAY_FILES, Converted, unpacked
from judges import every_pointer_leads_home, run, sound_volume, sound_wim
from snapshots import differences, pointer, seen_through

COMPACT = "Features/compact/compact.exe"


def _pointers(converted: Converted) -> set[str]:
    return {path for path, facts in converted.after.items() if pointer(facts) is not None}


def test_a_converted_volume_is_sound(converted_once: Converted) -> None:
    """Every judge of volumes finds nothing."""
    sound_volume(converted_once.volume)


def test_the_wim_of_a_conversion_is_sound(converted_once: Converted) -> None:
    """wimlib verifies and lists it, 7z lists it, the driver could read every blob of it."""
    sound_wim(converted_once.wim)


def test_every_pointer_leads_to_the_bytes_that_the_file_had(converted_once: Converted) -> None:
    """Parsed by dissect, unpacked by libwim, hashed: each pointer's contents are the original file's."""
    pointers = _pointers(converted_once)
    expected = {path: converted_once.before[path].streams[""][1] for path in pointers if path != COMPACT}
    expected[COMPACT] = hashlib.sha1(unpacked(converted_once.original, COMPACT), usedforsecurity=False).hexdigest()
    found = every_pointer_leads_home(converted_once.volume, converted_once.wim, expected)
    assert found == len({converted_once.after[path].record for path in pointers})
    assert found > 100


def test_a_conversion_changes_nothing_that_windows_shows(converted_once: Converted) -> None:
    """Contents seen through, names, short names, times, security, streams, links, object ids and EAs are the same."""
    assert not differences(converted_once.before, seen_through(converted_once.after), attribute_mask=LOST_BITS,
                           without=(COMPACT, *OVERLAY_FILES))


def test_a_compact_file_becomes_a_pointer_to_what_it_contains(converted_once: Converted) -> None:
    """Its compressed stream and its own reparse point are gone, its size, times and security are not."""
    before, after = converted_once.before[COMPACT], seen_through(converted_once.after)[COMPACT]
    content = unpacked(converted_once.original, COMPACT)
    assert after.streams == {"": (len(content), hashlib.sha1(content, usedforsecurity=False).hexdigest())}
    assert (before.security, before.creation, before.last_write) == (after.security, after.creation, after.last_write)


def test_the_files_that_the_loader_reads_stay_real(converted_once: Converted) -> None:
    """Windows 7 could not start otherwise."""
    pointers = _pointers(converted_once)
    loader = ("bootmgr", "Boot/BCD", "Windows/System32/ntoskrnl.exe", "Windows/System32/winload.exe",
              "Windows/System32/config/SYSTEM", "Windows/System32/drivers/ntfs.sys", "Windows/System32/c_1252.nls",
              "Windows/Fonts/vgaoem.fon")
    assert not pointers & set(loader)
    assert {"Windows/explorer.exe", "Windows/System32/kernel32.dll"} <= pointers


def test_the_space_that_a_conversion_frees_is_what_it_says(converted_once: Converted) -> None:
    """ntfsinfo counts the free clusters; the pointers and files told are those on the volume."""
    told = converted_once.told
    assert told["freed_bytes"] == _free(converted_once.volume) - _free(converted_once.original) > 1_000_000
    assert told["pointed"] == len({converted_once.after[path].record for path in _pointers(converted_once)})


def _free(volume: Path) -> int:
    said = run("ntfsinfo", "-m", volume)
    (clusters,) = [line.split(":")[1].split()[0] for line in said.splitlines() if "Free Clusters" in line]
    return int(clusters) * 4096


def test_encrypted_files_are_left_as_they_are_and_named(converted_once: Converted) -> None:
    """Their raw bytes, their keys and their attributes are those from before."""
    path = "Features/encrypted/encrypted.bin"
    assert not differences({path: converted_once.before[path]}, {path: converted_once.after[path]})
    assert converted_once.after[path].efs


def test_what_the_lists_exclude_stays_on_the_volume(converted_once: Converted) -> None:
    """The page file and temporary files are as they were."""
    for path in ("pagefile.sys", "Windows/Temp/left over.tmp", "System Volume Information/tracking.log"):
        assert not differences({path: converted_once.before[path]}, {path: converted_once.after[path]}), path
