"""Independent programs that say whether what we wrote is right. None of our code takes part.

Each judge raises AssertionError with the name of who objects and what it said. `test_judges.py` shows for each that
it can object.

    sound_volume        ntfsresize, ntfsfix, phantom-trace, a walk through an ntfs-3g mount, dissect.ntfs, our rules
                        over dissect's parser (index_judge)
    sound_wim           wimlib-imagex verify, info, dir of each image; 7z
    pointer_leads_home  dissect.ntfs finds the pointer, a reader of 100 lines finds the blob, libwim decompresses it
    apply_with_wimlib   wimlib-imagex lays an image out on a fresh volume
    snapshot, differences, seen_through     see snapshots.py

ntfsck of ntfs-3g 2022.10 is no judge: it calls every volume an unsupported case.
"""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from build import make_volume
from index_judge import RECORD_MASK, index_problems, open_volume, read_records
from mounting import UTF_8, carve, mounted
from snapshots import Facts, Snapshot, differences, seen_through, snapshot
from wim_bytes import COMPRESSED, Wim, read_wim

__all__ = [
    "VOLUME_JUDGES", "Facts", "Snapshot", "apply_with_wimlib", "capture_with_wimlib", "differences",
    "every_pointer_leads_home", "pointer_leads_home", "read_wim", "seen_through", "snapshot", "sound_volume",
    "sound_wim",
]

