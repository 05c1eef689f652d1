r"""WimBootCompress.ini: which files are captured, and which stay real files in a WIMBoot system.

Behaviour as of wimlib 1.14.5, tried, where Microsoft documents nothing. Text in UTF-8 (a byte order mark may
stand before it) or UTF-16LE (byte order mark, or a zero as second byte); lines end in LF or CR LF; blanks
around a line do not count.

    line                  meaning
    ; ...   # ...         comment; nothing may follow a pattern on its line
    [Name]                section, in exactly this case; an unknown one is left out, with a warning
    "pattern" 'pattern'   one pair of quotes around the whole line is removed
    before any section    left out

    pattern               meaning
    \a\b, /a/b, X:\a\b    absolute: compared component by component from the root of the volume
    name                  relative: compared with the last component of a path, at any depth
    *  ?                  any run of units, exactly one unit; never a separator. Nothing else is special
    a\b, X:a              refused, and the whole file with it

Runs of separators count as one, and one at the end as none. An empty pattern means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final

from wimboot.errors import FormatError
from wimboot.formats.names import MAX_PATH_UNITS, split_path
from wimboot.frozen import Frozen

__all__ = ["MAX_INI_SIZE", "MAX_PATTERNS", "CaptureList", "IniError", "IniWarning", "Pattern"]

MAX_INI_SIZE: Final = 1 << 20
MAX_PATTERNS: Final = 2_000     # each may be compared with every file of a volume; lists in use have 100

_BLANKS: Final = " \t\r\v\f"


class IniError(FormatError):
    """A line of a capture list that makes the whole list unusable."""

    id = "capture-list"
    sentence = "line {line:d} of the capture list is not valid: {problem}"
    advice: ClassVar[str] = (
        "A pattern with several components begins with a backslash; a comment stands on a line of its own. "
        "Nothing was captured or changed."
    )

    def __init__(self, line: int, problem: str) -> None:
        super(FormatError, self).__init__(structure="a capture list", offset=0, line=line, problem=problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One line of a section. `text` is the line as written, without blanks and quotes."""

    text: str
    components: tuple[str, ...]
    absolute: bool
    line: int = field(default=0, compare=False)

    @classmethod
    def parse(cls, text: str, line: int = 0) -> Pattern | None:
        """Normalise one pattern; None where nothing is left of it. Raises IniError."""
        if "\0" in text or "\n" in text:
            raise IniError(line, "it contains a NUL or a line end")
        if len(text) > MAX_PATH_UNITS:
            raise IniError(line, f"it is longer than {MAX_PATH_UNITS} characters")
        rest = text.replace("/", "\\")
        if rest[1:2] == ":":
            if rest[2:3] != "\\":
                raise IniError(line, f"{text!r} has a drive letter, but no backslash after it")
            rest = rest[2:]
        components = split_path(rest)
        if not components:
            return None
        absolute = rest.startswith("\\")
        if not absolute and len(components) > 1:
            raise IniError(line, f"{text!r} is relative, so it may have one component only")
        return cls(text=text, components=components, absolute=absolute, line=line)

    @property
    def normal(self) -> str:
        """The pattern as it is compared: backslashes, no drive letter."""
        return ("\\" if self.absolute else "") + "\\".join(self.components)


class IniWarning(Frozen):
    """Something that was left out while reading."""

    line: int
    text: str

    def __str__(self) -> str:
        """The warning with its line."""
        return f"line {self.line}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureList:
    """All sections that imaging tools know. The compression lists and the pinning list are kept, not used."""

    exclusion: tuple[Pattern, ...] = ()
    exception: tuple[Pattern, ...] = ()
    prepopulate: tuple[Pattern, ...] = ()
    compression_exclusion: tuple[Pattern, ...] = ()
    compression_folders: tuple[Pattern, ...] = ()
    pinning_folders: tuple[Pattern, ...] = ()
    warnings: tuple[IniWarning, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, data: bytes) -> CaptureList:
        """Read a whole file. Raises IniError, and FormatError where it is no text."""
        reader = _Reader()
        for number, line in enumerate(_decode(data).split("\n"), 1):
            reader.line(number, line.strip(_BLANKS))
        return reader.finish()

    def pack(self) -> bytes:
        """A file that reads as this list: UTF-8, CR LF."""
        lines: list[str] = []
        for section, name in _SECTIONS.items():
            patterns: tuple[Pattern, ...] = getattr(self, name)
            if patterns:
                lines += [f"[{section}]", *map(_written, patterns), ""]
        return "\r\n".join(lines).encode()


_SECTIONS: Final = {
    "ExclusionList": "exclusion",
    "ExclusionException": "exception",
    "PrepopulateList": "prepopulate",
    "CompressionExclusionList": "compression_exclusion",
    "CompressionFolderList": "compression_folders",
    "PinningFolderList": "pinning_folders",
}


class _Reader:
    """The state between two lines."""

    def __init__(self) -> None:
        self._found: dict[str, list[Pattern]] = {name: [] for name in _SECTIONS.values()}
        self._count = 0
        self._section: list[Pattern] | None = None
        self._warnings: list[IniWarning] = []

    def line(self, number: int, line: str) -> None:
        if not line or line[0] in ";#":
            return
        if line[0] == "[" and line[-1] == "]":
            self._begin(number, line[1:-1])
        elif self._section is not None:
            if len(line) > 1 and line[0] == line[-1] and line[0] in "\"'":
                line = line[1:-1]
            pattern = Pattern.parse(line, number)
            if pattern is not None:
                self._count += 1
                if self._count > MAX_PATTERNS:
                    raise IniError(number, f"more than {MAX_PATTERNS} patterns")
                self._section.append(pattern)

    def _begin(self, number: int, name: str) -> None:
        attribute = _SECTIONS.get(name)
        self._section = None if attribute is None else self._found[attribute]
        if attribute is None:
            self._warnings.append(IniWarning(line=number, text=f"unknown section [{name}] left out"))

    def finish(self) -> CaptureList:
        found = {name: tuple(patterns) for name, patterns in self._found.items()}
        return CaptureList(**found, warnings=tuple(self._warnings))


def _decode(data: bytes) -> str:
    if len(data) > MAX_INI_SIZE:
        raise FormatError("a capture list", MAX_INI_SIZE, f"it has {len(data):,} bytes, over 1 MiB")
    wide = data[:2] == b"\xff\xfe" or data[1:2] == b"\0"
    try:
        text = data.decode("utf-16-le" if wide else "utf-8")
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if wide else "UTF-8"
        raise FormatError("a capture list", error.start, f"it is not {encoding} text") from error
    return text.removeprefix("\ufeff")


def _written(pattern: Pattern) -> str:
    """The line of a pattern, in quotes where it would be read as something else without."""
    text = pattern.text
    special = text[0] in ";#[\"'" or text[0] in _BLANKS or text[-1] in _BLANKS
    return f'"{text}"' if special else text
