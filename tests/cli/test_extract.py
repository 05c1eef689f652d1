"""`wimboot extract`: what is copied out of a volume is whole and right, or is not there."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from converted import Converted, fresh_volume, unpacked
from mounting import UTF_8, copy_sparse, mounted
from running import done, refused, unchanged, wimboot
from sample_features import JUNCTION_TAG, set_reparse
from wimboot.ops.opening.contents import Contents

EXPLORER = "\\Windows\\explorer.exe"
COMPACT = "Features/compact/compact.exe"
ENCRYPTED = "Features/encrypted/encrypted.bin"
NOT_HERE = ("Features/times/ancient", "Features/times/future")
"""Times that the host's file system cannot note."""
UNIX_EPOCH = 116_444_736_000_000_000


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _before(converted: Converted, name: str) -> str:
    return converted.before[name].streams[""][1]


def test_a_file_is_copied_with_its_time(converted_once: Converted, tmp_path: Path) -> None:
    """To a name, into a folder, here: through its pointer, case ignored, whatever slashes."""
    expected = _before(converted_once, "Windows/explorer.exe")
    done("extract", converted_once.volume, EXPLORER, tmp_path / "named.exe")
    done("extract", converted_once.volume, "c:/WINDOWS/Explorer.EXE", tmp_path)
    for path in (tmp_path / "named.exe", tmp_path / "explorer.exe"):
        assert _sha1(path.read_bytes()) == expected
        assert path.stat().st_mtime_ns == (
            converted_once.before["Windows/explorer.exe"].last_write - UNIX_EPOCH) * 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["explorer.exe", "named.exe"]


def test_a_stream_is_copied(converted_once: Converted, tmp_path: Path) -> None:
    """PATH:STREAM, with or without the type, of a file and of a folder."""
    file = "Features/streams/file with streams.txt"
    for name, stream in ((file, "big"), (file, "Zone.Identifier"), ("Features/streams/folder", "small")):
        for suffix in ("", ":$DATA"):
            done("extract", converted_once.volume, f"{name}:{stream}{suffix}", tmp_path / "out", "--force")
            assert _sha1((tmp_path / "out").read_bytes()) == converted_once.before[name].streams[stream][1]
    refused("no-such-stream", 2, "extract", converted_once.volume, f"{file}:other", tmp_path / "out")


def test_standard_output_gets_the_bytes_and_nothing_else(converted_once: Converted) -> None:
    """With - as the place."""
    run = subprocess.run([sys.executable, "-m", "wimboot", "extract", str(converted_once.volume), EXPLORER, "-"],
                         check=True, capture_output=True, env=UTF_8)
    assert _sha1(run.stdout) == _before(converted_once, "Windows/explorer.exe")
    assert not run.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])   # empty is as not set
def test_less_than_all_is_an_error(converted_once: Converted, tmp_path: Path, unbuffered: str) -> None:
    """A reader that leaves, an output that is full or would block: never exit code 0 with a part of the file."""
    command = [sys.executable, "-m", "wimboot", "extract", str(converted_once.volume), EXPLORER, "-"]
    environment = UTF_8 | {"PYTHONUNBUFFERED": unbuffered}
    assert converted_once.before["Windows/explorer.exe"].streams[""][0] > 80_000, "more than a pipe holds"
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        ended = subprocess.run(command, check=False, stdout=writer, stderr=subprocess.PIPE, env=environment)
    finally:
        os.close(writer)
        os.close(reader)
    assert ended.returncode, "1, or 120 where Python's buffer cannot be emptied at the end"
    assert b"BlockingIOError" in ended.stderr
    limited = ["sh", "-c", 'trap "" XFSZ; ulimit -f 16; exec "$@"', "sh", *command]
    with (tmp_path / "out").open("wb") as out:
        ended = subprocess.run(limited, check=False, stdout=out, stderr=subprocess.PIPE, env=environment)
    assert ended.returncode
    assert (tmp_path / "out").stat().st_size == 16 << 9
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as leaving:
        assert leaving.stdout is not None
        assert leaving.stdout.read(10)
        leaving.stdout.close()
        assert leaving.wait(60) == 141


