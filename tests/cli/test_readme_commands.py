"""The README's commands: they run, in the order in which they stand; both languages have the same ones."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import build
from boot_systems import add_boot_files
from converted import SMALL, fresh_volume
from disk_kinds import disk_of_kind
from driver_files import SVBUS_INF, signed_driver, wofadk
from mounting import carve, copy_sparse, mounted
from running import done, wimboot
from shared_wim import make_shared
from two_partitions import FIRST_START, two_partitions
from vhd_making import fixed_vhd
from wim_making import wimlib
from wimboot.cli.main import VERBS, cli
from wimboot.cli.manual import similar
from wimboot.ops.finding.locating import WimState

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = "README.md", "README.zh-CN.md"
SIZE = 24 << 20
NOT_OF_THE_PROGRAM = {"--help", "--version", "--json", "--dry-run"}
OF_THE_SHELL = {"truncate"}
ELSEWHERE = {"mount", "fusermount3", "make", "."}
"""Commands that have tests of their own, or are not ours."""


def read(name: str) -> dict[str, str]:
    """The sections of a README by their headings."""
    parts = re.split(r"^## (.+)$", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands(text: str) -> list[list[str]]:
    """The lines of its code blocks as a shell reads them; comments gone."""
    lines = re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    return [shlex.split(re.sub(r" +# .*", "", line)) for line in lines]


def all_commands(name: str) -> list[list[str]]:
    """Those of all sections."""
    return [words for text in read(name).values() for words in commands(text)]


def table(text: str) -> list[list[str]]:
    """The cells of a section's tables."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()
            if line.startswith("| `")]


# -- what can be said without running anything


def test_both_languages_have_the_same_commands() -> None:
    """In the same order, under the same number of headings."""
    assert all_commands(ENGLISH) == all_commands(CHINESE)
    assert [len(commands(text)) for text in read(ENGLISH).values()] == [
        len(commands(text)) for text in read(CHINESE).values()]


def test_both_languages_have_the_same_tables() -> None:
    """Verbs, states of a WIM, problems that are found, figures: the names in the first columns."""
    def names(name: str) -> list[list[str]]:
        return [re.findall(r"`([^`]+)`", cells[0]) for text in read(name).values() for cells in table(text)]
    assert names(ENGLISH) == names(CHINESE)
    assert read(ENGLISH)["How fast"].count("|") == read(CHINESE)["速度"].count("|")


def test_the_states_of_a_wim_have_the_words_that_info_uses() -> None:
    """Each once, in the order of the program."""
    rows = [cells[0].strip("`") for cells in table(read(ENGLISH)["Where the WIM lies"])]
    assert rows == [state.value for state in WimState]


def test_the_table_of_verbs_is_complete() -> None:
    """Each verb of the program once, no other, with an argument for each that its help names."""
    rows = [re.findall(r"`(\w+)([^`]*)`", cells[0]) for cells in table(read(ENGLISH)["All verbs"])]
    assert [row[0][0] for row in rows] == list(dict.fromkeys(row[0][0] for row in rows))
    assert sorted(row[0][0] for row in rows) == sorted(VERBS)


@pytest.mark.parametrize("name", [ENGLISH, CHINESE, "docs/front-ends.md", "docs/after-a-crash.md", "CHANGELOG.md"])
def test_verbs_and_options_that_are_named_exist(name: str) -> None:
    """In code blocks and within sentences."""
    text = (ROOT / name).read_text(encoding="utf-8")
    known = {option for verb in VERBS for parameter in _command(verb).params for option in parameter.opts}
    spans = [*re.findall(r"`([^`\n]+)`", text), *re.findall(r"^ {4}(wimboot .*)$", text, re.MULTILINE)]
    for span in spans:
        word = re.match(r"wimboot (?!-WIMPATH|VERB|--)(\S+)", span)
        assert word is None or word[1] in VERBS, span
        if not re.match(r"wimlib|pip|make|ntfs|capture --wimboot", span):
            strays = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", span)) - known - NOT_OF_THE_PROGRAM
            assert not strays, (span, similar(min(strays), known))


