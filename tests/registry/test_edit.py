"""Hives edited where they lie on a volume: logs, refusals, and nothing else changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_hives import edited, sample_hives
from registry_samples import log_pair, sample
from volume_rig import ROOT, TIMES, agrees, descriptor, facts_of, fresh_volume, opened, utf16
from wimboot.errors import Internal
from wimboot.formats.regf import BaseBlock
from wimboot.formats.reglog import LogsUnusable, replay
from wimboot.ntfs import Volume
from wimboot.registry import Hive, NotEditable, RegistryValue
from wimboot.registry import edit as editing_module
from wimboot.registry.comparing import same_but_for
from wimboot.registry.edit import HiveMissing, HiveTooLarge, HiveUnusable, edit

HIVE = "\\SYSTEM"
ONE = RegistryValue.dword(1)


def put(path: Path, files: dict[str, bytes]) -> dict[str, int]:
    """A small volume with these files; their ids."""
    fresh_volume(path, 48 << 20)
    with opened(path) as volume:
        security = volume.security_id(descriptor())
        found = {}
        for name, data in files.items():
            found[name] = volume.create_file(ROOT, utf16(name), b"", 0x20, TIMES, security)
            volume.write_data(found[name], b"", iter((data,)), len(data))
            volume.set_times(found[name], *TIMES)
    return found


def mark(volume: Volume) -> bool:
    """Set Setup\\WimBoot; whether anything was written."""
    with edit(volume, HIVE) as editing:
        editing.root.ensure("Setup").set("WimBoot", ONE)
    return editing.changed


def small() -> bytes:
    """A SYSTEM hive of a few keys."""
    return sample_hives("6.1")["SYSTEM"]


@pytest.mark.parametrize("name", ["SYSTEM-win7", "SYSTEM-win81", "SYSTEM-win10-dirty"])
def test_only_the_value_that_was_set_changes(name: str, tmp_path: Path) -> None:
    """Of a real hive, its logs applied; file, times and security stay, the logs are empty, and once is enough."""
    logs = log_pair() if name.endswith("dirty") else {"LOG1": b""}
    path = tmp_path / "volume.img"
    ids = put(path, {"SYSTEM": sample(name), **{f"SYSTEM.{suffix}": data for suffix, data in logs.items()}})
    facts = facts_of(path, ids["SYSTEM"])
    with opened(path) as volume:
        assert mark(volume)
    agrees(path)
    assert facts_of(path, ids["SYSTEM"]) == facts
    with opened(path) as volume:
        data = volume.read(ids["SYSTEM"])
        assert [volume.read(ids[f"SYSTEM.{suffix}"]) for suffix in logs] == [b""] * len(logs)
        assert not mark(volume)
        assert volume.read(ids["SYSTEM"]) == data
    block = BaseBlock.parse(data)
    assert (block.dirty, block.sound) == (False, True)
    before = replay(sample(name), logs).data
    with Hive(before) as old, Hive(data) as new:
        assert same_but_for(old.root, new.root, lambda path, name: (path, name) == ("setup", "wimboot"))
        assert not same_but_for(old.root, new.root, lambda _path, _name: False)
        assert new.root.child("Setup").number("WimBoot") == 1  # type: ignore[union-attr] # it has one


def test_an_edit_that_changes_nothing_leaves_a_dirty_hive_alone(tmp_path: Path) -> None:
    """Its logs too: Windows will apply them."""
    path = tmp_path / "volume.img"
    ids = put(path, {"SYSTEM": sample("SYSTEM-win10-dirty"),
                     **{f"SYSTEM.{suffix}": data for suffix, data in log_pair().items()}})
    before = path.read_bytes()
    with opened(path) as volume:
        with edit(volume, HIVE) as editing:
            setup = editing.root.child("Setup")
            assert setup is not None
            setup.set("SystemSetupInProgress", RegistryValue.dword(setup.number("SystemSetupInProgress") or 0))
        assert not editing.changed
        assert volume.read(ids["SYSTEM"]) == sample("SYSTEM-win10-dirty")
        assert volume.read(ids["SYSTEM.LOG1"]) == log_pair()["LOG1"]
    assert path.read_bytes() == before


def test_an_error_inside_leaves_the_hive_alone(tmp_path: Path) -> None:
    """Half an edit is none."""
    path = tmp_path / "volume.img"
    ids = put(path, {"SYSTEM": small()})
    with opened(path) as volume:
        with pytest.raises(NotEditable), edit(volume, HIVE) as editing:
            editing.root.ensure("Setup").ensure("WimBoot\0")
        assert volume.read(ids["SYSTEM"]) == small()


def test_a_log_that_cannot_be_applied_is_refused(tmp_path: Path) -> None:
    """The newest changes are in it, and writing the hive would lose them."""
    logs = log_pair()
    first = bytearray(logs["LOG1"])
    first[700] ^= 0xFF      # in the first entry
    path = tmp_path / "volume.img"
    ids = put(path, {"SYSTEM": sample("SYSTEM-win10-dirty"), "SYSTEM.LOG1": bytes(first), "SYSTEM.LOG2": logs["LOG2"]})
    with opened(path) as volume:
        with pytest.raises(LogsUnusable):
            mark(volume)
        assert volume.read(ids["SYSTEM.LOG2"]) == logs["LOG2"]


@pytest.mark.parametrize("data", [b"", b"no hive at all" * 999, small()[:5000]], ids=["empty", "text", "cut"])
def test_what_is_no_hive_is_refused(data: bytes, tmp_path: Path) -> None:
    """With the path and what is wrong."""
    path = tmp_path / "volume.img"
    put(path, {"SYSTEM": data})
    with opened(path) as volume, pytest.raises(HiveUnusable) as told:
        mark(volume)
    assert HIVE in str(told.value)


def test_a_damaged_bin_is_refused(tmp_path: Path) -> None:
    """What libhivex would write over is looked at first."""
    data = bytearray(small())
    data[4096:4100] = b"nbin"
    path = tmp_path / "volume.img"
    ids = put(path, {"SYSTEM": bytes(data)})
    with opened(path) as volume:
        with pytest.raises(HiveUnusable):
            mark(volume)
        assert volume.read(ids["SYSTEM"]) == bytes(data)


def test_a_missing_hive_is_refused(tmp_path: Path) -> None:
    """There is nothing to be edited."""
    path = tmp_path / "volume.img"
    put(path, {"SOFTWARE": small()})
    with opened(path) as volume, pytest.raises(HiveMissing):
        mark(volume)


def test_a_huge_hive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Windows starts from one, and editing it takes three times its size."""
    monkeypatch.setattr(editing_module, "MAX_EDITED_SIZE", 10_000)
    path = tmp_path / "volume.img"
    put(path, {"SYSTEM": edited(small(), {"Filling": {"data": RegistryValue.binary(bytes(8000))}})})
    with opened(path) as volume, pytest.raises(HiveTooLarge):
        mark(volume)


def test_what_reads_back_otherwise_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume that loses a byte is found out before anything is committed; so is a hive that lost an edit."""
    path = tmp_path / "volume.img"
    put(path, {"SYSTEM": small()})
    with opened(path) as volume:
        class Forgetful:
            where = "x"
            open_path = volume.open_path
            read = volume.read

            def write_data(self, file_id: int, name: bytes, parts: object, size: int, *, as_before: bool) -> None:
                """Write nothing."""

        with pytest.raises(Internal, match="reads back"), edit(Forgetful(), HIVE) as editing:
            editing.root.ensure("Setup").set("WimBoot", ONE)
        other = edited(small(), {"Setup": {"Other": ONE}})
        monkeypatch.setattr(Hive, "commit", lambda _self: other)
        with pytest.raises(Internal, match="does not hold"):
            mark(volume)


def test_a_hive_with_an_unsound_base_block_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows would not load it."""
    path = tmp_path / "volume.img"
    put(path, {"SYSTEM": small()})

    torn = bytearray(small())
    torn[4] ^= 1
    monkeypatch.setattr(Hive, "commit", lambda _self: bytes(torn))
    with opened(path) as volume, pytest.raises(Internal, match="not sound"):
        mark(volume)
