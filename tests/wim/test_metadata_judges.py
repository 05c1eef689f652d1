"""Metadata against wimlib-imagex: what it wrote we read alike, and what we write it reads alike."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

import plain_wim
from build import make_volume
from tree_strategies import links_by_path
from wim_bytes import read_wim
from wimboot.tree import StreamKind, Tree
from wimboot.wim._metadata import image_counts, parse, references, serialise

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples" / "wim"
UNIX_EPOCH = 11_644_473_600
KINDS = {"Unnamed data stream:": StreamKind.DATA, "Reparse point stream:": StreamKind.REPARSE,
         "Raw encrypted data stream:": StreamKind.EFS}


@dataclass(frozen=True, slots=True)
class Detail:
    """What `dir --detailed` tells of one name, times in whole seconds."""

    short_name: str
    attributes: int
    security: str
    times: tuple[int, int, int]
    reparse_tag: int
    object_id: str
    links: int
    streams: frozenset[tuple[int, str, str, int]]


def imagex(*arguments: str | Path) -> str:
    """Run wimlib-imagex; names come back with unpaired surrogates as they are."""
    done = subprocess.run(["wimlib-imagex", *map(str, arguments)], check=True, capture_output=True,
                          env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"})
    return done.stdout.decode("utf-8", "surrogatepass")


def told(wim: Path, image: int = 1) -> dict[str, Detail]:
    """By path: what wimlib reads in the image."""
    found = {}
    for part in imagex("dir", "--detailed", wim, str(image)).split("-" * 76 + "\n")[1:]:
        head, *streams = re.split(r"^\t(.*:)$" if "\t" in part else "\0", part, flags=re.MULTILINE)
        facts = dict(re.findall(r"^(\w[\w ]*?) += (.*)$", head, re.MULTILINE))
        times = tuple(int(datetime.strptime(facts[name], "%a %b %d %H:%M:%S %Y UTC").replace(tzinfo=UTC).timestamp())
                      for name in ("Creation Time", "Last Write Time", "Last Access Time"))
        ids = [facts.get(name, "0x").removeprefix("0x") for name in ("Object ID", "Birth Volume ID",
                                                                   "Birth Object ID", "Domain ID")]
        found[facts["Full Path"][1:-1]] = Detail(
            facts["Short Name"][1:-1], int(facts["Attributes"], 16), facts.get("Security Descriptor", ""),
            (times[0], times[1], times[2]), int(facts.get("Reparse Tag", "0"), 16), "".join(ids).rstrip("0"),
            int(facts["Link Count"]), _streams(streams))
    return found


def _streams(parts: list[str]) -> frozenset[tuple[int, str, str, int]]:
    found = set()
    for title, text in zip(parts[::2], parts[1::2], strict=True):
        named = re.fullmatch(r'Named data stream "(.*)":', title)
        key = re.search(r"^Hash +=  ?0x([0-9a-f]{40})$", text, re.MULTILINE)
        size = re.search(r"^Uncompressed size = (\d+) bytes$", text, re.MULTILINE)
        assert key
        assert size
        found.add((StreamKind.DATA if named else KINDS[title], named[1] if named else "", key[1], int(size[1])))
    return frozenset(found)


def ours(tree: Tree) -> dict[str, Detail]:
    """The same of a Tree."""
    found = {}
    for path, link in links_by_path(tree).items():
        name, row = tree.link(link), tree.node(tree.link(link).node)
        extra = tree.extras[row.extra] if row.extra >= 0 else None
        streams = {(stream.kind, stream.name.decode("utf-16-le", "surrogatepass"), stream.hash.hex(), stream.size)
                   for stream in tree.streams_of(name.node)}
        if row.reparse_tag:     # wimlib lists one unnamed stream: this, the data, or an empty one for folders
            streams = {part for part in streams if part[0] != StreamKind.DATA or part[1]}
        elif not any(not stream for _, stream, _, _ in streams):
            streams.add((StreamKind.DATA, "", "0" * 40, 0))
        found["/" + "/".join(path)] = Detail(
            name.short_name.decode("utf-16-le"), row.attributes,
            tree.securities[row.security].hex() if row.security >= 0 else "",
            (_second(row.creation), _second(row.last_write), _second(row.last_access)), row.reparse_tag,
            extra.object_id.hex().rstrip("0") if extra else "", row.link_count, frozenset(streams))
    return found


def _second(time: int) -> int:
    return time // 10_000_000 - UNIX_EPOCH


def load(wim: Path) -> list[Tree]:
    """The images of a WIM that is not compressed, with sizes."""
    plain = plain_wim.read(wim)
    trees = [parse(metadata) for metadata in plain.images]
    for tree in trees:
        assert plain_wim.sizes_of(tree, {key: len(blob) for key, blob in plain.blobs.items()}) == []
    return trees


@pytest.fixture(scope="module")
def captured(built_system: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What wimlib makes of a volume with every feature."""
    volume = built_system().path  # type: ignore[operator]  # the fixture is a function
    wim = tmp_path_factory.mktemp("captured") / "captured.wim"
    imagex("capture", volume, wim, "--compress=none")
    return wim


