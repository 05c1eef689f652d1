"""The XML data of a WIM: what is read, what stays, what is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plain_wim
from wimboot.errors import FormatError, Internal
from wimboot.formats.wimxml import MAX_XML_SIZE, ImageXml, NotXmlText, WimXml, WindowsFacts, parse_xml
from wimboot.tree._builder import Builder
from wimboot.wim._metadata import serialise

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples" / "wim"
SERVER = (
    '<WIM><TOTALBYTES>10</TOTALBYTES><IMAGE INDEX="1"><NAME>Server</NAME><DIRCOUNT>3</DIRCOUNT><FILECOUNT>5</FILECOUNT>'
    "<TOTALBYTES>105220</TOTALBYTES><HARDLINKBYTES>110</HARDLINKBYTES>"
    "<CREATIONTIME><HIGHPART>0x01DD7A69</HIGHPART><LOWPART>0x5FB3A972</LOWPART></CREATIONTIME>"
    "<LASTMODIFICATIONTIME><HIGHPART>0x01dd7a69</HIGHPART><LOWPART>0x5fb3a973</LOWPART></LASTMODIFICATIONTIME>"
    "<WIMBOOT>1</WIMBOOT><WINDOWS><ARCH>9</ARCH><PRODUCTNAME>Microsoft® Windows®</PRODUCTNAME>"
    "<EDITIONID>ServerStandard</EDITIONID><INSTALLATIONTYPE>Server</INSTALLATIONTYPE>"
    '<SERVICINGDATA><GDRDUREVISION>0</GDRDUREVISION><PKEYCONFIGVERSION k="1">6.1</PKEYCONFIGVERSION></SERVICINGDATA>'
    "<PRODUCTTYPE>ServerNT</PRODUCTTYPE><PRODUCTSUITE>Terminal Server</PRODUCTSUITE>"
    "<LANGUAGES><LANGUAGE>en-US</LANGUAGE><LANGUAGE>zh-CN</LANGUAGE><DEFAULT>en-US</DEFAULT></LANGUAGES>"
    "<VERSION><MAJOR>6</MAJOR><MINOR>1</MINOR><BUILD>7601</BUILD><SPBUILD>17514</SPBUILD><SPLEVEL>1</SPLEVEL>"
    "<BRANCH>win7</BRANCH></VERSION><SYSTEMROOT>WINDOWS</SYSTEMROOT></WINDOWS>"
    "<DISPLAYNAME>A &amp; B</DISPLAYNAME><FLAGS>ServerStandard</FLAGS><CREATEDBY>somebody</CREATEDBY></IMAGE></WIM>")

text = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=8)
number = st.none() | st.integers(0, (1 << 64) - 1)
count = st.integers(0, (1 << 64) - 1)
windows_facts = st.builds(
    WindowsFacts, architecture=number, product_name=text, edition_id=text, installation_type=text, product_type=text,
    product_suite=text, hal=text, system_root=text, languages=st.lists(text, max_size=3).map(tuple),
    default_language=text, major=number, minor=number, build=number, sp_build=number, sp_level=number)
images = st.builds(
    ImageXml, name=text, description=text, display_name=text, display_description=text, flags=text,
    directory_count=count, file_count=count, total_bytes=count, hard_link_bytes=count, creation_time=count,
    last_modification_time=count, wimboot=st.booleans(), windows=st.none() | windows_facts)


def packed(document: str) -> bytes:
    """As it stands in a WIM."""
    return ("\ufeff" + document).encode("utf-16-le")


def built(*parts: ImageXml) -> WimXml:
    """A document of these images."""
    document = WimXml()
    for image in parts:
        document = document.add_image(image)
    return document


@settings(deadline=None)
@given(parts=st.lists(images, max_size=3), total=count)
def test_what_is_written_reads_back(parts: list[ImageXml], total: int) -> None:
    """Every fact of every image, and the number of images."""
    document = built(*parts).with_total_bytes(total)
    again = parse_xml(document.pack(), len(parts))
    assert again == document
    assert again.images == tuple(parts)
    assert again.total_bytes == total
    assert again.pack() == document.pack()


@settings(deadline=None)
@given(data=st.binary(max_size=200) | st.text(max_size=80).map(packed) | st.text("<>/WIMAGE=\"1&; x", max_size=40).map(
    lambda inner: packed(f"<WIM>{inner}</WIM>")))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    """Nothing but FormatError comes out."""
    try:
        document = WimXml.parse(data)
    except FormatError:
        return
    assert WimXml.parse(document.pack()) == document


def test_the_facts_of_an_image_are_found() -> None:
    """As DISM writes them."""
    document = WimXml.parse(packed(SERVER), 1)
    assert document.total_bytes == 10
    assert document.images == (ImageXml(
        name="Server", display_name="A & B", flags="ServerStandard", directory_count=3, file_count=5,
        total_bytes=105220, hard_link_bytes=110, creation_time=0x01DD7A695FB3A972,
        last_modification_time=0x01DD7A695FB3A973, wimboot=True, windows=WindowsFacts(
            architecture=9, product_name="Microsoft® Windows®", edition_id="ServerStandard",
            installation_type="Server", product_type="ServerNT", product_suite="Terminal Server",
            languages=("en-US", "zh-CN"), default_language="en-US", major=6, minor=1, build=7601, sp_build=17514,
            sp_level=1, system_root="WINDOWS")),)


def test_unknown_elements_stay_where_they_are() -> None:
    """Through a reading, and through another image."""
    document = WimXml.parse(packed(SERVER))
    assert document.pack() == packed(SERVER)
    changed = document.add_image(ImageXml(name="other")).with_total_bytes(11)
    again = changed.pack().decode("utf-16")
    for kept in ('<PKEYCONFIGVERSION k="1">6.1</PKEYCONFIGVERSION>', "<BRANCH>win7</BRANCH>",
                 "<CREATEDBY>somebody</CREATEDBY>"):
        assert again.count(kept) == 1
    assert WimXml.parse(changed.pack(), 2).images == (document.images[0], ImageXml(name="other"))
    assert document.pack() == packed(SERVER), "the old document is as it was"


def test_a_removed_image_renumbers_those_behind_it() -> None:
    """Numbers stay without a gap, in whatever order the elements stand."""
    document = WimXml.parse(packed(
        '<WIM><IMAGE INDEX="3"><NAME>c</NAME></IMAGE><IMAGE INDEX="1"><NAME>a</NAME></IMAGE>'
        '<IMAGE INDEX="2"><NAME>b</NAME></IMAGE></WIM>'))
    assert [image.name for image in document.images] == ["a", "b", "c"]
    less = document.remove_image(2)
    assert [image.name for image in less.images] == ["a", "c"]
    assert WimXml.parse(less.pack(), 2) == less
    with pytest.raises(Internal):
        less.remove_image(3)


def test_facts_that_are_missing_leave_no_element() -> None:
    """Nor does an empty text, a None or no WINDOWS."""
    for image in (ImageXml(windows=WindowsFacts()), ImageXml()):
        written = built(image).pack()
        assert WimXml.parse(written).images == (image,)
        assert not [name for name in ("NAME", "WIMBOOT", "LANGUAGES", "BUILD") if name in written.decode("utf-16")]


def test_odd_numbers_are_no_numbers() -> None:
    """Facts for people: what makes no sense is not there, and refuses no WIM."""
    document = WimXml.parse(packed(
        '<WIM><IMAGE INDEX="1"><DIRCOUNT>-1</DIRCOUNT><FILECOUNT>99999999999999999999</FILECOUNT>'
        "<TOTALBYTES>1e9</TOTALBYTES><CREATIONTIME><HIGHPART>zero</HIGHPART></CREATIONTIME>"
        "<WINDOWS><ARCH>x</ARCH><VERSION><MAJOR> 6 </MAJOR></VERSION></WINDOWS></IMAGE></WIM>"))
    assert document.images == (ImageXml(windows=WindowsFacts(major=6)),)


@pytest.mark.parametrize("data", [
    b"", b"\xff\xfe", b"<WIM></WIM>", packed("<WIM>"), packed("<WIM></WIM><WIM></WIM>"), packed("<wim></wim>"),
    packed("<WIM></WIM>") + b"\0", packed("<WIM>\0</WIM>"), packed("<WIM>\ufffe</WIM>"), b"\xff\xfe<\0\0\xd8",
    packed("<WIM><IMAGE></IMAGE></WIM>"), packed('<WIM><IMAGE INDEX="0"></IMAGE></WIM>'),
    packed('<WIM><IMAGE INDEX="2"></IMAGE></WIM>'), packed('<WIM><IMAGE INDEX="1"/><IMAGE INDEX="1"/></WIM>'),
    packed('<WIM><IMAGE INDEX="1"/><IMAGE INDEX="3"/></WIM>'), packed("<WIM>&nothing;</WIM>"),
])
def test_documents_that_are_not_sound_are_refused(data: bytes) -> None:
    """Not UTF-16, not XML, no root of that name, images not numbered from 1."""
    with pytest.raises(FormatError):
        WimXml.parse(data)


@pytest.mark.parametrize("document", [
    '<!DOCTYPE WIM [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><WIM>&b;</WIM>',
    '<!DOCTYPE WIM SYSTEM "file:///etc/passwd"><WIM></WIM>',
    "<WIM>" + "<a>" * 100 + "</a>" * 100 + "</WIM>",
    "<WIM>" + "<a/>" * 200_001 + "</WIM>",
])
def test_documents_made_to_harm_are_refused(document: str) -> None:
    """Entities, files of the host, deep or endless nesting."""
    with pytest.raises(FormatError):
        WimXml.parse(packed(document))


def test_a_document_of_absurd_size_is_refused() -> None:
    """Before it is decoded."""
    with pytest.raises(FormatError, match=f"{MAX_XML_SIZE:,}"):
        WimXml.parse(bytes(MAX_XML_SIZE + 2))


def test_the_number_of_images_must_be_the_headers() -> None:
    """As wimlib demands."""
    document = built(ImageXml(name="a"))
    assert WimXml.parse(document.pack(), 1)
    for other in (0, 2):
        with pytest.raises(FormatError, match="header"):
            WimXml.parse(document.pack(), other)


def test_names_that_xml_cannot_hold_are_refused_and_facts_mended() -> None:
    """The user chose the name; the registry's texts may be anything."""
    for bad in ("a\0b", "a\x1bb", "\ud800", "a\rb"):
        with pytest.raises(NotXmlText):
            built(ImageXml(name=bad))
        document = built(ImageXml(windows=WindowsFacts(product_name=bad, languages=(bad,))))
        facts = WimXml.parse(document.pack()).images[0].windows
        assert facts is not None
        assert "\ufffd" in facts.product_name
        assert "\ufffd" in facts.languages[0]


