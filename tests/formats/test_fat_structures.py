"""FAT's structures: what is parsed is packed again, any bytes raise FormatError only, names and times go both ways."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.fatboot import FatBoot, FatKind, FsInfo
from wimboot.formats.fatdir import (
    DirEntry,
    LongPart,
    checksum,
    dos_time,
    join_long,
    split_long,
)
from wimboot.formats.fatname import fat_name_problem, label_bytes, plain_short, short_alias, short_text
from wimboot.formats.names import encode_name

UNITS = st.text(st.characters(exclude_characters='<>:"/\\|?*\x7f', exclude_categories=["Cc"]), min_size=1, max_size=255)
NAMES = UNITS.filter(lambda name: not fat_name_problem(name))


def sector(path: Path, kind: str, size_kib: int) -> bytes:
    """The boot sector that mkfs.fat makes."""
    subprocess.run(["mkfs.fat", "-C", "-F", kind, "-n", "LABEL", path, str(size_kib)], check=True, capture_output=True)
    return path.read_bytes()[:512]


@pytest.mark.parametrize(("kind", "size_kib", "clusters"), [("12", 1440, 1427), ("16", 32_768, 16_343),
                                                            ("32", 102_400, 201_582)])
def test_real_boot_sectors_survive(kind: str, size_kib: int, clusters: int, tmp_path: Path) -> None:
    """What mkfs.fat makes is read as what it is, and packed byte for byte."""
    raw = sector(tmp_path / "real.img", kind, size_kib)
    boot = FatBoot.parse(raw)
    assert boot.pack() == raw
    assert boot.kind is FatKind(int(kind))
    assert boot.label == b"LABEL      "
    assert boot.volume_size == size_kib << 10
    said = subprocess.run(["fsck.fat", "-n", "-v", tmp_path / "real.img"], capture_output=True, text=True,
                          check=True).stdout
    assert f"{boot.cluster_count} data clusters" in said
    assert f"Data area starts at byte {boot.data_offset} " in said
    assert abs(boot.cluster_count - clusters) < clusters


@given(st.binary(min_size=512, max_size=512), st.sampled_from((12, 16, 32)))
def test_any_boot_sector_is_parsed_or_refused(noise: bytes, kind: int) -> None:
    """Bytes at will over a sound frame: a boot sector that packs again, or FormatError."""
    raw = bytearray(noise)
    raw[0:1], raw[21:22], raw[510:512] = b"\xeb", b"\xf8", b"\x55\xaa"
    raw[11:13], raw[13] = b"\0\2", 1 << raw[13] % 8
    if kind == 32:
        raw[16:24] = b"\2\0\0\0\0\xf8\0\0"
    try:
        boot = FatBoot.parse(bytes(raw))
    except FormatError:
        return
    assert boot.pack() == raw
    assert boot.cluster_count * boot.cluster_size + boot.data_offset <= boot.volume_size


@pytest.fixture(scope="module")
def fat32(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The boot sector of a FAT32."""
    return sector(tmp_path_factory.mktemp("fat32") / "real.img", "32", 102_400)


@pytest.mark.parametrize(("offset", "value"), [
    (0, b"\0"), (11, b"\0\0"), (11, b"\1\2"), (13, b"\0"), (13, b"\3"), (14, b"\0\0"), (16, b"\0"), (16, b"\3"),
    (17, b"\1\0"), (21, b"\1"), (32, b"\0\0\0\0"), (32, b"\1\0\0\0"), (32, b"\xff\xff\xff\xff"), (36, b"\0\0\0\0"),
    (36, b"\1\0\0\0"), (36, b"\xff\xff\xff\xff"), (40, b"\x82\0"), (42, b"\1\0"), (44, b"\1\0\0\0"),
    (44, b"\xff\xff\xff\0"), (48, b"\xf0\0"), (50, b"\xf0\0"), (510, b"\0\0"), (3, b"EXFAT   "), (22, b"\1\0"),
])
def test_absurd_boot_sectors_are_refused(offset: int, value: bytes, fat32: bytes) -> None:
    """Each field that could lead outside of the volume."""
    raw = bytearray(fat32)
    raw[offset:offset + len(value)] = value
    with pytest.raises(FormatError):
        FatBoot.parse(bytes(raw))


