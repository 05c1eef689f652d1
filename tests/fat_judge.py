"""Programs that say whether a FAT volume is sound, and what is in it: fsck.fat, mtools, 7z."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from mounting import UTF_8

__all__ = ["fsck", "mtools_list", "mtools_read", "seven_zip_list", "sound_fat"]


def run(*command: str | Path) -> bytes:
    """Run a program that must succeed; what it printed."""
    done = subprocess.run([str(part) for part in command], env=UTF_8, stdin=subprocess.DEVNULL, capture_output=True,
                          check=False)
    said = (done.stdout + done.stderr)[-3000:].decode(errors="replace")
    assert done.returncode == 0, f"{Path(command[0]).name} objects ({done.returncode}):\n{said}"
    return done.stdout


def _at(image: Path, offset: int) -> str:
    """How mtools are told of a volume inside a disk."""
    return f"{image}@@{offset}"


def fsck(image: Path, offset: int = 0) -> None:
    """fsck.fat, which takes a volume of its own, finds nothing to mend."""
    volume = image
    if offset:
        volume = image.with_name(f"{image.name}.fat")
        with image.open("rb") as source, volume.open("wb") as target:
            source.seek(offset)
            head = source.read(512)
            size = (int.from_bytes(head[19:21], "little") or int.from_bytes(head[32:36], "little")) * int.from_bytes(
                head[11:13], "little")
            source.seek(offset)
            target.truncate(size)
            while size > 0 and (part := source.read(min(size, 1 << 20))):
                if part.strip(b"\0"):
                    target.write(part)
                else:
                    target.seek(len(part), 1)
                size -= len(part)
    try:
        said = run("fsck.fat", "-n", "-v", volume).decode(errors="replace")
    finally:
        if offset:
            volume.unlink()
    complaints = [line for line in said.splitlines() if re.search(
        r"differ|wrong|dirty|bad|error|invalid|orphan|unused|duplicate|truncat|start does point|no label|free cluster",
        line, re.IGNORECASE) and "Checking" not in line]
    assert not complaints, "fsck.fat objects:\n" + "\n".join(complaints)


def mtools_list(image: Path, offset: int = 0, folder: str = "") -> list[str]:
    """Every file and folder as mtools' mdir lists them, with slashes; folders end in one."""
    if "\nNo files\n" in run("mdir", "-f", "-a", "-i", _at(image, offset), f"::/{folder}").decode():
        return []   # of a root folder without files -b says that there is none
    said = run("mdir", "-/", "-b", "-a", "-i", _at(image, offset), f"::/{folder}").decode()
    return sorted(line.removeprefix("::/") for line in said.splitlines() if line.startswith("::/") and line != "::/")


def mtools_read(image: Path, path: str, offset: int = 0) -> bytes:
    """What mtype prints of a file."""
    return run("mtype", "-i", _at(image, offset), f"::/{path}")


def seven_zip_list(volume: Path) -> dict[str, int]:
    """Files of a bare volume and their sizes as 7z has them."""
    said = run("7z", "l", "-slt", "-tfat", volume).decode()
    found: dict[str, int] = {}
    for block in said.partition("----------")[2].split("\n\n"):
        facts = dict(line.split(" = ", 1) for line in block.splitlines() if " = " in line)
        if facts.get("Folder") == "-":
            found[facts["Path"]] = int(facts["Size"])
    return found


def sound_fat(image: Path, files: dict[str, bytes] | None = None, offset: int = 0) -> None:
    """All judges are content; with `files` (paths with slashes) these and no others are there, with that content."""
    fsck(image, offset)
    listed = [name for name in mtools_list(image, offset) if not name.endswith("/")]
    if files is not None:
        assert listed == sorted(files)
        for path, data in files.items():
            assert mtools_read(image, path, offset) == data, path
    if not offset:
        assert len(seven_zip_list(image)) == len(listed)