def test_each_command_is_understood() -> None:
    """By the verb's own reading of its arguments, up to whether files are there."""
    for words in all_commands(ENGLISH):
        if words[0] == "wimboot":
            verb = _command(words[1])
            verb.make_parser(click.Context(verb)).parse_args(list(words[2:]))


def _command(verb: str) -> click.Command:
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    return command


# -- the commands run


class World:
    """A folder that has every file which the README's commands name."""

    def __init__(self, folder: Path, built_system: Callable[..., build.System]) -> None:
        self.folder, self.built = folder, built_system
        (folder / "mnt" / "backup").mkdir(parents=True)
        (folder / "backup").mkdir()

    def plain(self) -> None:
        """disk.img, empty.img and stick.img: nothing is converted."""
        volume, data = self.folder / "volume", fresh_volume(self.folder / "data", 16 << 20)
        copy_sparse(self.built(size=SIZE, files=12, features=SMALL, version="6.3", table="mbr").path, volume)
        bare = carve(volume, FIRST_START, self.folder / "bare")
        with mounted(bare, write=True) as root:
            (root / "Windows/System32/ntdll.dll").write_bytes(os.urandom(60_000))
            (root / "Windows/win.ini").write_bytes(b"[fonts]\r\n" * 300)
        two_partitions(self.folder / "disk.img", bare, data)
        two_partitions(self.folder / "stick.img", bare, data, table="gpt")
        fresh_volume(self.folder / "empty.img", SIZE)
        for path in (volume, data, bare):
            path.unlink()

    def converted(self) -> None:
        """disk.img stands on store.wim, of which backup.wim is a copy, and was changed since."""
        self.plain()
        disk, wim = self.folder / "disk.img", self.folder / "store.wim"
        done("convert", disk, "--wim", wim, "--wim-place", "later")
        shutil.copyfile(wim, self.folder / "backup.wim")
        bare = carve(disk, FIRST_START, self.folder / "bare")
        with mounted(bare, write=True) as root:
            (root / "Windows/new.dll").write_bytes(os.urandom(60_000))
            (root / "Windows/explorer.exe").rename(root / "Windows/shell.exe")
        copy_sparse(bare, disk, target_offset=FIRST_START)
        bare.unlink()

    def updates(self) -> None:
        """That, and two systems that are still ordinary ones."""
        self.converted()
        for name, architecture, number in (("x64", "amd64", 1), ("x86", "x86", 2)):
            system = self.built(size=SIZE, files=12, features=SMALL, version="6.3", table="mbr", seed=number,
                                architecture=architecture)
            copy_sparse(system.path, self.folder / f"{name}.vhd")
            with (self.folder / f"{name}.vhd").open("r+b") as file:
                os.pwrite(file.fileno(), struct.pack("<I", 0x5EED0000 + number), 0x1B8)

    def vhd(self) -> None:
        """win7.vhd is a dynamic one."""
        disk_of_kind("dynamic", self.folder, self.built, name="win7")

    def booting(self) -> None:
        """disk.img has a system partition and a Windows with boot files, win7.vhd too; esp.img and sda1 are FAT."""
        system = self.folder / "system"
        copy_sparse(self.built(size=SIZE, files=6, features=()).path, system)
        add_boot_files(system)
        for name in ("esp.img", "menu.img", "first"):
            with (self.folder / name).open("wb") as file:
                file.truncate(16 << 20)
            subprocess.run(["mkfs.fat", "-F", "16", str(self.folder / name)], check=True, capture_output=True)
        two_partitions(self.folder / "disk.img", self.folder / "first", system)
        (self.folder / "win7.vhd").write_bytes(fixed_vhd((self.folder / "disk.img").read_bytes()))
        (self.folder / "grub4dos").mkdir()
        for name in ("grldr", "grldr.mbr"):
            (self.folder / "grub4dos" / name).write_bytes(name.encode())

    def inside(self) -> None:
        """win7.img and win7.vhd hold a Windows 7; the files of its drivers."""
        copy_sparse(self.built(size=SIZE, files=6, features=()).path, self.folder / "win7.img")
        disk = self.built(size=SIZE, files=6, features=(), table="mbr").path
        (self.folder / "win7.vhd").write_bytes(fixed_vhd(disk.read_bytes()))
        wofadk(self.folder)
        signed_driver(self.folder, "svbusx64.sys")
        (self.folder / "svbus.inf").write_text(SVBUS_INF)

    def memory(self) -> None:
        """x86/win7.vhd and win10.vhd stand on win.wim."""
        first = self.folder / "win10.vhd"
        copy_sparse(self.built(size=SIZE, files=6, features=(), version="6.3").path, first)
        add_boot_files(first)
        place = "mbr:5cbea03e:1048576:\\wimboot\\win.wim"
        done("convert", first, "--wim", self.folder / "win.wim", "--wim-place", place)
        (self.folder / "x86").mkdir()
        copy_sparse(first, self.folder / "x86" / "win7.vhd")

    def planned(self) -> None:
        """The plan of the documents, the systems that it captures, and an empty folder."""
        shutil.copy(ROOT / "docs/two-systems.toml", self.folder)
        for name, machine, number in (("x64", "amd64", 1), ("x86", "x86", 2)):
            system = self.built(size=SIZE, files=12, features=SMALL, seed=number, architecture=machine)
            copy_sparse(system.path, self.folder / f"{name}.img")
            add_boot_files(self.folder / f"{name}.img", machine=machine, uefi=False)
            (self.folder / machine).mkdir()
            wofadk(self.folder / machine, machine)
        (self.folder / "disk").mkdir()

    def shared(self) -> None:
        """x64.vhd and x86.vhd stand on both.wim, with five images."""
        shared = make_shared(self.folder)
        for path in (shared.x64, shared.x86):
            path.rename(path.with_suffix(".vhd"))
        shared.wim.rename(self.folder / "both.wim")
        wimlib("info", self.folder / "both.wim", "1", "before-updates")
        self.converted()

    def run(self, words: list[str]) -> None:
        """One line of the README."""
        if words[0] in OF_THE_SHELL:
            subprocess.run(words, check=True)
        elif words[-1] == "-":
            subprocess.run([sys.executable, "-m", *words], check=True, stdout=subprocess.DEVNULL)
        elif words[0] not in ELSEWHERE and words[1] not in ELSEWHERE:
            assert words[0] == "wimboot"
            yes = ["--yes"] if words[1] == "prune" else []     # which is told to ask
            places = {"/mnt": str(self.folder / "mnt"), "/dev/sda1": "menu.img", "/root": str(self.folder),
                      "DISK-GUID": str(build.DISK_GUID), "PARTITION-GUID": str(build.PARTITION_GUID)}
            line = [_replaced(word, places) for word in words[1:]]
            told = wimboot(*line, *yes)
            assert told.code == 0, f"{shlex.join(words)}\n{told.out}\n{told.err}"


