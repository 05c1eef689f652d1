"""Plans as people write them: read strictly, and what is wrong is told with its line and key."""

from __future__ import annotations

import string
import tomllib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.disk.table import TableKind
from wimboot.formats.guid import parse_guid
from wimboot.plan.declared import LaterFolder, WindowsFolder
from wimboot.plan.declaring import read_plan
from wimboot.plan.tomltable import MAX_PLAN_SIZE, PlanInvalid, PlanNotToml, line_of
from wimboot.windows.identify import Architecture

SHORT = """\
[place]
disk = "5cbea03e"
partition = 1048576
directory = '\\'

[store]
wim = "wimboot/wimboot.wim"

[[system]]
name = "x64"
image = "Windows 7"
file = 'wimboot\\x64\\win7.vhd'
size = "15 GB"
"""
GUIDS = ("0b2394a9-095e-487d-8d48-719ecd4d78ca", "8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b")
BACK = chr(92)


def refused(text: str) -> PlanInvalid:
    """What is said of a plan that is none."""
    with pytest.raises(PlanInvalid) as caught:
        read_plan(text.encode(), "plan.toml")
    return caught.value


def test_short_plan_says_all_of_it() -> None:
    """Slashes of both kinds, sizes as Windows counts, the rest by default."""
    plan = read_plan(SHORT.encode(), "plan.toml")
    (system,) = plan.systems
    assert plan.place == WindowsFolder(disk=0x5CBEA03E, partition=1 << 20, directory=())
    assert (system.file, system.size, system.fixed) == (("wimboot", "x64", "win7.vhd"), 15 << 30, False)
    assert (system.image, system.table, system.architecture) == ("Windows 7", TableKind.MBR, None)
    assert str(plan.place.of(plan.store.wim)) == f"mbr:5cbea03e:1048576:{BACK}wimboot{BACK}wimboot.wim"
    assert plan.folder == "."
    assert plan.boot is None


def test_place_by_guids_and_later() -> None:
    """A GPT disk is named by its GUIDs; "later" needs nothing else."""
    old = SHORT[SHORT.index("disk ="):SHORT.index("directory")]
    plan = read_plan(SHORT.replace(old, f'disk = "{GUIDS[0]}"\npartition = "{{{GUIDS[1]}}}"\n').encode(), "p")
    assert plan.place == WindowsFolder(disk=parse_guid(GUIDS[0]), partition=parse_guid(GUIDS[1]), directory=())
    later = read_plan(("[place]\nlater = true\n" + SHORT[SHORT.index("[store]"):]).encode(), "p")
    assert isinstance(later.place, LaterFolder)
    assert later.place.of(("w.wim",)).is_later


def test_full_plan() -> None:
    """Every key, once."""
    text = SHORT.replace("[store]\n", 'folder = "x"\n[store]\n'.replace('folder = "x"\n', "")) + f"""\
architecture = "x64"
fixed = true
table = "gpt"
label = "系统"
driver = "none"
title = "Windows 7 六十四位"
test_signing = true
[system.ram]
file = "wimboot/x64/win7.ram"
size = 5368709120
form = "vhd"
menu = "menu.lst"
title = "内存"
[[system]]
name = "disk"
image = 2
partition = "/dev/sdb#2"
title = "second"
[boot]
to = "disk.img#1"
default = "disk"
timeout = 10
[[store.image]]
name = "Windows 7"
from = "install.wim"
image = 4
[[store.image]]
name = "other"
capture = "other{BACK*2}x.img"
"""
    plan = read_plan(f'folder = "there"\n{text}'.encode(), "plan.toml")
    first, second = plan.systems
    assert (first.architecture, first.fixed, first.table) == (Architecture.AMD64, True, TableKind.GPT)
    assert first.ram is not None
    assert (first.ram.size, first.ram.title, first.label) == (5 << 30, "内存", "系统")
    assert (first.ram.form, first.ram.menu, first.test_signing) == ("vhd", ("menu.lst",), True)
    assert (second.partition, second.image, second.file) == ("/dev/sdb#2", "2", None)
    assert plan.boot is not None
    assert (plan.boot.timeout, plan.boot.default, plan.folder) == (10, "disk", "there")
    assert [origin.name for origin in plan.store.origins] == ["Windows 7", "other"]
    assert plan.files() == {("wimboot", "wimboot.wim"): "store", ("wimboot", "x64", "win7.vhd"): "x64",
                            ("wimboot", "x64", "win7.ram"): "x64 (RAM)"}