def test_a_captured_volume_reads_as_wimlib_reads_it(captured: Path) -> None:
    """Every name with its attributes, descriptor, times, short name, object id, links and streams."""
    tree = load(captured)[0]
    assert ours(tree) == told(captured)
    info = dict(re.findall(r"^([\w ]+): +(\d+)$", imagex("info", captured, "1"), re.MULTILINE))
    assert image_counts(tree) == tuple(int(info[name]) for name in (
        "Directory Count", "File Count", "Total Bytes", "Hard Link Bytes"))


def test_the_references_are_those_that_wimlib_counts(captured: Path) -> None:
    """Per name, of every stream."""
    counted = {key: blob.references for key, blob in read_wim(captured).blobs.items() if not blob.flags & 2}
    assert references(load(captured)[0]) == counted


def test_what_we_write_wimlib_reads_and_applies_alike(captured: Path, tmp_path: Path) -> None:
    """Our metadata in a WIM assembled by hand: listed, verified, applied to a volume and captured again."""
    tree = load(captured)[0]
    written = tmp_path / "ours.wim"
    blobs = plain_wim.read(captured).blobs
    plain_wim.write(written, serialise(tree), list(blobs.values()), references(tree))
    assert told(written) == told(captured)
    imagex("verify", written)
    volume, again = tmp_path / "volume.img", tmp_path / "again.wim"
    make_volume(volume, size=96 << 20)
    imagex("apply", written, "1", volume)
    imagex("capture", volume, again, "--compress=none")
    assert _comparable(told(again)) == _comparable(told(captured))


def _comparable(details: dict[str, Detail]) -> dict[str, Detail]:
    """The root's times are those of the volume it was applied to."""
    return {path: detail for path, detail in details.items() if path != "/"}


@pytest.mark.parametrize("name", ["XPRESS", "LZX", "BootXPRESS", "BootLZX", "MultiImage", "VerifySuccess",
                                  "dissect_basic4k", "dissect_basic8k", "dissect_basic16k", "dissect_basic32k"])
def test_the_samples_read_as_wimlib_reads_them(name: str, tmp_path: Path) -> None:
    """WIMs of DISM, WIMGAPI and wimlib; each written again has the same facts."""
    if not SAMPLES.exists():
        pytest.skip("the shared samples are not beside this checkout")
    wim = SAMPLES / f"{name}.wim"
    plain = tmp_path / "plain.wim"
    imagex("export", wim, "all", plain, "--compress=none")
    sizes = {key: blob.size for key, blob in read_wim(wim).blobs.items()}
    contents = read_wim(wim)
    images = [contents.read(blob) for blob in contents.blobs.values() if blob.flags & 2]
    assert len(images) == contents.image_count
    for number, metadata in enumerate(images, start=1):
        tree = parse(metadata)
        assert plain_wim.sizes_of(tree, sizes) == []
        assert ours(tree) == told(wim, number)
        again = parse(serialise(tree))
        plain_wim.sizes_of(again, sizes)
        assert ours(again) == told(wim, number)
        assert again.extras == tree.extras


def test_extended_attributes_read_as_wimlib_packs_them(tmp_path: Path) -> None:
    """Linux' extended attributes stand in the item that DISM uses for EAs."""
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "file"
    file.write_bytes(b"x")
    try:
        subprocess.run(["setfattr", "-n", "user.colour", "-v", "blue", str(file)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this file system, or this machine, cannot set extended attributes")
    wim = tmp_path / "x.wim"
    imagex("capture", folder, wim, "--compress=none", "--unix-data")
    tree = load(wim)[0]
    assert any(extra.eas for extra in tree.extras)
    blobs = plain_wim.read(wim).blobs
    plain_wim.write(tmp_path / "y.wim", serialise(tree), list(blobs.values()), references(tree))
    imagex("apply", tmp_path / "y.wim", "1", tmp_path / "out", "--unix-data")
    got = subprocess.run(["getfattr", "-n", "user.colour", "--only-values", str(tmp_path / "out" / "file")], check=True,
                         capture_output=True).stdout
    assert got == b"blue"
