"""The XML data of a WIM: what its images are called and what is in them.

UTF-16LE with a byte order mark, no declaration (wimlib xml.c; WIMs of DISM and wimlib). Root `WIM`:

    TOTALBYTES                          bytes of the WIM before this XML
    IMAGE INDEX="1"...                  as many as the header says, renumbered when one is removed
      NAME, DESCRIPTION, DISPLAYNAME, DISPLAYDESCRIPTION, FLAGS (the edition)
      DIRCOUNT, FILECOUNT               folders with the root; names of files
      TOTALBYTES, HARDLINKBYTES         all streams of all names; the part of it in further names
      CREATIONTIME, LASTMODIFICATIONTIME    HIGHPART, LOWPART: a FILETIME as 0x%08X
      WIMBOOT                           1 where the image is made for pointers
      WINDOWS                           ARCH, PRODUCTNAME, EDITIONID, INSTALLATIONTYPE, HAL, PRODUCTTYPE,
                                        PRODUCTSUITE, LANGUAGES/LANGUAGE..., LANGUAGES/DEFAULT, SYSTEMROOT,
                                        VERSION/MAJOR, MINOR, BUILD, SPBUILD, SPLEVEL

Elements that are not in this list stay as they are, wherever they stand.
"""

from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from wimboot.errors import FormatError, Internal, UsageError
from wimboot.frozen import Frozen

__all__ = ["MAX_XML_SIZE", "ImageXml", "NotXmlText", "WimXml", "WindowsFacts", "parse_xml"]

MAX_XML_SIZE: Final = 16 << 20
_MAX_DEPTH, _MAX_ELEMENTS = 64, 200_000     # DISM's go 5 deep and have some 100 an image
_FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXTS = {"name": "NAME", "description": "DESCRIPTION", "display_name": "DISPLAYNAME",
          "display_description": "DISPLAYDESCRIPTION", "flags": "FLAGS", "capture_list": "CAPTURELIST"}
_COUNTS = {"directory_count": "DIRCOUNT", "file_count": "FILECOUNT", "total_bytes": "TOTALBYTES",
           "hard_link_bytes": "HARDLINKBYTES"}
_TIMES = {"creation_time": "CREATIONTIME", "last_modification_time": "LASTMODIFICATIONTIME"}
_WINDOWS_TEXTS = {
    "product_name": "PRODUCTNAME", "edition_id": "EDITIONID", "installation_type": "INSTALLATIONTYPE",
    "hal": "HAL", "product_type": "PRODUCTTYPE", "product_suite": "PRODUCTSUITE",
    "default_language": "LANGUAGES/DEFAULT", "system_root": "SYSTEMROOT",
}
_WINDOWS_NUMBERS = {
    "architecture": "ARCH", "major": "VERSION/MAJOR", "minor": "VERSION/MINOR", "build": "VERSION/BUILD",
    "sp_build": "VERSION/SPBUILD", "sp_level": "VERSION/SPLEVEL",
}


class NotXmlText(UsageError):
    """A name or description that XML cannot hold."""

    id = "xml-text"
    sentence = "the {field} {value!r} of an image holds a character that a WIM cannot record"
    advice = "Leave out control characters."


class WindowsFacts(Frozen):
    """The WINDOWS element. None and "" where it says nothing. `architecture` is PROCESSOR_ARCHITECTURE_*."""

    architecture: int | None = None
    product_name: str = ""
    edition_id: str = ""
    installation_type: str = ""
    product_type: str = ""
    product_suite: str = ""
    hal: str = ""
    system_root: str = ""
    languages: tuple[str, ...] = ()
    default_language: str = ""
    major: int | None = None
    minor: int | None = None
    build: int | None = None
    sp_build: int | None = None
    sp_level: int | None = None