@pytest.mark.parametrize(("old", "new", "line", "key"), [
    ('name = "x64"', 'nome = "x64"', 9, "system[1].name"),
    ('size = "15 GB"', 'size = "15 GB"\nspeed = 3', 14, "system[1].speed"),
    ('size = "15 GB"', "size = 15.0", 13, "system[1].size"),
    ('size = "15 GB"', 'size = "15 parsecs"', 13, "system[1].size"),
    ('size = "15 GB"', "size = 1048576", 13, "system[1].size"),
    ('size = "15 GB"', "size = 16106127361", 13, "system[1].size"),
    ('size = "15 GB"', 'size = "3 TB"', 13, "system[1].size"),
    ('size = "15 GB"', "", 9, "system[1].size"),
    ('size = "15 GB"', 'size = "15 GB"\nfixed = 1', 14, "system[1].fixed"),
    ('size = "15 GB"', 'size = "15 GB"\ntable = "apm"', 14, "system[1].table"),
    ('size = "15 GB"', 'size = "15 GB"\ntitle = "no menu"', 14, "system[1].title"),
    ('image = "Windows 7"', "image = 0", 11, "system[1].image"),
    ('image = "Windows 7"', "image = true", 11, "system[1].image"),
    ('image = "Windows 7"', 'image = " "', 11, "system[1].image"),
    ('image = "Windows 7"', 'image = "a\\nb"', 11, "system[1].image"),
    ("partition = 1048576", 'partition = "first"', 3, "place.partition"),
    ("partition = 1048576", "partition = 1000", 2, "place.disk"),
    ('disk = "5cbea03e"', 'disk = "D:"', 3, "place.partition"),
    ('disk = "5cbea03e"', 'disk = "0"', 2, "place.disk"),
    ("directory = '\\'", "directory = '\\a\\..\\b'", 4, "place.directory"),
    ("directory = '\\'", "later = true", 2, "place.disk"),
    ("[store]", "[shop]", 0, "store"),
    ("wim = ", "spare = ", 6, "store.wim"),
    ('wim = "wimboot/wimboot.wim"', 'wim = "wimboot/x64"', 12, "system[1].file"),
    ('wim = "wimboot/wimboot.wim"', 'wim = "wimboot/X64/WIN7.vhd"', 12, "system[1].file"),
    ("[[system]]", "[boot]\nto = 'x'\ndefault = 'none of them'\n[[system]]", 11, "boot.default"),
    ("[[system]]", "[boot]\nto = 'x'\ntimeout = -1\n[[system]]", 11, "boot.timeout"),
    ("[[system]]", "[boot]\nto = 'x'\n[[system]]", 11, "system[1].title"),
    ("[[system]]", "[[store.image]]\nname = '4'\ncapture = 'x'\n[[system]]", 10, "store.image[1].name"),
    ("[[system]]", "[[store.image]]\nname = 'a'\n[[system]]", 9, "store.image[1]"),
    ("[[system]]", "[[store.image]]\nname = 'a'\nfrom = 'x.wim'\n[[system]]", 9, "store.image[1].image"),
])
def test_what_is_wrong_is_told_with_line_and_key(old: str, new: str, line: int, key: str) -> None:
    """Unknown and missing keys, wrong types, values that cannot be, one file for two things."""
    assert SHORT.count(old) == 1 or old == "wim = "
    error = refused(SHORT.replace(old, new, 1))
    assert (error.facts["line"], error.facts["key"]) == (line, key), str(error)
    assert (f"line {line}" in str(error)) == bool(line)


@pytest.mark.parametrize("path", [
    "../win7.vhd", "a/../../win7.vhd", "/win7.vhd", "\\win7.vhd", "C:\\win7.vhd", "a/./win7.vhd", "con.vhd", "COM1.vhd",
    "aux/win7.vhd", "a /win7.vhd", "a./win7.vhd", "win?.vhd", "win7.vhd/", "win7.img", "x" * 300 + ".vhd", "//",
    "win7.vhd.wimboot-build", "a.wimboot-log/win7.vhd",
])
def test_path_that_no_file_of_the_folder_can_have_is_refused(path: str) -> None:
    """Out of the folder, a device's name, characters that Windows does not allow, another form of disk."""
    assert refused(SHORT.replace("wimboot\\x64\\win7.vhd", path)).facts["key"] == "system[1].file"


