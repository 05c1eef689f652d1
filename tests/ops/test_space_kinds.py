"""What a file is by its first bytes, whatever these are."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wimboot.ops.measuring.kinds import FileKind, _from_lz4, kind_of, packed_disk_size

BOOT = b"\xfa" + bytes(445) + bytes(64) + b"\x55\xaa"
CONTENTS = {
    "zeros": bytes(9000), "noise": Random(1).randbytes(9000), "text": b"nothing is as it was. " * 400,
    "disk": BOOT + bytes(9000), "runs": b"".join(bytes([number]) * number * 7 for number in range(60)),
}
MAGICS = [b"", b"MSWIM\0\0\0", b"WLPWM\0\0\0", b"\x1f\x8b\x08\0", b"\x04\x22\x4d\x18\x68\x70",
          b"\x04\x22\x4d\x18\x60\x40", b"conectix", b"vhdxfile", b"QFI\xfb", b"KDMV", b"\xeb\x52\x90NTFS    ",
          b"\xeb\x76\x90EXFAT   ", BOOT]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(magic=st.sampled_from(MAGICS), data=st.binary(max_size=600), size=st.sampled_from([0, 1 << 20]))
def test_any_bytes_are_something_or_nothing(magic: bytes, data: bytes, size: int, tmp_path: Path) -> None:
    """No first bytes stop the search: they are of a kind, or of none."""
    path = tmp_path / "file"
    path.write_bytes((magic + data).ljust(size, b"\0"))
    kind = kind_of(path)
    assert kind is None or isinstance(kind, FileKind)
    if kind in (FileKind.GZIP, FileKind.LZ4):
        assert (packed_disk_size(path, kind) or 0) >= 0


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("options", [("--content-size",), ("-9", "-B4"), ("-BD",), ("-1", "--no-frame-crc")])
def test_the_first_sector_in_lz4_is_what_was_packed(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    """With and without a size in front, in blocks that depend on each other or not, packed or stored."""
    plain, packed = tmp_path / "plain", tmp_path / "packed.lz4"
    plain.write_bytes(CONTENTS[name])
    subprocess.run(["lz4", "-q", *options, plain, packed], check=True)
    assert _from_lz4(packed.read_bytes()[:4096]) == CONTENTS[name][:512]
    kind = kind_of(packed)
    assert kind is (FileKind.LZ4 if name == "disk" else None)
    if kind is not None:
        assert packed_disk_size(packed, kind) == (len(CONTENTS[name]) if "--content-size" in options else None)


def test_gzip_says_its_size(tmp_path: Path) -> None:
    """In its last four bytes; what is no disk is nothing."""
    path = tmp_path / "disk.gz"
    path.write_bytes(gzip.compress(CONTENTS["disk"]))
    assert kind_of(path) is FileKind.GZIP
    assert packed_disk_size(path, FileKind.GZIP) == len(CONTENTS["disk"])
    for content in (gzip.compress(CONTENTS["text"]), gzip.compress(b"short"), b"\x1f\x8b\x08" + bytes(500),
                    b"\x1f\x8b\x08"):
        path.write_bytes(content)
        assert kind_of(path) is None