class ImageXml(Frozen):
    """One IMAGE element. Times are in 100 ns since 1601, 0 where not told."""

    name: str = ""
    description: str = ""
    display_name: str = ""
    display_description: str = ""
    flags: str = ""
    capture_list: str = ""
    """Our own element: the exclusions it was captured with, as a WimBootCompress.ini. Other tools pass it by."""
    directory_count: int = 0
    file_count: int = 0
    total_bytes: int = 0
    hard_link_bytes: int = 0
    creation_time: int = 0
    last_modification_time: int = 0
    wimboot: bool = False
    windows: WindowsFacts | None = None


@dataclass(frozen=True, slots=True)
class WimXml:
    """The document. Changing gives a new one; `images[0]` is image 1."""

    images: tuple[ImageXml, ...] = ()
    total_bytes: int | None = None
    _root: ET.Element = field(default_factory=lambda: ET.Element("WIM"), repr=False, compare=False)

    @classmethod
    def parse(cls, data: bytes, image_count: int | None = None) -> WimXml:
        """Read it, and compare the number of images with the header's. Raises FormatError."""
        root = _read(data)
        if root.tag != "WIM":
            _bad(f"its root is {root.tag!r}, not 'WIM'")
        elements = root.findall("IMAGE")
        indices = [_number(element.get("INDEX")) for element in elements]
        if sorted(index or 0 for index in indices) != list(range(1, len(elements) + 1)):
            _bad("its images are not numbered from 1 on")
        if image_count is not None and len(elements) != image_count:
            _bad(f"it describes {len(elements):,} images, the header says {image_count:,}")
        order = sorted(range(len(elements)), key=lambda at: indices[at] or 0)
        images = tuple(_image(elements[at]) for at in order)
        return cls(images, _number(root.findtext("TOTALBYTES")), root)

    def pack(self) -> bytes:
        """The bytes for the WIM."""
        text = ET.tostring(self._root, encoding="unicode", short_empty_elements=False)
        return f"\ufeff{text}".encode("utf-16-le")

    def add_image(self, image: ImageXml) -> WimXml:
        """With this image as the last one. Raises NotXmlText."""
        root = copy.deepcopy(self._root)
        element = ET.Element("IMAGE", INDEX=str(len(self.images) + 1))
        _fill(element, image)
        at = next((number for number, child in enumerate(root) if child.tag == "TOTALBYTES"), len(root))
        root.insert(at, element)
        return WimXml((*self.images, image), self.total_bytes, root)

    def remove_image(self, number: int) -> WimXml:
        """Without image `number` (from 1); those behind it move up."""
        root = copy.deepcopy(self._root)
        root.remove(self._element(root, number))
        for element in root.findall("IMAGE"):
            index = _number(element.get("INDEX")) or 0
            if index > number:
                element.set("INDEX", str(index - 1))
        return WimXml((*self.images[:number - 1], *self.images[number:]), self.total_bytes, root)

    def with_total_bytes(self, total: int) -> WimXml:
        """With the offset at which the XML will lie."""
        root = copy.deepcopy(self._root)
        _set(root, "TOTALBYTES", str(total))
        return WimXml(self.images, total, root)

    def _element(self, root: ET.Element, number: int) -> ET.Element:
        for element in root.findall("IMAGE"):
            if _number(element.get("INDEX")) == number:
                return element
        raise Internal(what=f"image {number} of {len(self.images):,}")


parse_xml = WimXml.parse


# ---- reading


