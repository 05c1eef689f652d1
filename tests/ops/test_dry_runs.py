"""A dry run refuses what the run itself would refuse, and changes nothing."""

from __future__ import annotations

from pathlib import Path

from converted import Converted, fresh_volume
from running import NO_PLACE, done, refused


def test_a_dry_deployment_refuses_a_volume_that_is_not_empty(converted_once: Converted) -> None:
    """The volume that was captured is full of files."""
    refused("not-empty", 4, "apply", converted_once.wim, "1", converted_once.original, *NO_PLACE, "--dry-run",
            watching=(converted_once.original, converted_once.wim))


def test_a_dry_deployment_tells_of_an_empty_volume(converted_once: Converted, tmp_path: Path) -> None:
    """The same figures as the deployment that follows."""
    volume = fresh_volume(tmp_path / "empty.img")
    before = volume.read_bytes()
    command = ("apply", converted_once.wim, "1", volume, *NO_PLACE, "--json")
    told = done(*command, "--dry-run").json
    assert volume.read_bytes() == before
    assert {**told, "dry_run": False} == done(*command).json
