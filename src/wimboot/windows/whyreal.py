"""Why a file is, or stays, an ordinary file in a WIMBoot system: the answers of `wimboot explain`."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from wimboot.tree.selection import Rule

__all__ = ["WhyReal"]


class WhyReal(Enum):
    """The reasons; the value is the stable id that JSON shows."""

    RULE = "rule"
    RESIDENT = "resident"
    EMPTY = "empty"
    NO_DATA = "no-data"
    TOO_LARGE = "too-large"
    ENCRYPTED = "encrypted"
    REPARSE_POINT = "reparse-point"
    FOLDER = "folder"
    NOT_IN_WIM = "not-in-wim"
    NOT_BACKABLE = "not-backable"
    EXCLUDED = "excluded"
    ALREADY_POINTER = "already-pointer"
    CHANGED = "changed"

    @property
    def sentence(self) -> str:
        """One sentence for a person."""
        return _SENTENCES[self]

    def explain(self, rule: Rule | None = None) -> str:
        """The sentence, with the rule behind it where there is one."""
        return self.sentence if rule is None else f"{self.sentence[:-1]}: {rule}."


_SENTENCES: Final = {
    WhyReal.RULE: "A list says that it must be a real file.",
    WhyReal.RESIDENT: "Its data is so small that it lies in its MFT record; a pointer would save nothing.",
    WhyReal.EMPTY: "It is empty.",
    WhyReal.NO_DATA: "It has no unnamed data stream.",
    WhyReal.TOO_LARGE: "It is larger than 4.2 GB, and Windows' driver cannot read a pointer of that size.",
    WhyReal.ENCRYPTED: "It is encrypted, and only Windows can read it.",
    WhyReal.REPARSE_POINT: "It is a link or another kind of reparse point, and a file has room for one only.",
    WhyReal.FOLDER: "It is a folder.",
    WhyReal.NOT_IN_WIM: "The WIM does not hold its data.",
    WhyReal.NOT_BACKABLE: "The WIM holds its data in a form that Windows' driver does not read.",
    WhyReal.EXCLUDED: "A list leaves it out of the capture, so it was left alone.",
    WhyReal.ALREADY_POINTER: "It is a pointer, not a real file.",
    WhyReal.CHANGED: "It is not what the WIM holds any more.",
}
