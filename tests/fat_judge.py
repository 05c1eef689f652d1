"""Programs that say whether a FAT volume is sound, and what is in it: fsck.fat, mtools, 7z."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from mounting import UTF_8

__all__ = ["carve_fat", "fsck", "mtools_files", "mtools_list", "mtools_read", "seven_zip_list", "sound_fat"]


ENVIRONMENT = {**UTF_8, "MTOOLS_SKIP_CHECK": "1"}
"""On FAT12 that check takes a link to the very last cluster for one that leads outside."""


def run(*command: str | Path) -> bytes:
    """Run a program that must succeed; what it printed."""
    done = subprocess.run([str(part) for part in command], env=ENVIRONMENT, stdin=subprocess.DEVNULL, check=False,
                          capture_output=True)
    said = (done.stdout + done.stderr)[-3000:].decode(errors="replace")
    assert done.returncode == 0, f"{Path(command[0]).name} objects ({done.returncode}):\n{said}"
    return done.stdout


def _at(image: Path, offset: int) -> str:
    """How mtools are told of a volume inside a disk."""
    return f"{image}@@{offset}"


def carve_fat(image: Path, offset: int, out: Path) -> Path:
    """Copy the FAT volume at byte `offset` of `image` into the sparse file `out`."""
    with image.open("rb") as source, out.open("wb") as target:
        source.seek(offset)
        head = source.read(512)
        sectors = int.from_bytes(head[19:21], "little") or int.from_bytes(head[32:36], "little")
        size = sectors * int.from_bytes(head[11:13], "little")
        source.seek(offset)
        target.truncate(size)
        while size > 0 and (part := source.read(min(size, 1 << 20))):
            if part.strip(b"\0"):
                target.write(part)
            else:
                target.seek(len(part), 1)
            size -= len(part)
    return out


def fsck(image: Path, offset: int = 0) -> None:
    """fsck.fat, which takes a volume of its own, finds nothing to mend."""
    with tempfile.TemporaryDirectory(prefix="wimboot-judge-") as scratch:
        volume = carve_fat(image, offset, Path(scratch) / "volume.img") if offset else image
        said = run("fsck.fat", "-n", "-v", volume).decode(errors="replace").replace(str(volume), "")
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


def mtools_files(image: Path, offset: int = 0) -> dict[str, bytes]:
    """Every file as mcopy copies it to the host: path with slashes, content."""
    if not mtools_list(image, offset):
        return {}
    with tempfile.TemporaryDirectory(prefix="wimboot-judge-") as scratch:
        run("mcopy", "-s", "-n", "-i", _at(image, offset), "::/*", scratch)
        root = Path(scratch)
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


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
        assert listed == sorted(map(_as_mtools, files))
        assert mtools_files(image, offset) == {_as_mtools(path): data for path, data in files.items()}
    if not offset:
        sizes = seven_zip_list(image)
        assert len(sizes) == len(listed)
        assert files is None or sizes == {path: len(data) for path, data in files.items()}


def _as_mtools(path: str) -> str:
    """A path as mtools show it: what UTF-16 needs two units for becomes two underscores."""
    return re.sub("[^\0-\uffff]", "__", path)
