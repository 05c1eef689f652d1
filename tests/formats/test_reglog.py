"""Hives and their transaction logs, as Windows would load them."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_samples import log_pair, sample
from wimboot.errors import FormatError
from wimboot.formats import reglog
from wimboot.formats._marvin import marvin32
from wimboot.formats.regf import BaseBlock, FileType
from wimboot.formats.reglog import LogEntry, LogsUnusable, pack_entry, pack_old_log, replay

SEED = 0x82EF4D887A4E55C5
PAGE = 4096


def hive(*, sequence1: int = 11, sequence2: int = 10, pages: int = 3, written: int = 50) -> bytes:
    """A hive's bytes: page n of its bins is full of n."""
    block = BaseBlock(sequence1=sequence1, sequence2=sequence2, bins_size=pages * PAGE, written=written)
    return block.pack().ljust(PAGE, b"\0") + b"".join(bytes([page]) * PAGE for page in range(pages))


def entry(sequence: int, *pages: int, bins: int = 3, flags: int = 0) -> bytes:
    """An entry that fills each of `pages` with its sequence."""
    changed = tuple((page * PAGE, memoryview(bytes([sequence]) * PAGE)) for page in pages)
    return pack_entry(LogEntry(sequence=sequence, bins_size=bins * PAGE, flags=flags, pages=changed))


def log(*entries: bytes, first: int = 10, room: int = 0) -> bytes:
    """A new log whose base block names the sequence of its first entry."""
    block = BaseBlock(sequence1=first, sequence2=first, bins_size=3 * PAGE, file_type=FileType.NEW_LOG)
    return block.pack() + b"".join(entries) + bytes(room)


def page(data: bytes, number: int) -> int:
    """What page `number` of the bins is full of."""
    content = set(data[(number + 1) * PAGE:(number + 2) * PAGE])
    assert len(content) == 1
    return content.pop()


def slow_marvin32(data: bytes) -> int:
    """The hash in plain Python, from its published definition."""
    low, high, mask = SEED & 0xFFFFFFFF, SEED >> 32, 0xFFFFFFFF

    def rotated(value: int, bits: int) -> int:
        return (value << bits | value >> (32 - bits)) & mask

    for (word,) in struct.iter_unpack("<I", data + b"\x80\0\0\0\0\0\0\0"):
        low = (low + word) & mask
        high ^= low
        low = (rotated(low, 20) + high) & mask
        high = rotated(high, 9) ^ low
        low = (rotated(low, 27) + high) & mask
        high = rotated(high, 19)
    return high << 32 | low