class _Bounded(ET.TreeBuilder):
    """Refuses what would need much memory, or a deep recursion when it is written again."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._count = 0

    def start(self, tag: str, attributes: dict[str, str], /) -> ET.Element:
        """An element begins."""
        self._depth += 1
        self._count += 1
        if self._depth > _MAX_DEPTH or self._count > _MAX_ELEMENTS:
            _bad("it has too many elements, or too many inside each other")
        return super().start(tag, attributes)

    def end(self, tag: str, /) -> ET.Element:
        """An element ends."""
        self._depth -= 1
        return super().end(tag)


def _bad(problem: str) -> NoReturn:
    raise FormatError("XML data", 0, problem)


def _read(data: bytes) -> ET.Element:
    if len(data) > MAX_XML_SIZE:
        _bad(f"it has {len(data):,} bytes, more than {MAX_XML_SIZE:,}")
    try:
        text = data.decode("utf-16-le").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise FormatError("XML data", error.start, "it is not UTF-16LE") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        _bad("it defines a document type or entities")
    parser = ET.XMLParser(target=_Bounded())  # noqa: S314 - no document type, so no entities, gets this far
    try:
        parser.feed(text)
        root: ET.Element = parser.close()
    except ET.ParseError as error:
        raise FormatError("XML data", 0, str(error)) from error
    return root


def _number(text: str | None) -> int | None:
    """A decimal number of at most 64 bits; None for anything else."""
    if text is None or not re.fullmatch("[0-9]{1,20}", text.strip(), re.ASCII):
        return None
    value = int(text)
    return value if value < 1 << 64 else None


def _time(element: ET.Element | None) -> int:
    parts = []
    for name in ("HIGHPART", "LOWPART"):
        text = "" if element is None else (element.findtext(name) or "").strip()
        if not re.fullmatch("(0[xX])?[0-9a-fA-F]{1,8}", text, re.ASCII):
            return 0
        parts.append(int(text, 16))
    return parts[0] << 32 | parts[1]


def _image(element: ET.Element) -> ImageXml:
    facts: dict[str, Any] = {key: element.findtext(tag) or "" for key, tag in _TEXTS.items()}
    facts |= {key: _number(element.findtext(tag)) or 0 for key, tag in _COUNTS.items()}
    facts |= {key: _time(element.find(tag)) for key, tag in _TIMES.items()}
    windows = element.find("WINDOWS")
    return ImageXml(**facts, wimboot=(_number(element.findtext("WIMBOOT")) or 0) != 0,
                    windows=None if windows is None else _windows(windows))


def _windows(element: ET.Element) -> WindowsFacts:
    facts: dict[str, Any] = {key: element.findtext(path) or "" for key, path in _WINDOWS_TEXTS.items()}
    facts |= {key: _number(element.findtext(path)) for key, path in _WINDOWS_NUMBERS.items()}
    languages = tuple(language.text or "" for language in element.findall("LANGUAGES/LANGUAGE"))
    return WindowsFacts(**facts, languages=languages)


# ---- writing


def _set(element: ET.Element, path: str, text: str) -> None:
    """Make the element at a path have this text; an empty one makes none."""
    if not text:
        return
    for part in path.split("/"):
        found = element.find(part)
        element = ET.SubElement(element, part) if found is None else found
    element.text = text


def _fill(element: ET.Element, image: ImageXml) -> None:
    for key, tag in _COUNTS.items():
        _set(element, tag, str(getattr(image, key)))
    for key, tag in _TIMES.items():
        value = getattr(image, key)
        _set(element, f"{tag}/HIGHPART", f"0x{value >> 32:08X}")
        _set(element, f"{tag}/LOWPART", f"0x{value & 0xFFFFFFFF:08X}")
    _set(element, "WIMBOOT", "1" if image.wimboot else "")
    if image.windows is not None:
        _fill_windows(ET.SubElement(element, "WINDOWS"), image.windows)
    for key, tag in _TEXTS.items():
        value = getattr(image, key)
        if _FORBIDDEN.search(value):
            raise NotXmlText(field=key.replace("_", " "), value=value)
        _set(element, tag, value)


def _fill_windows(windows: ET.Element, facts: WindowsFacts) -> None:
    """These come from the registry: a character that XML lacks is replaced, lest a capture fail over it."""
    for key, path in _WINDOWS_NUMBERS.items():
        value = getattr(facts, key)
        _set(windows, path, "" if value is None else str(value))
    for key, path in _WINDOWS_TEXTS.items():
        _set(windows, path, _clean(getattr(facts, key)))
    languages = windows.find("LANGUAGES")   # the default one may be in it already
    for at, language in enumerate(facts.languages):
        if languages is None:
            languages = ET.SubElement(windows, "LANGUAGES")
        new = ET.Element("LANGUAGE")
        new.text = _clean(language)
        languages.insert(at, new)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
