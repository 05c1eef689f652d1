"""What people and programs do to a volume between two runs, done through the ntfs-3g driver."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mounting import mounted
from sample_features import set_attributes, set_reparse, set_times, write_stream
from sample_security import DESCRIPTORS

__all__ = ["edit", "rewrite"]

JUNCTION_TAG = 0xA0000003


def rewrite(path: Path, data: bytes) -> None:
    """Write a file anew as Windows does it to a pointer: the reparse point goes, the data is an ordinary file's."""
    path.unlink()
    path.write_bytes(data)


def edit(volume: Path) -> None:
    """All kinds of changes at once; nothing that lists exclude is touched."""
    with mounted(volume, write=True) as root:
        _delete(root)
        _write(root)
        _rename(root)
        _relink(root / "Features" / "links")
        _set_properties(root)
        _change_streams(root / "Features" / "streams")
        _change_kinds(root)


def _delete(root: Path) -> None:
    (root / "Windows/explorer.exe").unlink()
    (root / "Windows/INF/errata.inf").unlink()
    (root / "Features/resident/100 bytes.txt").unlink()
    shutil.rmtree(root / "Features/chinese")
    shutil.rmtree(root / "Features/deep")
    (root / "Features/object-ids/full id").unlink()
    (root / "Features/twins/TWIN.TXT").unlink()


def _write(root: Path) -> None:
    rewrite(root / "Windows/System32/kernel32.dll", b"changed" * 9000)
    (root / "Windows/System32/drivers/ntfs.sys").write_bytes(b"changed too" * 500)
    (root / "Features/empty/empty.txt").write_bytes(b"not empty any more" * 200)
    (root / "Windows/System32/drivers/disk.sys").write_bytes(b"")
    (root / "Features/resident/400 bytes.txt").write_bytes(b"x" * 400)
    (root / "added folder/deeper").mkdir(parents=True)
    (root / "added folder/deeper/new.bin").write_bytes(os.urandom(70_000))
    (root / "Windows/System32/new.dll").write_bytes(b"MZ" * 3000)


def _rename(root: Path) -> None:
    (root / "Windows/System32/user32.dll").rename(root / "Windows/System32/user33.dll")
    (root / "Features/security").rename(root / "Features/safety")
    (root / "Windows/AppPatch/drvmain.sdb").rename(root / "drvmain.sdb")
    (root / "Features/short-names/lower.txt").rename(root / "Features/short-names/LOWER again.txt")
    (root / "Users/Public/Documents/letter 1.txt").rename(root / "Users/Public/Documents/LETTER 1.TXT")


def _relink(links: Path) -> None:
    (links / "b/other name.dll").unlink()
    os.link(links / "a/shared.dll", links / "one more.dll")
    (links / "b/shared.dll").unlink()
    (links / "b/shared.dll").write_bytes(b"a file of its own now" * 300)


def _set_properties(root: Path) -> None:
    set_attributes(root / "Features/attributes/read only", 0x22)
    set_attributes(root / "Windows/System32/hal.dll", 0x6)
    _set(root / "Windows/System32/ci.dll", "system.ntfs_acl", DESCRIPTORS["many"])
    _set(root / "Windows/Fonts", "system.ntfs_acl", DESCRIPTORS["shared"])
    set_times(root / "Windows/System32/kdcom.dll", 0x01D2000000000001, 0x01D2000000000002, 0x01D2000000000003)
    set_times(root / "Features", 0x01D2000000000001, 0x01D2000000000002, 0x01D2000000000003)
    _set(root / "Features/object-ids/short id", "system.ntfs_object_id", bytes(range(16)))
    _set(root / "Features/object-ids/folder", "system.ntfs_object_id", bytes(range(100, 164)))
    os.removexattr(root / "Features/eas/several.dat", "system.ntfs_ea", follow_symlinks=False)
    _set(root / "Features/short-names/A long program other.exe", "system.ntfs_dos_name", b"CHANGED~.EXE")


def _set(path: Path, name: str, value: bytes) -> None:
    os.setxattr(path, name, value, follow_symlinks=False)  # a pointer looks like a dangling link


def _change_streams(streams: Path) -> None:
    Path(f"{streams / 'only a stream'}:data").write_bytes(b"another")
    write_stream(streams / "only a stream", "added", b"added" * 400)
    Path(f"{streams / 'folder'}:small").unlink()
    write_stream(streams / "folder", "added to a folder", b"added" * 4)


def _change_kinds(root: Path) -> None:
    (root / "Features/junctions/to Windows").unlink()
    (root / "Features/junctions/to Windows").mkdir()
    set_reparse(root / "Features/junctions/to Windows", JUNCTION_TAG,
                b"\0\0\x10\0\x12\0\x06\0" + "\\??\\X:\\Y\0X:\\\0".encode("utf-16-le"))
    (root / "Features/empty/empty folder").rmdir()
    (root / "Features/empty/empty folder").write_bytes(b"a file where a folder was" * 100)
    (root / "Windows/System32/bootvid.dll").unlink()
    (root / "Windows/System32/bootvid.dll").mkdir()
    (root / "Windows/System32/bootvid.dll/inside.txt").write_bytes(b"a folder where a file was")