def test_a_closed_output_is_an_error(converted_once: Converted) -> None:
    """Where the file would go there; `wimboot --version` into nothing is none."""
    command = [sys.executable, "-m", "wimboot", "extract", str(converted_once.volume), EXPLORER, "-"]
    ended = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], check=False, stderr=subprocess.PIPE)
    assert (ended.returncode, b"standard output is closed" in ended.stderr) == (2, True), ended.stderr


def test_a_folder_comes_with_all_that_is_in_it(converted_once: Converted, tmp_path: Path) -> None:
    """Every file but the one that is encrypted, which is told and ends the run with 1; links, times."""
    told = wimboot("extract", converted_once.volume, "\\Features", tmp_path / "out")
    assert told.code == 1
    assert told.err.count("problem: ") == 2, "the encrypted file, and a name that is too long here"
    assert "encrypted.bin" in told.err
    compact = _sha1(unpacked(converted_once.original, COMPACT))
    checked = 0
    for name, facts in converted_once.before.items():
        own = os.fsdecode(name.removeprefix("Features/").encode("utf-8", "surrogatepass"))
        path = tmp_path / "out" / own
        if not name.startswith("Features/") or name == ENCRYPTED or facts.reparse[:1] in (b"\x03", b"\x0c"):
            continue
        if len(os.fsencode(path.name)) > 255:
            continue
        if name not in NOT_HERE:
            assert path.lstat().st_mtime_ns == (facts.last_write - UNIX_EPOCH) * 100, name
        if not facts.folder:
            assert _sha1(path.read_bytes()) == (compact if name == COMPACT else facts.streams[""][1]), name
            checked += 1
    assert checked > 60
    links = tmp_path / "out/symlinks"
    assert (links / "relative.txt").is_symlink()
    assert (links / "relative.txt").read_bytes() == (links / "target.txt").read_bytes()
    assert not os.path.lexists(links / "up.txt"), "it leads out of what was extracted"


def test_a_whole_volume_is_extracted(converted_once: Converted, tmp_path: Path) -> None:
    """The root, into a folder that is there; what it says in JSON is what was made."""
    out = tmp_path / "out"
    (out / "Windows").mkdir(parents=True)
    told = done("extract", converted_once.volume, "\\Windows", out / "Windows", "--json").json
    files = [path for path in (out / "Windows/Windows").rglob("*") if path.is_file()]
    assert (told["files"], told["bytes"]) == (len(files), sum(path.stat().st_size for path in files))
    assert wimboot("extract", converted_once.volume, "\\", out).code == 1
    assert (out / "Windows/explorer.exe").stat().st_size == (out / "Windows/Windows/explorer.exe").stat().st_size
    assert (out / "Features/junctions/to Windows/explorer.exe").read_bytes()
    assert (out / "Features/symlinks/up.txt").samefile(out / "Windows/explorer.exe")


def test_holes_stay_holes(converted_once: Converted, tmp_path: Path) -> None:
    """A sparse file takes no more room than its data."""
    done("extract", converted_once.original, "\\Features\\sparse\\only a hole.bin", tmp_path)
    status = (tmp_path / "only a hole.bin").stat()
    assert (status.st_size, status.st_blocks) == (2_000_000, 0)


def test_what_is_there_is_not_overwritten(converted_once: Converted, tmp_path: Path) -> None:
    """A file, or one in a folder, keeps what it holds unless --force is said; then all of it is replaced."""
    out = tmp_path / "explorer.exe"
    out.write_bytes(b"mine")
    refused("already-there", 4, "extract", converted_once.volume, EXPLORER, out, watching=(out,))
    tree = tmp_path / "tree"
    (tree / "INF").mkdir(parents=True)
    (tree / "INF/errata.inf").write_bytes(b"mine too")
    with unchanged(tree / "INF/errata.inf"):
        done("extract", converted_once.volume, "\\Windows\\INF", tmp_path / "new")
        refused("already-there", 4, "extract", converted_once.volume, "\\Windows\\INF", tree)
    done("extract", converted_once.volume, "\\Windows\\INF", tree, "--force")
    done("extract", converted_once.volume, EXPLORER, out, "--force")
    assert _sha1((tree / "INF/errata.inf").read_bytes()) == _before(converted_once, "Windows/INF/errata.inf")
    assert _sha1(out.read_bytes()) == _before(converted_once, "Windows/explorer.exe")


