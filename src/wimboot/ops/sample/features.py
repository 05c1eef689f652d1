r"""Everything that an NTFS volume can hold, a piece of each, in \Features of the sample system."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from wimboot.tree import FileAttribute

if TYPE_CHECKING:
    from wimboot.ops.sample.contents import Stock
    from wimboot.ops.sample.planting import Planter

__all__ = ["plant_features"]

JUNCTION, SYMBOLIC_LINK = 0xA0000003, 0xA000000C
RELATIVE = 1
ALL_SIMPLE = (
    FileAttribute.READONLY
    | FileAttribute.HIDDEN
    | FileAttribute.SYSTEM
    | FileAttribute.ARCHIVE
    | FileAttribute.TEMPORARY
    | FileAttribute.OFFLINE
    | FileAttribute.NOT_CONTENT_INDEXED
)


def plant_features(plant: Planter, stock: Stock) -> None:
    """Named streams, links, names of all kinds, times, attributes, ids, reparse points, compressed and sparse data."""
    _streams_and_links(plant, stock)
    _names(plant, stock)
    _facts(plant, stock)
    _reparse_points(plant, stock)
    _forms_of_data(plant, stock)


def _streams_and_links(plant: Planter, stock: Stock) -> None:
    plant.file(
        "Features/Streams/report.txt",
        stock.text(9000),
        streams={
            "Zone.Identifier": b"[ZoneTransfer]\r\nZoneId=3\r\n",
            "large": stock.noise(70_000),
            "\u6d41": stock.text(300),
        },
    )
    plant.write(plant.folder("Features/Streams/Folder"), "on a folder", stock.text(6000))
    shared = plant.file("Features/Links/a/shared.dll", stock.program(60_000))
    for path in ("Features/Links/b/shared.dll", "Features/Links/b/other name.dll", "Features/Links/too.dll"):
        plant.link(shared, path)
    many = plant.file("Features/Attribute list/many names.bin", stock.noise(30_000))
    for number in range(24):
        plant.link(many, f"Features/Attribute list/{number} is another name of one file and a long one.bin")


def _names(plant: Planter, stock: Stock) -> None:
    for name in (
        "\u8bf4\u660e.txt",
        "\u7cfb\u7edf\u6587\u4ef6/\u955c\u50cf\u5907\u4efd.dat",
        "high \ud800 alone.bin",
        "low \udc01 alone.bin",
        "pair \U0001f600.bin",
        "n" * 251 + ".txt",
        "\u540d" * 255,
    ):
        plant.file(f"Features/Names/{name}", stock.text(2500))
    for name in ("twin.txt", "TWIN.TXT", "Twin.txt"):
        plant.file(f"Features/Twins/{name}", name.encode() + stock.text(3000))
    deep = "Features/Deep"
    for level in range(40):
        deep += f"/level {level}"
    plant.file(f"{deep}/at the bottom.txt", stock.text(3000))


def _facts(plant: Planter, stock: Stock) -> None:
    for name, attributes in (
        ("read only", FileAttribute.READONLY),
        ("hidden", FileAttribute.HIDDEN),
        ("system", FileAttribute.SYSTEM),
        ("none", 0),
        ("all", ALL_SIMPLE),
    ):
        plant.file(f"Features/Attributes/{name}.txt", stock.text(2000), attributes=attributes)
    backwards = (0x01D2000000000007, 0x01D1000000000005, 0x01D0000000000003)
    for name, times in (("ancient", (1, 2, 3)), ("backwards", backwards)):
        plant.volume.set_times(plant.file(f"Features/Times/{name}.txt", stock.text(2000)), *times)
    plant.volume.set_object_id(plant.file("Features/Object ids/file.txt", stock.text(2000)), stock.noise(64))
    entry = struct.pack("<IBBH", 20, 0, 4, 5) + b"DEMO\0hello\0\0"
    plant.volume.set_eas(plant.file("Features/Extended attributes/file.txt", stock.text(2000)), entry)


def _reparse_points(plant: Planter, stock: Stock) -> None:
    plant.file("Features/Links of paths/target.txt", stock.text(2000))
    plant.volume.set_reparse(
        plant.folder("Features/Links of paths/junction"), _link_value(JUNCTION, "\\??\\C:\\Windows", "C:\\Windows")
    )
    for name, target in (("relative.txt", "target.txt"), ("nowhere.txt", "missing\\file")):
        plant.volume.set_reparse(
            plant.file(f"Features/Links of paths/{name}", b""),
            _link_value(SYMBOLIC_LINK, target, target, struct.pack("<I", RELATIVE)),
        )


def _link_value(tag: int, target: str, shown: str, flags: bytes = b"") -> bytes:
    """[MS-FSCC] 2.1.2.4 and 2.1.2.5: both names, each ended by a NUL that its size does not count."""
    first, second = target.encode("utf-16-le"), shown.encode("utf-16-le")
    body = struct.pack("<HHHH", 0, len(first), len(first) + 2, len(second)) + flags + first + b"\0\0" + second + b"\0\0"
    return struct.pack("<IHH", tag, len(body), 0) + body


def _forms_of_data(plant: Planter, stock: Stock) -> None:
    plant.file("Features/Empty/empty.txt", b"")
    plant.folder("Features/Empty/folder")
    for size in (1, 100, 400, 700):
        plant.file(f"Features/Small/{size} bytes.txt", stock.text(size))
    plant.folder("Features/Compressed", FileAttribute.COMPRESSED)
    plant.file("Features/Compressed/text.txt", stock.text(300_000), compressed=True)
    plant.file("Features/Compressed/noise.bin", stock.noise(100_000), compressed=True)
    holes = bytearray(3_000_000)
    for offset in (0, 1_000_000, 2_990_000):
        holes[offset : offset + 6000] = stock.noise(6000)
    plant.file("Features/Sparse/holes.bin", bytes(holes), sparse=True)
