"""Every failure has a test: of each error class some test names the id or the class."""

from __future__ import annotations

import re

from sources import test_modules
from test_error_tree import classes

UNTESTED = {
    "format-failed": "the library's formatter gives up",
    "volume-too-large": "takes a volume of more files than a test can make",
    "wim-too-large": "takes a WIM of more data than a test can make",
    "folder-twice": "takes two folders that list one file record",
    "without-data": "takes a file record without data, which no driver makes",
    "registry-host": "hivex fails for a reason of the host",
    "libwim-host": "libwim fails for a reason of the host",
    "libwim-data": "libwim refuses what its own codec made",
    "libwim-unsupported": "libwim is of another build than its header",
}
"""What has no test, and why."""


def test_each_failure_has_a_test() -> None:
    """By id, as scripts match on it, or by class; what has none is listed here with the reason, and nothing else."""
    tests = "\n".join(path.read_text(encoding="utf-8") for path in test_modules() if path.stem != "test_error_tests")
    quoted, words = set(re.findall(r"(?<=[\"'])([\w-]+)(?=[\"'])", tests)), set(re.findall(r"\w+", tests))
    strays = {kind.id for kind in set(classes())
              if kind.__module__.startswith("wimboot") and "id" in vars(kind) and not kind.__subclasses__()
              and kind.id not in quoted and kind.__name__ not in words}
    assert strays == set(UNTESTED)