@pytest.mark.parametrize("path", [EXPLORER, "\\Windows"])
def test_without_the_wim_there_is_an_error_and_no_file(converted_once: Converted, tmp_path: Path, path: str) -> None:
    """Real files come; what a pointer stands for does not, and no zeros in its place."""
    volume, out = tmp_path / "in/alone.img", tmp_path / "out"
    volume.parent.mkdir()
    out.mkdir()
    copy_sparse(converted_once.volume, volume)
    run = wimboot("extract", volume, path, out)
    assert run.code == 1
    assert not (out / "explorer.exe").exists()
    assert not (out / "Windows/explorer.exe").exists()
    assert not list(out.rglob(".wimboot-*"))
    assert "was not found" in run.err
    done("extract", volume, EXPLORER, out / "it", "--wim", converted_once.wim)


def test_a_damaged_blob_gives_an_error_and_no_file(converted: Converted, tmp_path: Path) -> None:
    """Nor does standard output get all of it."""
    pointer = done("explain", converted.volume, EXPLORER, "--json").json["pointer"]
    with converted.wim.open("r+b") as file:
        file.seek(pointer["offset"] + pointer["bytes_in_wim"] - 3000)
        file.write(bytes(2000))
    out = tmp_path / "out"
    out.mkdir()
    refused("blob-damaged", 1, "extract", converted.volume, EXPLORER, out)
    assert not list(out.iterdir())
    run = subprocess.run([sys.executable, "-m", "wimboot", "extract", str(converted.volume), EXPLORER, "-"],
                         check=False, capture_output=True, env=UTF_8)
    assert (run.returncode, run.stdout) == (1, b"")
    assert wimboot("extract", converted.volume, "\\Windows", out).code == 1
    assert not (out / "Windows/explorer.exe").exists()
    assert (out / "Windows/System32/hal.dll").stat().st_size