def test_absurd_fat16_is_refused(tmp_path: Path) -> None:
    """A root folder without entries; more clusters than it can have, or than its FAT has entries for."""
    raw = sector(tmp_path / "real.img", "16", 32_768)
    for offset, value in ((17, b"\0\0"), (22, b"\1\0"), (32, (1 << 22).to_bytes(4, "little") + b""), (22, b"\x10\0")):
        wrong = bytearray(raw)
        wrong[offset:offset + len(value)] = value
        with pytest.raises(FormatError):
            FatBoot.parse(bytes(wrong))
    clusters = bytearray(raw)
    clusters[19:21], clusters[32:36], clusters[22:24] = b"\0\0", (1 << 22).to_bytes(4, "little"), b"\0\x20"
    with pytest.raises(FormatError, match="without a FAT32"):
        FatBoot.parse(bytes(clusters))


def test_more_clusters_than_numbers_are_refused(fat32: bytes) -> None:
    """FAT32 has 28 bits for a cluster."""
    raw = bytearray(fat32)
    raw[32:40] = b"\xff\xff\xff\xff\0\0\0\x03"
    raw[13] = 8
    with pytest.raises(FormatError, match="clusters"):
        FatBoot.parse(bytes(raw))


def test_boot_sector_of_another_size_is_not_packed(tmp_path: Path) -> None:
    """Boot code has its place and no more."""
    boot = FatBoot.parse(sector(tmp_path / "real.img", "12", 1440))
    with pytest.raises(ValueError, match="a boot sector of 513 bytes"):
        replace(boot, boot_code=boot.boot_code + b"x").pack()


def test_short_buffers_are_refused() -> None:
    """Fewer bytes than the structure has."""
    for parse in (FatBoot.parse, FsInfo.parse, DirEntry.parse, LongPart.parse):
        with pytest.raises(FormatError):
            parse(b"\xeb" * 31)


@given(st.binary(min_size=480, max_size=480), st.binary(min_size=12, max_size=12), st.integers(0, 2**32 - 1),
       st.integers(0, 2**32 - 1))
def test_fsinfo_survives(reserved: bytes, end: bytes, free: int, following: int) -> None:
    """Bytes of other systems between the numbers are kept; without its signatures it is refused."""
    info = FsInfo(free_clusters=free, next_free=following, reserved=reserved, reserved_end=end)
    assert FsInfo.parse(info.pack()) == info
    with pytest.raises(FormatError):
        FsInfo.parse(b"X" + info.pack()[1:])


@given(st.binary(min_size=32, max_size=32))
def test_any_entry_survives(raw: bytes) -> None:
    """An entry, and a part of a long name where it is one, is packed byte for byte."""
    assert DirEntry.parse(raw).pack() == raw
    part = raw[:11] + b"\x0f" + raw[12:]
    assert LongPart.parse(part).pack() == part
    if raw[11] & 0x3F != 0x0F:
        with pytest.raises(FormatError):
            LongPart.parse(raw)


@given(NAMES, st.binary(min_size=11, max_size=11))
def test_long_names_go_both_ways(name: str, short: bytes) -> None:
    """Whatever a name is, its parts are joined to it again, for its own short name only."""
    units = encode_name(name)
    parts = list(split_long(units, short))
    assert len(parts) == -(-len(units) // 26)
    assert join_long([LongPart.parse(part.pack()) for part in parts], short) == units
    other = bytes([short[0] ^ 1]) + short[1:]
    assert checksum(other) == checksum(short) or join_long(parts, other) is None
    assert join_long(parts[1:], short) is None
    if len(parts) > 1:
        assert join_long(parts[::-1], short) is None


def test_impossible_long_names_are_not_split() -> None:
    """Nothing, half a unit, too much."""
    for units in (b"", b"a", b"a\0" * 256):
        with pytest.raises(ValueError, match="a long name"):
            split_long(units, b" " * 11)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=30), st.binary(min_size=11, max_size=11))
def test_garbage_is_no_long_name(raw: list[bytes], short: bytes) -> None:
    """Parts at will are a name, or none; never an error."""
    parts = [LongPart.parse(part[:11] + b"\x0f" + part[12:]) for part in raw]
    name = join_long(parts, short)
    assert name is None or 0 < len(name) <= 510


