"""Disks in the forms of other virtual machines, by qemu-img."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from judges import run
from wimboot.disk.qemuimg import QemuImgFailed, QemuImgMissing, check_qemu_img, raw_to
from wimboot.storage.scratch import scratch_file

SIZE = 3 << 20


@pytest.mark.parametrize("form", ["vhdx", "qcow2", "vmdk", "vdi"])
def test_disk_comes_back_from_its_form(tmp_path: Path, form: str) -> None:
    """Byte for byte, and nothing has a name."""
    raw = scratch_file(tmp_path, size=SIZE)
    raw.pwrite(1 << 20, os.urandom(5000))
    with_form = raw_to(form, raw, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    path = tmp_path / f"disk.{form}"
    path.write_bytes(with_form.pread(0, with_form.size()))
    run("qemu-img", "convert", "-f", form, "-O", "raw", path, tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == raw.pread(0, SIZE)
    raw.close()
    with_form.close()


def test_options_reach_qemu_img(tmp_path: Path) -> None:
    """A fixed VHDX is as large as its disk."""
    raw = scratch_file(size=SIZE)
    made = raw_to("vhdx", raw, options="subformat=fixed")
    path = tmp_path / "disk.vhdx"
    path.write_bytes(made.pread(0, made.size()))
    assert json.loads(run("qemu-img", "info", "--output=json", path))["virtual-size"] == SIZE <= made.size()


def test_a_form_that_it_does_not_know_is_said() -> None:
    """In its own words."""
    raw = scratch_file(size=SIZE)
    with pytest.raises(QemuImgFailed, match="nonsense"):
        raw_to("nonsense", raw)
    raw.close()


def test_a_qemu_img_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is needed, and when."""
    check_qemu_img("vhdx")

    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError("qemu-img")

    monkeypatch.setattr(subprocess, "run", gone)
    raw = scratch_file(size=SIZE)
    with pytest.raises(QemuImgMissing):
        raw_to("vhdx", raw)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(QemuImgMissing):
        check_qemu_img("vhdx")
    raw.close()