def test_ctrl_c_leaves_no_half_file(
    converted_once: Converted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that were whole stay, the one being written goes."""
    whole = Contents.parts
    seen = []

    def parts(self: Contents, stream: int) -> Iterator[bytes | memoryview]:
        seen.append(stream)
        for piece in whole(self, stream):
            yield piece
            if len(seen) == 4:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Contents, "parts", parts)
    run = wimboot("extract", converted_once.volume, "\\Windows", tmp_path / "out")
    assert run.code == 130
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 3


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A volume whose names want out: `../out`, a link to the host's /tmp, and a folder that has a link's name."""
    volume = fresh_volume(tmp_path / "hostile.img", 16 << 20)
    with mounted(volume, write=True) as root:
        (root / "all/sub").mkdir(parents=True)
        (root / "all/sub/inside.txt").write_bytes(b"inside")
        (root / "all/!!_escaped").write_bytes(b"out")
        (root / "all/junction").mkdir()
        name = "\\??\\C:\\..\\..\\tmp".encode("utf-16-le")
        set_reparse(root / "all/junction", JUNCTION_TAG,
                    b"\0\0" + len(name).to_bytes(2, "little") * 2 + b"\0\0" + name + b"\0\0")
    data = volume.read_bytes()
    found, evil = "!!_escaped".encode("utf-16-le"), "../escaped".encode("utf-16-le")
    assert data.count(found) >= 2
    volume.write_bytes(data.replace(found, evil))
    return volume


def test_a_hostile_volume_writes_nowhere_else(hostile: Path, tmp_path: Path) -> None:
    """Names are escaped, links that lead out are left out, and links in the place itself are not followed."""
    out = tmp_path / "a/b/out"
    out.mkdir(parents=True)
    told = done("extract", hostile, "\\all", out, "--json").json
    assert sorted(path.name for path in (out / "all").iterdir()) == ["..%2Fescaped", "sub"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert (told["names_changed"], told["files"], told["links"], len(told["notes"])) == (1, 2, 0, 2)
    trap, victim = tmp_path / "trap", tmp_path / "victim"
    victim.mkdir()
    (trap / "all").mkdir(parents=True)
    (trap / "all/sub").symlink_to(victim)
    run = wimboot("extract", hostile, "\\all", trap, "--force")
    assert run.code == 1
    assert not list(victim.iterdir())
    assert (trap / "all/sub").is_symlink()


def test_a_file_s_link_in_the_place_is_replaced_not_followed(converted_once: Converted, tmp_path: Path) -> None:
    """With --force the link goes; what it led to stays."""
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_bytes(b"mine")
    out.symlink_to(victim)
    with unchanged(victim):
        refused("already-there", 4, "extract", converted_once.volume, EXPLORER, out)
        done("extract", converted_once.volume, EXPLORER, out, "--force")
    assert not out.is_symlink()


def test_a_slash_says_into_which_folder(converted_once: Converted, tmp_path: Path) -> None:
    """The first time as the second; without it the name is new, where there is no such folder."""
    volume, backup = converted_once.volume, f"{tmp_path}/backup/"
    done("extract", volume, "\\Users\\Public", backup)
    assert [path.name for path in Path(backup).iterdir()] == ["Public"]
    refused("already-there", 4, "extract", volume, "\\Users\\Public\\NTUSER.DAT", f"{backup}Public/")
    done("extract", volume, "\\Users\\Public", backup, "--force")
    assert [path.name for path in Path(backup).iterdir()] == ["Public"]
    done("extract", volume, "\\Users\\Public", f"{backup}mine")
    assert Path(f"{backup}mine/Documents").is_dir()
    refused("no-out-folder", 2, "extract", volume, EXPLORER, f"{tmp_path}/missing/out/")
    (tmp_path / "file").write_bytes(b"mine")
    refused("host-not-usable", 1, "extract", volume, EXPLORER, f"{tmp_path}/file/", watching=(tmp_path / "file",))


def test_what_cannot_be_asked_for_is_told(converted_once: Converted, tmp_path: Path) -> None:
    """No such file, a folder to standard output, a link, a place in no folder."""
    volume = converted_once.volume
    for error, arguments in (
        ("no-such-path", ("\\Windows\\nothing", tmp_path)),
        ("folder-to-output", ("\\Windows", "-")),
        ("is-link", ("\\Features\\junctions\\to Windows", tmp_path)),
        ("no-out-folder", (EXPLORER, tmp_path / "missing/out")),
    ):
        if "-" not in arguments:
            refused(error, 2, "extract", volume, *arguments, watching=(volume,))
        else:
            assert wimboot("extract", volume, *arguments).code == 2
    assert not list(tmp_path.iterdir())
    assert json.loads(wimboot("extract", volume, EXPLORER, "-", "--json").out)["exit"] == 2


def test_data_that_only_windows_can_give_is_refused(tmp_path: Path) -> None:
    """A deduplicated file, and one that OneDrive has elsewhere, are zeros on the volume; what is there is given."""
    volume = fresh_volume(tmp_path / "cloud.img", 16 << 20)
    with mounted(volume, write=True) as root:
        for name, tag, data in (("dedup", 0x80000013, b""), ("away", 0x9000701A, b""), ("here", 0x9000701A, b"mine")):
            with (root / name).open("wb") as file:
                file.write(data)
                file.truncate(200_000 if not data else len(data))
            set_reparse(root / name, tag, b"noted by the filter")
    for name in ("dedup", "away"):
        refused("content-elsewhere", 1, "extract", volume, name, tmp_path / "out")
    done("extract", volume, "here", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_a_hibernated_system_can_be_looked_at(small_volume: Path, tmp_path: Path) -> None:
    """With a word that Windows may have had newer data in memory."""
    with mounted(small_volume, write=True) as root:
        (root / "hiberfil.sys").write_bytes(b"hibr" + bytes(4092))
    told = done("extract", small_volume, EXPLORER, tmp_path)
    assert "hibernated" in told.err
    assert (tmp_path / "explorer.exe").stat().st_size