def _replaced(word: str, places: dict[str, str]) -> str:
    for old, new in places.items():
        word = word.replace(old, new)
    return word


SECTIONS: dict[str, Callable[[World], None]] = {
    "A first real conversion": World.plain, "Keeping a system up to date": World.updates,
    "Back to an image": World.converted, "Onto another volume": World.converted, "A new disk": World.converted,
    "Several systems from one plan": World.planned, "Looking inside": World.converted,
    "Making it start": World.booting, "What it takes": World.shared,
    "Where the WIM lies": World.converted, "Dropping images, keeping a spare": World.shared,
    "Inside Windows": World.inside, "A system in memory": World.memory,
    "When something is wrong": World.converted, "VHDs": World.vhd,
}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_can_be_typed_as_it_stands(section: str, built_system: Callable[..., build.System], tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command ends well, one after the other."""
    world = World(tmp_path, built_system)
    SECTIONS[section](world)
    monkeypatch.chdir(tmp_path)
    lines = commands(read(ENGLISH)[section])
    assert len(lines) >= 3
    for words in lines:
        world.run(words)


def test_no_section_with_commands_is_left_out() -> None:
    """But the first, which sets the program up."""
    with_commands = {heading for heading, text in read(ENGLISH).items() if commands(text)}
    assert with_commands == {*SECTIONS, "Two commands"}
