"""What is written about plans names every key that a plan may have, and no other."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from deploy_plans import HEAD, X64
from running import done
from wimboot.plan.declaring import read_plan
from wimboot.plan.tomltable import TomlTable

ROOT = Path(__file__).resolve().parents[2]
FULL = (HEAD, X64, 'title = "x"\n[system.ram]\nfile = "x.ram"\nsize = "40 MB"\n[boot]\nto = "disk"\n')
CHAPTERS = {"README.md": "## Several systems from one plan", "README.zh-CN.md": "## 用一份计划管理多个系统"}


def taken(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """By table, each key that is looked for where a plan is read."""
    found: dict[str, set[str]] = defaultdict(set)
    take = TomlTable._take

    def noting(table: TomlTable, key: str, kind: type) -> object:
        found[".".join(part for part in table._path if isinstance(part, str))].add(key)
        return take(table, key, kind)

    monkeypatch.setattr(TomlTable, "_take", noting)
    read_plan("".join(FULL).encode(), "plan.toml")
    read_plan("".join(FULL).replace('capture = "x64.img"', 'from = "w.wim"\nimage = 1').encode(), "plan.toml")
    return {table: keys - {"store", "place", "boot", "ram"} - ({"system"} if not table else {"image"} if
            table == "store" else set()) for table, keys in found.items()}


def test_the_help_of_deploy_lists_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the header of its table; each header is that of a table, and each `key =` one that is taken."""
    keys = taken(monkeypatch)
    told = done("deploy", "--help").out.partition("A plan:\n")[2].partition("\n\n")[0]
    sections: dict[str, str] = defaultdict(str)
    here = ""
    for line in told.splitlines():
        header = re.match(r"\s+\[+([\w.]+)\]+", line)
        here = header[1] if header else here
        sections[here] += line[header.end() if header else 0:] + "\n"
    assert sections.keys() == keys.keys()
    for table, text in sections.items():
        words = set(re.findall(r"\w+", text))
        assert not keys[table] - words, (table, keys[table] - words)
        assert set(re.findall(r"^\s+(\w+) = ", text, re.MULTILINE)) <= keys[table]


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_readme_lists_every_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its chapter on plans, in both languages."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert CHAPTERS[name] in text
    chapter = text.partition(CHAPTERS[name])[2].partition("\n## ")[0]
    words = set(re.findall(r"[a-z_0-9]+", chapter))
    assert not {key for keys in taken(monkeypatch).values() for key in keys} - words