def second(name: str = "x86", file: str = "x86.vhd") -> str:
    """One more system."""
    return f'[[system]]\nname = "{name}"\nimage = 2\nfile = "{file}"\nsize = "1 GB"\n'


def test_two_systems_in_one_place_are_refused() -> None:
    """By name and by file, in whatever case; and one volume twice."""
    assert read_plan((SHORT + second()).encode(), "p").systems[1].size == 1 << 30
    assert refused(SHORT + second(name="X64")).facts["line"] == 15
    assert "that of system 'x64'" in str(refused(SHORT + second(file="WIMBOOT/X64/Win7.VHD")))
    assert "that of the store" in str(refused(SHORT + second(file="wimboot/wimboot.WIM/x.vhd")))
    one = '[[system]]\nname = "{}"\nimage = 2\npartition = "/dev/sdb#1"\n'
    assert refused(SHORT + one.format("a") + one.format("b")).facts["key"] == "system[3].partition"


def test_partition_has_no_shape_of_its_own() -> None:
    """Size, form, table and label are of disks that are made; and it is file or partition, not both."""
    text = '[[system]]\nname = "a"\nimage = 2\npartition = "/dev/sdb#1"\n'
    assert refused(SHORT + text + 'label = "x"\n').facts["key"] == "system[2].label"
    assert refused(SHORT + text + 'file = "y.vhd"\n').facts["key"] == "system[2]"


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[place", b"a = 1\na = 2", b"a = 0000-00-00",
                                  b"x" * (MAX_PLAN_SIZE + 1), b"a = " + b"[" * 100_000])
def test_what_is_no_toml_is_refused(data: bytes) -> None:
    """Other encodings, broken syntax, documents without end or bottom."""
    with pytest.raises(PlanNotToml) as caught:
        read_plan(data, "plan.toml")
    assert caught.value.exit_code == 2


def test_lines_are_found_through_arrays_and_long_texts() -> None:
    """What stands in a text of several lines is no key; what has no line of its own has that of what is around it."""
    text = 'a = """\n[[b]]\nc = 1\n"""\n[[b]]\nc = 1\n[[b]]\nc = 2\n[b.d]\n"e f" = 3\ng = { h = 1 }\n'
    assert tomllib.loads(text)["b"][1]["d"]["e f"] == 3
    assert line_of(text, ("b", 0, "c")) == 6
    assert line_of(text, ("b", 1, "c")) == 8
    assert line_of(text, ("b", 1, "d", "e f")) == 10
    assert line_of(text, ("b", 1, "d", "g", "h")) == 11
    assert line_of(text, ("b", 1, "missing")) == 7
    assert line_of(text, ("missing",)) == 0


KEYS = st.sampled_from(["folder", "place", "store", "system", "boot", "wim", "name", "image", "file", "size", "disk",
                        "partition", "ram", "title", "capture", "from", "other"])
VALUES = st.recursive(
    st.booleans() | st.integers(-9, 1 << 40) | st.floats(allow_nan=False) | st.text(string.printable, max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)


def written(value: Any) -> str:
    """As TOML has it, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {written(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\u{ord(letter):04x}" for letter in value) + '"'
    return repr(value)


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_whatever_values_a_plan_has_it_is_a_plan_or_refused(values: dict[str, Any]) -> None:
    """Any document of the right words: nothing but the two refusals ever comes of it."""
    text = "".join(f"{key} = {written(value)}\n" for key, value in values.items())
    with suppress(PlanInvalid, PlanNotToml):
        assert read_plan(text.encode(), "plan.toml").systems


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whatever_bytes_a_plan_is_refused(data: bytes) -> None:
    """A plan without store and systems is none, whatever else it is."""
    with pytest.raises((PlanInvalid, PlanNotToml)):
        read_plan(data, "plan.toml")


@given(st.integers(16384, 4 << 20), st.sampled_from(["", "K", "M", "G", "KB", "MiB", " GB", "kib"]))
def test_sizes_are_powers_of_1024(number: int, unit: str) -> None:
    """As Windows counts; what is too large or too small is told."""
    size = number * 1024 ** " KMG".index((unit.strip()[:1] or " ").upper())
    text = SHORT.replace('"15 GB"', f'"{number}{unit}"')
    if 8 << 20 <= size <= 2040 << 30 and not size % 512:
        assert read_plan(text.encode(), "p").systems[0].size == size
    else:
        assert refused(text).facts["key"] == "system[1].size"
