"""Differencing VHDs by `create --parent`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from running import done, refused, wimboot
from vhd_judge import judge_vhd, libvhdi_reads
from wimboot.formats.vhdfooter import Footer
from wimboot.formats.vhdsparse import SparseHeader

SIZE = 20 << 20


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A VHD with a volume."""
    path = tmp_path / "base.vhd"
    done("create", path, "--size", SIZE, "--label", "Base", "-q")
    return path


def test_child_reads_as_its_parent(parent: Path, tmp_path: Path) -> None:
    """To libvhdi, to the judge of the format, and to us, who find the parent by the path in it."""
    child = tmp_path / "systems" / "child.vhd"
    child.parent.mkdir()
    told = done("create", child, "--parent", parent, "--json").json
    base = judge_vhd(parent.read_bytes())
    judged = judge_vhd(child.read_bytes(), base)
    assert (judged.kind, judged.blocks) == (4, 0)
    assert judged.disk == base.disk == libvhdi_reads(child, parent)
    assert told["disk"]["parent"] == {"path": str(parent), "vhd_id": base.unique_id.hex(),
                                      "found_by": "..\\base.vhd"}
    assert (told["disk"]["bytes"], told["disk"]["file_bytes"]) == (SIZE, child.stat().st_size)
    assert done("info", child, "--json").json["volume"]["label"] == "Base"
    parent.rename(tmp_path / "elsewhere.vhd")
    assert wimboot("info", child).code != 0


def test_changed_parent_is_noticed(parent: Path, tmp_path: Path) -> None:
    """By its time, which the child keeps as Windows would; who copied it without its times is told how to go on."""
    child = tmp_path / "child.vhd"
    os.utime(parent, (1_700_000_000.25, 1_700_000_000.25))
    done("create", child, "--parent", parent)
    assert SparseHeader.parse(child.read_bytes()[512:1536]).parent_time == 1_700_000_000 - 946_684_800
    done("info", child)
    os.utime(parent)
    told = refused("vhd-parent-changed", 4, "info", child, watching=(child, parent))
    command = told.err.replace("\n", " ").partition("touch ")[2].split()
    assert command[:2] == ["-d", "@1700000000"]
    subprocess.run(["touch", *command], check=True)
    done("info", child)


def test_parent_that_was_new_is_noticed_when_it_is_changed(parent: Path, tmp_path: Path) -> None:
    """It was changed last when it was made, and that second may be in its footer, too."""
    child, made = tmp_path / "child.vhd", Footer.parse(parent.read_bytes()[-512:]).time + 946_684_800
    os.utime(parent, (made, made))
    done("create", child, "--parent", parent)
    done("info", child)
    os.utime(parent, (made + 3600, made + 3600))
    refused("vhd-parent-changed", 4, "info", child, watching=(child, parent))


def test_parent_whose_child_lies_in_another_folder_is_not_changed(parent: Path, tmp_path: Path) -> None:
    """It is looked for around the parent."""
    child = tmp_path / "systems" / "child.vhd"
    child.parent.mkdir()
    done("create", child, "--parent", parent)
    told = refused("vhd-has-children", 4, "compact", parent, watching=(child, parent))
    assert "child.vhd" in told.err


def test_dry_run_and_size(parent: Path, tmp_path: Path) -> None:
    """The size may be said, if it is the parent's."""
    child = tmp_path / "child.vhd"
    assert "differencing" in done("create", child, "--parent", parent, "--dry-run").out
    assert not child.exists()
    refused("vhd-not-possible", 2, "create", child, "--parent", parent, "--size", SIZE + 512, watching=(parent, child))
    done("create", child, "--parent", parent, "--size", SIZE)
    assert "changes" in done("create", tmp_path / "changes.vhd", "--parent", parent).out


def test_impossible_parents_are_refused(parent: Path, tmp_path: Path) -> None:
    """No VHD, a child itself, one with an interrupted change, one that Windows could not name."""
    child, raw = tmp_path / "child.vhd", tmp_path / "disk.img"
    done("create", raw, "--size", SIZE)
    refused("vhd-not-possible", 2, "create", child, "--parent", raw)
    done("create", child, "--parent", parent)
    refused("vhd-not-possible", 2, "create", tmp_path / "grandchild.vhd", "--parent", child)
    refused("disk-exists", 4, "create", child, "--parent", parent, watching=(child,))
    (tmp_path / "base.vhd.wimboot-log").write_bytes(b"")
    refused("log-waits", 4, "create", tmp_path / "other.vhd", "--parent", parent)
    odd = tmp_path / "a:b.vhd"
    done("create", odd, "--size", SIZE)
    refused("vhd-not-possible", 2, "create", tmp_path / "other.vhd", "--parent", odd)
    assert wimboot("create", tmp_path / "other.vhd", "--parent", tmp_path / "none").code == 2
    if Path("/dev/shm").is_dir() and Path("/dev/shm").stat().st_dev != tmp_path.stat().st_dev:  # noqa: S108
        told = wimboot("create", "/dev/shm/wimboot-test-child.vhd", "--parent", odd)  # noqa: S108
        assert (told.code, "another file system" in told.err) == (2, True)


@pytest.mark.parametrize("arguments", [("--label", "x"), ("--fixed",), ("--table", "gpt"), ("--format", "vhdx"),
                                       ("--esp",), ("--boot-code", "x"), ("--serial", "12345678"),
                                       ("--cluster-size", "4K"), ("--disk-id", "12345678"), ("--msr",)])
def test_what_the_parent_settles_cannot_be_asked_for(parent: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """It would be forgotten silently."""
    told = wimboot("create", tmp_path / "child.vhd", "--parent", parent, *arguments)
    assert (told.code, arguments[0] in told.err) == (2, True)
    assert not (tmp_path / "child.vhd").exists()