@given(st.binary(max_size=200).map(lambda data: data[:len(data) // 4 * 4]))
def test_marvin32_equals_its_slow_twin(data: bytes) -> None:
    """The compiled loop computes what plain Python does."""
    assert marvin32(data, SEED) == slow_marvin32(data)


def test_marvin32_refuses_half_words() -> None:
    """Entries are whole words; nothing else is hashed by mistake."""
    with pytest.raises(ValueError, match="whole words"):
        marvin32(b"abcde", SEED)


pages = st.lists(st.tuples(st.integers(0, 20), st.binary(min_size=1, max_size=9)), max_size=4).map(
    lambda items: tuple((number * 512, memoryview(data * 512)) for number, data in items if number < 12))


@given(st.integers(0, 2**32 - 1), pages, st.integers(0, 1))
def test_log_entry_round_trip(sequence: int, changed: tuple[tuple[int, memoryview], ...], flags: int) -> None:
    """A packed entry, wherever it lies, parses to the same pages and sequence."""
    made = LogEntry(sequence=sequence, bins_size=3 * PAGE, flags=flags, pages=changed)
    packed = pack_entry(made)
    found = LogEntry.parse(memoryview(bytes(512) + packed), 512)
    assert replace(found, size=0) == made
    assert found.size == len(packed)
    assert len(packed) % 512 == 0


@given(st.binary(max_size=600), st.binary(max_size=3000))
def test_any_bytes_replay_or_raise(primary: bytes, other: bytes) -> None:
    """Hostile hives and logs raise FormatError or LogsUnusable and nothing else."""
    for data in (primary, b"regf" + primary, hive()):
        for journal in (other, log(other), log(entry(10, 1), b"HvLE" + other)):
            with contextlib.suppress(FormatError, LogsUnusable):
                replay(data, {"LOG1": journal, "LOG2": other})


@given(st.lists(pages, min_size=1, max_size=3), st.integers(1, 6))
def test_pages_are_applied_as_a_slow_twin_does(
        rounds: list[tuple[tuple[int, memoryview], ...]], size: int) -> None:
    """Overlapping pages, later ones on top, in a hive that grows: the same as writing them one by one."""
    primary = hive(pages=size)
    journal = log(*(pack_entry(LogEntry(sequence=10 + number, bins_size=6 * PAGE, pages=changed))
                    for number, changed in enumerate(rounds)))
    expected = bytearray(primary.ljust(7 * PAGE, b"\0"))
    for changed in rounds:
        for where, data in changed:
            expected[PAGE + where:PAGE + where + len(data)] = data
    replayed = replay(primary, {"LOG1": journal})
    assert replayed.applied_entries == len(rounds)
    assert replayed.data[512:] == bytes(expected[512:])


def test_real_windows_10_logs_are_applied_in_order() -> None:
    """S10B: 24 entries, 2107 to 2130, from both logs; 450 of the 481 pages change and the hive is then clean."""
    primary, logs = sample("SYSTEM-win10-dirty"), log_pair()
    replayed = replay(primary, logs)
    assert replayed.applied_entries == 24
    assert not replayed.torn
    block = BaseBlock.parse(replayed.data)
    assert (block.sequence1, block.sequence2) == (2131, 2131)
    assert block.bins_size == 0xC02000
    assert not block.dirty
    expected, changed = bytearray(primary[PAGE:]), set[int]()
    for name, first, count in (("LOG1", 2107, 4), ("LOG2", 2111, 20)):
        at = 512
        for sequence in range(first, first + count):
            item = LogEntry.parse(memoryview(logs[name]), at)
            assert item.sequence == sequence
            for where, data in item.pages:
                changed.update(range(where // PAGE, (where + len(data)) // PAGE))
                expected[where:where + len(data)] = data
            at += item.size
    assert replayed.data[PAGE:] == bytes(expected)
    assert len(changed) == 481
    assert sum(primary[at:at + PAGE] != replayed.data[at:at + PAGE]
               for at in range(PAGE, len(primary), PAGE)) == 450


def test_regipy_reads_the_replayed_hive(tmp_path: Path) -> None:
    """regipy finds the keys of the replayed hive; the primary file alone lacks what the logs hold."""
    registry = pytest.importorskip("regipy.registry")
    path = tmp_path / "SYSTEM"
    path.write_bytes(replay(sample("SYSTEM-win10-dirty"), log_pair()).data)
    found = registry.RegistryHive(str(path))
    key = found.get_key("\\ControlSet001\\services\\Wof")
    assert key.get_value("Start") == 0
    assert found.get_key("\\Select").get_value("Default") == 1


def test_both_logs_apply_whichever_comes_first() -> None:
    """The log with the older entries is applied first, whatever its name; later pages win."""
    older, newer = log(entry(10, 0, 1), entry(11, 1)), log(entry(12, 1), first=12)
    for logs in ({"LOG1": older, "LOG2": newer}, {"LOG2": older, "LOG1": newer}):
        replayed = replay(hive(), logs)
        assert replayed.applied_entries == 3
        assert [page(replayed.data, number) for number in range(3)] == [10, 12, 2]
        block = BaseBlock.parse(replayed.data)
        assert (block.sequence1, block.sequence2, block.dirty) == (13, 13, False)


def test_a_clean_hive_ignores_its_logs() -> None:
    """Equal sequences: what the logs hold is in the hive already, and the very bytes come back."""
    clean = hive(sequence1=10, sequence2=10)
    replayed = replay(clean, {"LOG1": log(entry(10, 1))})
    assert replayed.data is clean
    assert not replayed.applied_entries


@pytest.mark.parametrize("logs", [{}, {"LOG1": b""}, {"LOG1": bytes(1024), "LOG2": b"\0"},
                                  {"LOG": log(entry(4, 1), first=4)}, {"LOG1": log(entry(10, 0), first=11)}],
                         ids=["none", "empty", "zeros", "older", "begun"])
def test_a_dirty_hive_without_newer_logs_stays_as_it_is(logs: dict[str, bytes]) -> None:
    """No log, empty ones and older ones change nothing."""
    dirty = hive()
    replayed = replay(dirty, logs)
    assert replayed.data is dirty
    assert not replayed.applied_entries


def test_leftovers_behind_the_last_entry_are_not_applied() -> None:
    """Entries of earlier rounds follow with good hashes, as in the real LOG1 from 0x33000 on."""
    replayed = replay(hive(), {"LOG1": log(entry(10, 0), entry(8, 1), entry(9, 2))})
    assert replayed.applied_entries == 1
    assert [page(replayed.data, number) for number in range(3)] == [10, 1, 2]


def test_the_hive_grows_to_its_newest_size() -> None:
    """The last entry's size of the bins is the hive's, and what no page fills is zero."""
    replayed = replay(hive(), {"LOG1": log(entry(10, 0), entry(11, 4, bins=5))})
    assert BaseBlock.parse(replayed.data).bins_size == 5 * PAGE
    assert len(replayed.data) == 6 * PAGE
    assert page(replayed.data, 3) == 0
    assert page(replayed.data, 4) == 11


def test_the_last_entry_decides_the_first_flag() -> None:
    """Bit 0 of the base block's flags follows the entries; the others stay."""
    replayed = replay(hive(), {"LOG1": log(entry(10, 0, flags=1))})
    assert BaseBlock.parse(replayed.data).flags == 1


def test_a_torn_newest_entry_is_dropped() -> None:
    """A power cut while the newest entry was written: the ones before count, as Windows does it, and it is told."""
    replayed = replay(hive(), {"LOG1": damaged(log(entry(10, 0), entry(11, 1)), -1)})
    assert (replayed.applied_entries, replayed.torn) == (1, True)
    assert page(replayed.data, 1) == 1


def test_a_log_that_was_only_begun_is_passed_over() -> None:
    """A log whose first entry was never written holds leftovers; the other one counts."""
    replayed = replay(hive(), {"LOG1": log(entry(7, 0), first=10), "LOG2": log(entry(11, 1), first=11)})
    assert [page(replayed.data, number) for number in range(3)] == [0, 11, 2]


def test_an_entry_torn_in_one_log_and_written_again_in_the_other_counts() -> None:
    """The second try has the same sequence."""
    torn = damaged(log(entry(10, 0), entry(11, 1)), -1)
    replayed = replay(hive(), {"LOG1": torn, "LOG2": log(entry(11, 2), first=11)})
    assert (replayed.applied_entries, replayed.torn) == (2, False)
    assert [page(replayed.data, number) for number in range(3)] == [10, 1, 11]


def damaged(data: bytes, offset: int) -> bytes:
    """`data` with one bit of the byte at `offset` turned."""
    offset %= len(data)
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1:]


SECOND = 512 + len(entry(10, 0))
GOOD = log(entry(10, 0), entry(11, 1), entry(12, 2))


@pytest.mark.parametrize("logs", [
    {"LOG1": damaged(GOOD, 512 + 60)}, {"LOG1": damaged(GOOD, 512 + 4)}, {"LOG1": damaged(GOOD, 512)},
    {"LOG1": damaged(GOOD, SECOND + 60)}, {"LOG1": damaged(GOOD, SECOND + 12)}, {"LOG1": damaged(GOOD, 100)},
    {"LOG1": log(entry(10, 0)), "LOG2": log(entry(12, 1), first=12)},
    {"LOG1": log(damaged(entry(10, 0), 100))},
    {"LOG1": log(damaged(entry(10, 0), 100), entry(11, 1)), "LOG2": log(entry(12, 1), first=12)},
    {"LOG1": log(damaged(entry(10, 0), 100)), "LOG2": log(entry(11, 1), first=11)},
    {"LOG1": damaged(log(entry(10, 0)), 9), "LOG2": log(entry(11, 1), first=11)},
    {"LOG1": log(entry(9, 0), entry(10, 1), first=9)},
    {"LOG1": log(entry(10, 0)), "LOG2": damaged(log(entry(11, 1), first=11), 9)},
    {"LOG1": log(pack_entry(LogEntry(sequence=10, bins_size=5000, pages=())))},
], ids=["first page", "first size", "first signature", "second page", "second sequence", "base block", "gap",
        "only entry", "first page before a second log", "only entry before a second log",
        "first log's base block", "begins before the hive", "second log's base block", "half a page of bins"])
def test_newer_data_that_cannot_be_applied_is_refused(logs: dict[str, bytes]) -> None:
    """A damaged entry with newer ones behind it, or a missing one between two logs, is never skipped."""
    with pytest.raises(LogsUnusable, match="cannot be applied"):
        replay(hive(), logs)


def test_an_entry_beyond_its_own_bins_is_refused() -> None:
    """A page outside of the bins is a lie even under good hashes; nothing is written outside of the hive."""
    outside = pack_entry(LogEntry(sequence=10, bins_size=3 * PAGE, pages=((3 * PAGE, memoryview(b"x" * PAGE)),)))
    with pytest.raises(LogsUnusable):
        replay(hive(), {"LOG1": log(outside)})


def test_an_entry_of_impossible_size_takes_no_memory() -> None:
    """Bins of 4 GB under good hashes are refused before anything grows."""
    huge = pack_entry(LogEntry(sequence=10, bins_size=0xFFFFF000, pages=()))
    with pytest.raises(LogsUnusable):
        replay(hive(), {"LOG1": log(huge)})


def test_an_entry_smaller_than_its_own_list_is_refused() -> None:
    """Its count of pages is checked against its size before the list is read."""
    item = bytearray(entry(10, 0))
    item[20:24] = (2**31).to_bytes(4, "little")
    item[32:40] = marvin32(bytes(item[:32]), SEED).to_bytes(8, "little")
    with pytest.raises(FormatError, match="not possible"):
        LogEntry.parse(memoryview(bytes(item)), 0)
    with pytest.raises(LogsUnusable):
        replay(hive(), {"LOG1": log(bytes(item))})


def test_a_hive_that_shrank_keeps_what_lies_behind_it() -> None:
    """An early entry's page beyond the final size is not lost on the way, and not part of the hive."""
    replayed = replay(hive(), {"LOG1": log(entry(10, 6, bins=8), entry(11, 0, bins=3))})
    assert BaseBlock.parse(replayed.data).bins_size == 3 * PAGE
    assert len(replayed.data) == 9 * PAGE
    assert (page(replayed.data, 0), page(replayed.data, 6)) == (11, 10)


def test_a_broken_base_block_is_taken_from_the_log() -> None:
    """A checksum that does not fit makes the hive dirty; the log has a copy of the base block."""
    broken = damaged(hive(sequence1=10, sequence2=10), 508)
    replayed = replay(broken, {"LOG1": log(entry(10, 1))})
    block = BaseBlock.parse(replayed.data)
    assert (block.sound, block.file_type, block.sequence1) == (True, FileType.PRIMARY, 11)
    assert page(replayed.data, 1) == 10
    with pytest.raises(FormatError, match="checksum"):
        replay(broken, {})


# ---- old logs


def old_log(*sectors: int, written: int = 50, file_type: int = FileType.OLD_LOG) -> bytes:
    """An old log that fills `sectors` with 0xEE."""
    block = BaseBlock(sequence1=11, sequence2=11, bins_size=3 * PAGE, written=written)
    data = pack_old_log(block, dict.fromkeys(sectors, b"\xee" * 512))
    return replace(block, file_type=file_type).pack() + data[512:]


def test_marked_sectors_of_an_old_log_are_applied() -> None:
    """Each set bit is one sector, in the order of the map."""
    replayed = replay(hive(), {"LOG1": old_log(0, 9, 23), "LOG2": b""})
    assert replayed.applied_entries == 1
    for sector in range(24):
        at = PAGE + sector * 512
        expected = b"\xEE" if sector in {0, 9, 23} else bytes([sector // 8])
        assert replayed.data[at:at + 512] == expected * 512
    block = BaseBlock.parse(replayed.data)
    assert (block.sequence1, block.sequence2, block.file_type) == (11, 11, FileType.PRIMARY)


def test_the_newer_of_two_old_logs_is_applied() -> None:
    """The second log, where Windows fell back to it, is newer and holds all that the first does."""
    replayed = replay(hive(), {"LOG1": old_log(0), "LOG2": old_log(1, written=51, file_type=FileType.OLDEST_LOG)})
    assert replayed.data[PAGE:PAGE + 512] == bytes(512)
    assert replayed.data[PAGE + 512:PAGE + 1024] == b"\xEE" * 512
    assert BaseBlock.parse(replayed.data).written == 51


def test_an_older_old_log_changes_nothing() -> None:
    """A log from before the hive's last write is leftovers."""
    dirty = hive(written=60)
    assert replay(dirty, {"LOG1": old_log(0)}).data is dirty


def test_an_old_log_beside_new_ones_is_leftovers() -> None:
    """Installation images leave an old .LOG behind; the new logs count."""
    replayed = replay(hive(), {"LOG": old_log(2, written=99), "LOG1": log(entry(10, 1))})
    assert [page(replayed.data, number) for number in range(3)] == [0, 10, 2]


@pytest.mark.parametrize("bad", [
    old_log(0, 9)[:-1], damaged(old_log(0), 512), damaged(old_log(0), 40), damaged(old_log(0), 508)[:700],
], ids=["last sector cut", "signature", "base block", "map cut"])
def test_an_old_log_that_is_not_whole_is_refused(bad: bytes) -> None:
    """The hive may be half written, so a damaged log is never passed over."""
    with pytest.raises(LogsUnusable):
        replay(hive(), {"LOG1": bad})


def test_the_module_says_what_it_exports() -> None:
    """Names promised to others are there."""
    assert set(reglog.__all__) == {"LogEntry", "LogsUnusable", "Replayed", "pack_entry", "pack_old_log", "replay"}