@pytest.mark.parametrize("name", ["XPRESS", "LZX", "BootLZX", "LZMS", "MultiImage", "Split", "dissect_basic4k"])
def test_the_samples_read_and_write_alike(name: str) -> None:
    """The XML of other tools' WIMs comes back but for a newline behind it; the facts are those wimlib tells."""
    if not SAMPLES.exists():
        pytest.skip("the shared samples are not beside this checkout")
    path = SAMPLES / f"{name}{'.swm' if name == 'Split' else '.wim'}"
    data = path.read_bytes()
    size, offset = int.from_bytes(data[0x48:0x4F], "little"), int.from_bytes(data[0x50:0x58], "little")
    document = WimXml.parse(data[offset:offset + size], int.from_bytes(data[0x2C:0x30], "little"))
    assert document.pack().decode("utf-16") == data[offset:offset + size].decode("utf-16").removesuffix("\n")
    told = subprocess.run(["wimlib-imagex", "info", str(path)], check=True, capture_output=True, text=True).stdout
    for image in document.images:
        assert f"Name:                   {image.name}\n" in told
        assert f"File Count:             {image.file_count}\n" in told
        assert f"Total Bytes:            {image.total_bytes}\n" in told


def test_wimlib_reads_what_we_write(tmp_path: Path) -> None:
    """Name, description, Windows and counts, as `info` shows them."""
    path = tmp_path / "one.wim"
    image = ImageXml(name="Win_6.1_201505101200", description="a < b", flags="Ultimate", wimboot=True, file_count=7,
                     creation_time=0x01DD7A695FB3A972, windows=WindowsFacts(
                         architecture=9, product_name="Windows 7 Ultimate", edition_id="Ultimate", major=6, minor=1,
                         build=7601, sp_build=17514, sp_level=1, languages=("en-US", "de-DE"),
                         default_language="en-US"))
    plain_wim.write(path, serialise(Builder().tree), [], {}, xml=built(image).pack())
    told = subprocess.run(["wimlib-imagex", "info", str(path), "1"], check=True, capture_output=True, text=True).stdout
    lines = [line.rstrip() for line in told.splitlines()]
    for line in ("Name:                   Win_6.1_201505101200", "Description:            a < b",
                 "Flags:                  Ultimate", "File Count:             7", "Architecture:           x86_64",
                 "Product Name:           Windows 7 Ultimate", "Edition ID:             Ultimate",
                 "Languages:              en-US de-DE", "Default Language:       en-US", "Major Version:          6",
                 "Minor Version:          1", "Build:                  7601", "Service Pack Build:     17514",
                 "Service Pack Level:     1", "WIMBoot compatible:     yes"):
        assert line in lines
