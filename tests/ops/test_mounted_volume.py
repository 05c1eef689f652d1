"""`wimboot mount`: what a volume contains, through pointers and out of Compact OS files, as ordinary files."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from converted import Converted, unpacked
from shown import Shown, fails, shown
from snapshots import SYSTEM_HIVE

COMPACT = "Features/compact/compact.exe"
ENCRYPTED = "Features/encrypted/encrypted.bin"


@pytest.fixture(scope="module")
def volume(converted_once: Converted) -> Iterator[Shown]:
    """The converted volume with every feature, mounted."""
    with shown(converted_once.volume) as running:
        yield running


def _sha1(path: bytes | Path) -> str:
    with open(path, "rb") as file:  # noqa: PTH123 - names that no str can hold
        return hashlib.file_digest(file, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()


def _host(folder: Path, name: str) -> bytes:
    return os.fsencode(folder) + b"/" + name.encode("utf-8", "surrogatepass")


def test_every_file_reads_as_before_the_conversion(volume: Shown, converted_once: Converted) -> None:
    """Each name, with its kind, size, SHA-1, time and named streams; what no one can read is an error."""
    compact = hashlib.sha1(unpacked(converted_once.original, COMPACT), usedforsecurity=False).hexdigest()
    read = 0
    for name, facts in converted_once.before.items():
        path = _host(volume.folder, name)
        status = os.lstat(path)
        if not stat.S_ISLNK(status.st_mode):
            assert stat.S_ISDIR(status.st_mode) == facts.folder, name
        assert status.st_mtime_ns == (facts.last_write - 116_444_736_000_000_000) * 100 or name in (
            "", "System Volume Information"), name
        for stream, (size, digest) in facts.streams.items():
            if stream == "WofCompressedData" or name == ENCRYPTED or stat.S_ISLNK(status.st_mode):
                continue
            if stream == "":
                if name == SYSTEM_HIVE:
                    continue    # it says that it has pointers
                assert status.st_size == size, name
                assert _sha1(path) == (compact if name == COMPACT else digest), name
                read += 1
            elif size <= 65536:
                value = os.getxattr(path, b"user." + stream.encode("utf-8", "surrogatepass"))
                assert hashlib.sha1(value, usedforsecurity=False).hexdigest() == digest, (name, stream)
    assert read > 150
    assert volume.told.count("problem:") == 0


def test_all_names_are_listed_and_no_others(volume: Shown, converted_once: Converted) -> None:
    """Long names, half surrogates and names that differ by case among them; $MFT and its like are not."""
    found, waiting = set(), [b""]
    while waiting:
        inner = waiting.pop()
        found.add(inner.decode("utf-8", "surrogatepass"))
        with os.scandir(os.fsencode(volume.folder) + b"/" + inner) as children:
            for child in children:
                own = inner + b"/" + child.name if inner else child.name
                if child.is_dir(follow_symlinks=False):
                    waiting.append(own)
                else:
                    found.add(own.decode("utf-8", "surrogatepass"))
    assert found == set(converted_once.after)


def test_hard_links_share_a_number(volume: Shown, converted_once: Converted) -> None:
    """Names of one file have one inode number and say how many they are."""
    groups = defaultdict(set)
    for name, facts in converted_once.before.items():
        status = os.lstat(_host(volume.folder, name))
        groups[status.st_ino].add(name)
        if not facts.folder:
            assert status.st_nlink == len(facts.links), name
    for names in groups.values():
        assert {converted_once.before[name].links for name in names} == {tuple(sorted(names))}


def test_links_lead_where_they_do_under_windows_but_never_out(volume: Shown) -> None:
    """Junctions and symbolic links on this volume are followed, others lead nowhere; all of them are relative."""
    links, junctions = volume.folder / "Features/symlinks", volume.folder / "Features/junctions"
    assert (links / "relative.txt").read_bytes() == (links / "target.txt").read_bytes()
    kernel = (volume.folder / "Windows/explorer.exe").read_bytes()
    assert (links / "up.txt").read_bytes() == kernel == (links / "absolute.txt").read_bytes()
    assert (links / "folder link/explorer.exe").read_bytes() == kernel == (
        junctions / "to Windows/explorer.exe").read_bytes()
    assert str((junctions / "to elsewhere").readlink()) == "\\??\\D:\\Data \u6570\u636e"
    assert not (junctions / "to elsewhere").exists()
    assert str((links / "nowhere").readlink()) == "../../Features/symlinks/missing/file"
    assert not (links / "nowhere").exists()


def test_what_the_volume_notes_can_be_asked_for(volume: Shown, converted_once: Converted) -> None:
    """Attributes, times, security and reparse data, by ntfs-3g's names; a large stream is too big for that."""
    for name in ("Windows/System32/ci.dll", "Features/attributes/all", "Features/security", "Features/times/ancient"):
        facts, path = converted_once.after[name], volume.folder / name
        attributes = struct.unpack("<I", os.getxattr(path, "system.ntfs_attrib"))[0]
        assert attributes & 0x37 == facts.attributes & 0x37
        assert struct.unpack("<3Q", os.getxattr(path, "system.ntfs_times")) == (
            facts.creation, facts.last_write, facts.last_access)
        assert os.getxattr(path, "system.ntfs_acl") == facts.security
    junction = "Features/junctions/to elsewhere"
    assert os.getxattr(volume.folder / junction, "system.ntfs_reparse_data",
                       follow_symlinks=False) == converted_once.after[junction].reparse
    streams = volume.folder / "Features/streams/file with streams.txt"
    assert sorted(os.listxattr(streams)) == ["user.Zone.Identifier", "user.big", "user.empty", "user.\u6d41"]
    with fails(errno.E2BIG):
        os.getxattr(streams, "user.big")
    with fails(errno.ENODATA):
        os.getxattr(streams, "user.no such")


def test_nothing_can_be_written(volume: Shown) -> None:
    """The mount is read-only, and no file is a hole to programs that look at its blocks."""
    with fails(errno.EROFS):
        (volume.folder / "new").touch()
    status = (volume.folder / "Windows/explorer.exe").stat()
    assert status.st_blocks * 512 >= status.st_size > 0
    space = os.statvfs(volume.folder)
    assert space.f_blocks * space.f_frsize > 60 << 20
    assert 0 < space.f_bfree < space.f_blocks


def test_case_matters_unless_told_otherwise(volume: Shown, converted_once: Converted) -> None:
    """Names are found as they are spelled; --ignore-case finds them as Windows does, an exact spelling first."""
    assert not (volume.folder / "windows/EXPLORER.EXE").exists()
    with shown(converted_once.volume, "--ignore-case") as running:
        assert (running.folder / "windows/EXPLORER.EXE").read_bytes() == (
            volume.folder / "Windows/explorer.exe").read_bytes()
        twins = volume.folder / "Features/twins"
        for name in ("twin.txt", "TWIN.TXT", "Twin.txt"):
            assert (running.folder / "Features/twins" / name).read_bytes() == (twins / name).read_bytes()
            assert (twins / name).read_bytes().startswith(name.encode())


def test_an_encrypted_file_is_refused_and_told(converted_once: Converted) -> None:
    """Its bytes are not what it contains."""
    with shown(converted_once.volume) as running:
        with fails(errno.EACCES):
            (running.folder / ENCRYPTED).read_bytes()
        assert running.told.count("problem: /Features/encrypted/encrypted.bin: ") == 1
        assert running.end() == 0
