"""English that goes with numbers: "1 files are behind" becomes "1 file is behind".

What operations tell is written for many. People read it through `singular`, which mends what stands with a 1: the noun
right behind it, and verbs and pronouns up to the next number or the end of the clause, over its size in brackets or
whose it is. Only words that are known are touched, and none inside a path.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["singular"]

_NOUNS: Final = {
    "blobs": "blob", "blocks": "block", "bytes": "byte", "changes": "change", "contents": "content",
    "copies": "copy", "data sources": "data source", "disks": "disk", "drivers": "driver", "entries": "entry",
    "files": "file", "files'": "file's", "folders": "folder", "images": "image", "links": "link", "lists": "list",
    "logs": "log", "names": "name", "partitions": "partition", "pointers": "pointer", "problems": "problem",
    "seconds": "second", "streams": "stream", "systems": "system", "volumes": "volume",
}
_ADJECTIVES: Final = ("deduplicated", "encrypted", "full", "further", "more", "named", "new", "NTFS", "ordinary",
                      "other", "real")
_WITH_MANY: Final = {
    "are": "is", "were": "was", "have": "has", "do": "does", "belong": "belongs", "carry": "carries",
    "contain": "contains", "follow": "follows", "keep": "keeps", "lack": "lacks", "lead": "leads", "lie": "lies",
    "need": "needs", "point": "points", "reach": "reaches", "share": "shares", "stand": "stands", "stay": "stays",
    "they": "it", "them": "it", "their": "its",
}
_AS_ONE: Final = {"pointers": "a pointer", "ordinary files": "an ordinary file"}
_ONE: Final = re.compile(
    rf"(?<![^\s(])1 ((?:(?:{'|'.join(_ADJECTIVES)}) )*)({'|'.join(sorted(_NOUNS, key=len, reverse=True))})"
    r"(?=[\s,;:)]|\.(?:\s|$)|$)((?: \([^()\n]*\)| of [^\s,;:()]+(?= ))?[^.:;()\d\n]*)")
_WORD: Final = re.compile(rf"(?<![^\s,])(?<!would )(?:{'|'.join(_WITH_MANY)})(?=[\s,]|$)")
_BECOMES: Final = re.compile(r"(?:(?<=\bbec[ao]me )|(?<=\bmade ))(pointers|ordinary files)(?=[\s,]|$)")


def singular(text: str) -> str:
    """The same, with what is said of one said so."""
    return _ONE.sub(_mended, text)


def _mended(found: re.Match[str]) -> str:
    adjectives, noun, rest = found.groups()
    rest = _BECOMES.sub(lambda word: _AS_ONE[word[0]], _WORD.sub(lambda word: _WITH_MANY[word[0]], rest))
    return f"1 {adjectives}{_NOUNS[noun]}{rest}"
