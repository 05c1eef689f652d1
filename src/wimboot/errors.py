"""Every error of the program, grouped by who has to act.

    Error
    ├── UsageError      the command was not a possible one                             exit 2
    ├── Refused         possible, but not safe; the volume and the WIM are untouched   exit 4
    │   └── Busy        another program, or another run of this one, uses the target   exit 4
    ├── Damaged         what was read is not sound                                     exit 1
    │   └── FormatError one structure in it breaks the rules of its format             exit 1
    ├── Unsupported     sound, but not something this program can do                   exit 1
    ├── HostError       the operating system said no (disk full, I/O error, ...)       exit 1
    ├── ChecksFailed    a check ran to its end and found problems                      exit 3
    └── Internal        a broken promise of our own code                               exit 1

A concrete error is a subclass near the code that raises it: a stable `id`, a `sentence` with the facts as
`{fields}` (what, where, why) and a `hint` (what to do). Callers give facts, never text.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import ClassVar

from wimboot.figures import Figure

__all__ = [
    "Busy", "ChecksFailed", "Damaged", "Error", "FormatError", "HostError", "Internal", "Refused", "Unsupported",
    "UsageError", "advice",
]


class Error(Exception):
    """The base: `facts` are the typed fields, `str(error)` the sentence, `hint` what to do about it."""

    exit_code: ClassVar[int] = 1
    id: ClassVar[str] = "error"
    sentence: ClassVar[str] = "{what}"
    advice: ClassVar[str] = ""

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        self.hint = advice(self.advice, **facts)
        told = {name: Figure(fact) if type(fact) is int else fact for name, fact in facts.items()}
        super().__init__(self.sentence.format(**told))

    @property
    def told(self) -> str:
        """The sentence and what to do, where there is one line for both."""
        return f"{self}. {self.hint}" if self.hint else str(self)


def advice(text: str, /, **facts: object) -> str:
    """The text with its facts; where it is a command to be typed, `in backticks`, as a shell has to get them: one word
    each, of a tuple all of its words.
    """
    if "`" not in text:
        return text.format(**facts)
    from shlex import join

    words = {name: (fact,) for name, fact in facts.items() if isinstance(fact, (str, PurePath))}
    tuples = {name: fact for name, fact in facts.items() if isinstance(fact, tuple)}
    typed = facts | {name: join(map(str, each)) for name, each in (words | tuples).items()}
    return "`".join(part.format(**(typed if number % 2 else facts)) for number, part in enumerate(text.split("`")))


class UsageError(Error):
    """The command itself is wrong."""

    exit_code = 2
    id = "usage"


class Refused(Error):
    """Not safe, so nothing was changed."""

    exit_code = 4
    id = "refused"


class Busy(Refused):
    """Somebody else is using the target or the WIM."""

    id = "busy"


class Damaged(Error):
    """The input is not sound."""

    id = "damaged"


class FormatError(Damaged):
    """One structure breaks its format: `structure`, `offset` in its buffer, `problem`."""

    id = "format"
    sentence = "{structure} is not valid at byte {offset}: {problem}"

    def __init__(self, structure: str, offset: int, problem: str) -> None:
        super().__init__(structure=structure, offset=offset, problem=problem)


class Unsupported(Error):
    """Sound input that this program does not handle."""

    id = "unsupported"


class HostError(Error):
    """The operating system refused an operation."""

    id = "host"
    sentence = "{what} {where} failed: {why}"


class ChecksFailed(Error):
    """A check found problems; they were reported one by one."""

    exit_code = 3
    id = "problems"
    sentence = "{count} problems were found in {where}"


class Internal(Error):
    """Our own code broke a promise; a bug."""

    id = "internal"
    advice = "This is a bug in wimboot. Nothing was committed. Please report it with the output of -vv."