@pytest.mark.parametrize(("name", "stored", "case"), [
    ("BOOTMGR", b"BOOTMGR    ", 0), ("bootmgr", b"BOOTMGR    ", 8), ("BCD", b"BCD        ", 0),
    ("bootx64.efi", b"BOOTX64 EFI", 24), ("BOOTX64.efi", b"BOOTX64 EFI", 16), ("menu.LST", b"MENU    LST", 8),
    ("a~1", b"A~1        ", 8),
])
def test_names_that_need_no_long_one(name: str, stored: bytes, case: int) -> None:
    """All upper or all lower case, stem and extension each, as Windows stores them."""
    assert plain_short(name) == (stored, case)
    assert short_text(stored, case) == name


@pytest.mark.parametrize("name", ["Boot", "bootmgr.exe.mui", "zh-CN.", "a b", "memtest86plus", "中文", "é", "a+b", ".x",
                                  "bootX64.efi", "a.html"])
def test_names_that_need_a_long_one(name: str) -> None:
    """Mixed case, blanks, several dots, too long, not ASCII."""
    assert plain_short(name) is None


@pytest.mark.parametrize(("name", "alias"), [
    ("Boot", b"BOOT~1     "), ("bootmgr.exe.mui", b"BOOTMG~1MUI"), ("segmono_boot.ttf", b"SEGMON~1TTF"),
    ("中文.txt", b"__~1    TXT"), (".profile", b"PROFIL~1   "), ("a b", b"AB~1       "), ("x.jpeg", b"X~1     JPE"),
    ("+=[];,.t", b"______~1T  "),
])
def test_aliases_are_those_of_the_specification(name: str, alias: bytes) -> None:
    """Blanks and dots dropped, what has no place replaced, a number at the end."""
    assert short_alias(name, ()) == alias


def test_aliases_avoid_those_that_are_taken() -> None:
    """The number grows, and shortens the stem when it gets longer."""
    taken: set[bytes] = set()
    for _ in range(120):
        alias = short_alias("bootmgr.exe.mui", taken)
        assert alias is not None
        assert alias not in taken
        taken.add(alias)
    assert {b"BOOTMG~9MUI", b"BOOTM~10MUI", b"BOOT~120MUI"} <= taken

    class All:
        def __contains__(self, name: object) -> bool:
            return True

    assert short_alias("a b", All()) is None


def test_stored_names_of_other_code_pages_are_shown() -> None:
    """Every byte has a character, so a name that another system wrote can be named."""
    texts = {short_text(bytes([code]) + b"          ") for code in range(33, 256)}
    assert len(texts) == 223
    assert short_text(b"\x05BC       ") == "\u03c3BC"


@pytest.mark.parametrize(("name", "why"), [
    ("", "empty"), (".", "above"), ("..", "above"), ("a/b", "'/'"), ("a\\b", "'\\\\'"), ("a:b", "':'"),
    ("a\0", r"'\x00'"), ("a.", "dot"), ("a ", "blank"), ("x" * 256, "longer"), ("con", "device"),
    ("COM1.txt", "device"),
])
def test_impossible_names_are_refused(name: str, why: str) -> None:
    """What Windows could not open."""
    assert why in fat_name_problem(name)


def test_labels() -> None:
    """Eleven characters of ASCII, stored in upper case."""
    assert label_bytes("System") == b"SYSTEM     "
    assert [label_bytes(label) for label in ("twelve chars", "a.b", "中", " a", "a\n")] == [None] * 5


def local_time(day: int, time: int, hundredths: int = 0) -> datetime:
    """What a driver reads from an entry's fields."""
    return datetime(1980 + (day >> 9), day >> 5 & 15, day & 31, time >> 11, time >> 5 & 63,  # noqa: DTZ001  # local
                    (time & 31) * 2 + hundredths // 100, hundredths % 100 * 10_000)


@given(st.datetimes(datetime(1980, 1, 1), datetime(2107, 12, 31, 23, 59, 59, 999_999)))  # noqa: DTZ001  # local ones
def test_times_go_both_ways(moment: datetime) -> None:
    """To 10 ms, and to 2 seconds without them."""
    day, time, hundredths = dos_time(moment)
    assert timedelta(0) <= moment - local_time(day, time, hundredths) < timedelta(milliseconds=10)
    assert timedelta(0) <= moment - local_time(day, time) < timedelta(seconds=2)


def test_times_outside_become_the_nearest() -> None:
    """A file is not refused for its time."""
    assert local_time(*dos_time(datetime(1970, 1, 1, tzinfo=UTC))) == datetime(1980, 1, 1)  # noqa: DTZ001  # local
    late = local_time(*dos_time(datetime(2200, 1, 1, tzinfo=UTC)))
    assert (late.year, late.second) == (2107, 59)
