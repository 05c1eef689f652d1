"""VirtualDiskExpandOnMount, from hives that others wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

import sample_hives
from wimboot.errors import Damaged
from wimboot.windows.expanding import expand_on_mount

SYSTEM = "\\Windows\\System32\\config\\SYSTEM"
KEY = "services\\FsDepends\\Parameters"


def value_in(folder: Path, values: sample_hives.Values) -> int | None:
    """What is read from a SYSTEM hive with these keys."""
    sample_hives.write_hive(folder / "SYSTEM", values)
    return expand_on_mount({SYSTEM: (folder / "SYSTEM").read_bytes()}.get)


@pytest.mark.parametrize(("keys", "expected"), [
    ({f"ControlSet001\\{KEY}": {"VirtualDiskExpandOnMount": "dword:4"}}, 4),
    ({f"ControlSet001\\{KEY}": {"VirtualDiskExpandOnMount": "dword:1"}}, 1),
    ({f"ControlSet001\\{KEY}": {"VirtualDiskExpandOnMount": "string:4"}}, None),
    ({f"ControlSet001\\{KEY}": {}}, None),
    ({"ControlSet001\\services": {}}, None),
    ({f"ControlSet001\\{KEY}": {"VirtualDiskExpandOnMount": "dword:1"},
      f"ControlSet002\\{KEY}": {"VirtualDiskExpandOnMount": "dword:4"}, "Select": {"Default": "dword:2"}}, 4),
])
def test_the_next_start_decides(keys: sample_hives.Values, expected: int | None, tmp_path: Path) -> None:
    """The value of the control set that starts next, where it is a number."""
    assert value_in(tmp_path, {"Select": {"Default": "dword:1"}, **keys}) == expected


def test_a_hive_that_is_none_says_nothing(tmp_path: Path) -> None:
    """Without a SYSTEM hive or a control set there is no value; what is no hive is an error."""
    assert expand_on_mount(lambda _path: None) is None
    assert value_in(tmp_path, {"Select": {}}) is None
    with pytest.raises(Damaged):
        expand_on_mount({SYSTEM: b"no hive" * 1000}.get)
