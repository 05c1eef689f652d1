"""Errors: one tree, one exit code a branch, one stable id a class, sentences from facts."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterator
from string import Formatter

import wimboot
from wimboot import errors

EXIT_CODES = {"UsageError": 2, "Refused": 4, "Busy": 4, "Damaged": 1, "FormatError": 1, "Unsupported": 1,
              "HostError": 1, "ChecksFailed": 3, "Internal": 1}

USERS_LAYERS = tuple(f"wimboot.{name}." for name in ("disk", "windows", "plan", "ops", "cli"))
INSIDE_ONLY = {"Error", "Cancelled"}
"""The root, and what passes between threads and never reaches a user."""


def classes() -> Iterator[type[errors.Error]]:
    """Every error class of the program, all modules being imported."""
    for module in pkgutil.walk_packages(wimboot.__path__, "wimboot."):
        if not module.name.startswith("wimboot.gui") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting = [errors.Error]
    while waiting:
        found = waiting.pop()
        waiting += found.__subclasses__()
        if found.__module__.startswith("wimboot"):     # tests have errors of their own
            yield found


def test_exit_codes_are_those_of_the_table() -> None:
    """0 done, 1 failed, 2 usage, 3 problems found, 4 refused: the branch decides."""
    for name, code in EXIT_CODES.items():
        assert getattr(errors, name).exit_code == code
    for kind in classes():
        branches = [EXIT_CODES[parent.__name__] for parent in kind.__mro__ if parent.__name__ in EXIT_CODES
                    and parent.__module__ == "wimboot.errors"]
        if branches:
            assert kind.exit_code == branches[0], f"{kind.__name__} leaves the code of its branch"


def test_every_error_belongs_to_a_branch() -> None:
    """Who has to act is always said."""
    strays = [kind.__name__ for kind in classes() if kind.__name__ not in INSIDE_ONLY and not any(
        parent.__name__ in EXIT_CODES and parent.__module__ == "wimboot.errors" for parent in kind.__mro__)]
    assert not strays, strays


def test_ids_are_unique_and_stable_words() -> None:
    """Scripts match on the id: lower case with hyphens, one for each class."""
    ids = Counter(kind.id for kind in set(classes()) if kind.__module__.startswith("wimboot"))
    assert [name for name, count in ids.items() if count > 1] == []
    assert all(name.replace("-", "").isalnum() and name == name.lower() for name in ids)


def test_advice_and_sentence_use_facts_only() -> None:
    """Templates name their facts; positional fields would make callers write text."""
    for kind in set(classes()):
        for template in (kind.sentence, kind.advice):
            assert all(field is None or field.isidentifier() for _, field, _, _ in Formatter().parse(template)), (
                f"{kind.__name__}: {template}")


def test_concrete_refusals_say_what_to_do() -> None:
    """Who is refused is told the way on. What ntfs/ and wim/ refuse are single calls, a matter of the caller."""
    silent = [kind.__name__ for kind in set(classes()) if issubclass(kind, errors.Refused | errors.UsageError)
              and kind.__module__.startswith(USERS_LAYERS) and not kind.advice and not kind.__subclasses__()]
    assert not silent, silent