Judge = Callable[[Path, int], None]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a program that must succeed; what it said."""
    done = subprocess.run([str(part) for part in command], env=UTF_8, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, errors="replace", cwd=cwd)
    assert done.returncode == 0, f"{Path(command[0]).name} objects ({done.returncode}):\n{done.stdout[-3000:]}"
    return done.stdout


# -- volumes ----------------------------------------------------------------------------------------------------

def resizer(volume: Path, _offset: int = 0) -> None:
    """Ntfsresize reads every record and compares what they claim with the bitmap."""
    run("ntfsresize", "--info", "--force", "--no-progress-bar", volume)


def fixer(volume: Path, _offset: int = 0) -> None:
    """Ntfsfix looks at $MFT, its mirror and both boot sectors."""
    said = run("ntfsfix", "-n", volume)
    assert "FAILED" not in said, f"ntfsfix objects:\n{said}"


def tracer(volume: Path, _offset: int = 0) -> None:
    """PhantomTrace compares records, the record bitmap, runs, the cluster bitmap and the mirror."""
    run(Path(sysconfig.get_path("scripts"), "phantom-trace"), volume, "--offset", "0", "--no-color")


def walker(volume: Path, _offset: int = 0) -> None:
    """The driver lists every folder and reads every readable byte."""
    with mounted(volume) as root:
        for folder, _, names in os.walk(root, onerror=_complain):
            for name in names:
                path = Path(folder, name)
                if not path.is_symlink():
                    with path.open("rb") as file:
                        while file.read(1 << 20):
                            pass


def _complain(error: OSError) -> None:
    raise AssertionError(f"ntfs-3g objects: {error}")


def dissector(volume: Path, _offset: int = 0) -> None:
    """dissect.ntfs parses every record and opens every stream."""
    with open_volume(volume) as view:
        for record in read_records(view).values():
            for attribute in record.source.attributes.DATA:
                if not attribute.header.lowest_vcn:
                    stream = record.source.open(attribute.header.name)
                    assert len(stream.read(1 << 16)) == min(1 << 16, attribute.header.size), "dissect reads too little"


def indexer(volume: Path, _offset: int = 0) -> None:
    """Records, folder indexes and system indexes tell the same story."""
    problems = index_problems(volume)
    assert not problems, "the indexes do not agree:\n" + "\n".join(problems[:40])


VOLUME_JUDGES: dict[str, Judge] = {"ntfsresize": resizer, "ntfsfix": fixer, "phantom-trace": tracer,
                                   "ntfs-3g": walker, "dissect": dissector, "indexes": indexer}


def sound_volume(image: Path, offset: int = 0) -> None:
    """Every judge must find the volume at byte `offset` of `image` sound."""
    with tempfile.TemporaryDirectory(prefix="wimboot-judge-") as scratch:
        volume = carve(image, offset, Path(scratch) / "volume.img") if offset else image
        for judge in VOLUME_JUDGES.values():
            judge(volume, 0)


# -- WIMs -------------------------------------------------------------------------------------------------------

def sound_wim(path: Path) -> None:
    """wimlib verifies every blob and lists every image; 7z lists it; the blob table has no overlapping blobs."""
    run("wimlib-imagex", "verify", path)
    run("wimlib-imagex", "info", path)
    wim = read_wim(path)
    for image in range(1, wim.image_count + 1):
        run("wimlib-imagex", "dir", path, str(image), "--detailed")
    run("7z", "l", path)
    end = 208
    for blob in sorted(wim.blobs.values(), key=lambda blob: blob.offset):
        assert blob.offset >= end, f"blobs overlap at {blob.offset}"
        assert blob.references > 0, f"the blob at {blob.offset} has no references"
        assert bool(blob.flags & COMPRESSED) == (blob.stored_size != blob.size), (
            f"the blob at {blob.offset} would be misread by Windows' driver, which goes by the sizes alone")
        end = blob.offset + blob.stored_size


def capture_with_wimlib(volume: Path, wim: Path, *options: str) -> None:
    """Capture a bare volume as wimlib does."""
    run("wimlib-imagex", "capture", volume, wim, "--wimboot", *options)


def apply_with_wimlib(wim: Path, image_index: int, ntfs_image: Path, *, size: int = 128 << 20) -> None:
    """Lay image `image_index` out on the volume `ntfs_image`, which is made with `size` bytes if it is missing."""
    if not ntfs_image.exists():
        make_volume(ntfs_image, size=size)
    run("wimlib-imagex", "apply", wim, str(image_index), ntfs_image)


# -- pointers ---------------------------------------------------------------------------------------------------

def pointer_leads_home(image: Path, wim: Path, path: str, expected_sha1: str, offset: int = 0) -> None:
    """The file `path` (with `/`) is a pointer, and what it points at in `wim` has SHA-1 `expected_sha1`."""
    assert every_pointer_leads_home(image, wim, {path: expected_sha1}, offset, only=True) == 1


def every_pointer_leads_home(image: Path, wim: Path, expected: Mapping[str, str], offset: int = 0, *,
                             only: bool = False) -> int:
    """Every pointer on the volume is well formed and leads to bytes of its hash, the expected one if its path is named.

    Returns how many there are. With `only`, no others than those in `expected` are looked at; they must be pointers.
    """
    store = read_wim(wim)
    count, good = 0, set[bytes]()
    with open_volume(image, offset) as volume:
        records = read_records(volume)
        wanted = {_find(records, path): digest for path, digest in expected.items()}
        for number, record in records.items():
            if only and number not in wanted:
                continue
            if record.reparse[:4] == b"\x17\x00\x00\x80" and record.reparse[8:16] == struct.pack("<II", 1, 1):
                digest = _check_pointer(record.reparse, record.size, store, good)
                assert digest.hex() == wanted.get(number, digest.hex()), f"record {number} points at other contents"
                count += 1
            else:
                assert number not in wanted or not only, f"record {number} is no pointer"
    return count


def _find(records: Mapping[int, Any], path: str) -> int:
    """The record that `path` leads to, by the names that records carry."""
    here = 5
    for part in path.split("/"):
        raw = part.encode("utf-16-le", "surrogatepass")
        matches = [number for number, record in records.items() for name in record.names
                   if name.parent & RECORD_MASK == here and name.name == raw]
        assert matches, f"{path}: {part} is not on the volume"
        here = matches[0]
    return here


def _check_pointer(data: bytes, file_size: int, store: Wim, good: set[bytes]) -> bytes:
    """A version 2 pointer of the WIM provider, field by field; `good` holds the blobs already read."""
    assert len(data) == 96, f"a pointer of {len(data)} bytes"
    length, reserved, payload, flags = struct.unpack_from("<HH8xII", data, 4)
    digest, table_hash = data[0x20:0x34], data[0x34:0x48]
    size, stored_size, place = struct.unpack_from("<QQQ", data, 0x48)
    assert (length, reserved, payload, flags) == (88, 0, 2, 0), "the pointer's fixed fields"
    assert table_hash == store.table_hash, "the pointer knows another blob table: it is behind"
    assert size == file_size, f"the pointer says {size} bytes, the file {file_size}"
    blob = store.blobs.get(digest)
    assert blob is not None, f"no blob {digest.hex()}"
    assert (blob.offset, blob.stored_size, blob.size) == (place, stored_size, size), "the pointer's place is stale"
    if digest not in good:
        assert hashlib.sha1(store.read(blob), usedforsecurity=False).digest() == digest, "the blob's bytes are others"
        good.add(digest)
    return digest


if __name__ == "__main__":
    sound_volume(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
