"""Ours and wimlib-imagex on the same volume, in turn, with the same machine: a Markdown table.

    python benchmarks/run.py CORPUS [--work DIR] [--rounds 3] [--size 12G] [--wimboot PROGRAM]

Builds a sparse NTFS volume from CORPUS through an ntfs-3g mount (needs root and FUSE), then measures, each round:

    capture     the volume into a new WIM              wimlib-imagex capture --wimboot
    read-back   every blob read from disk and hashed   wimlib-imagex verify of that WIM
    point       in convert, all that follows           wimlib-imagex apply of that image to a fresh volume
    apply       the image to a fresh volume, pointers  the same

Laying an image out with wimlib is not the same work as pointing; it is what came nearest on Linux before. Round 0
is not counted: memory that is touched for the first time makes it slower. Medians of the others are shown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import sample_hives  # found by the line above
from measuring import Run, measure, median, settle
from mounting import UTF_8, copy_sparse, mounted

Runs = defaultdict[str, list[Run]]
HIVES = "Windows/System32/config"
START_UPS = 9
QUIET = ("--yes", "--progress", "json")
LATER = ("--wim-place", "later", "--driver", "none")


def main() -> None:
    """Measure and print."""
    options = parse()
    if os.geteuid() or not Path("/dev/fuse").exists():
        raise SystemExit("The volume is filled through a mount: this needs root and /dev/fuse.")
    options.work.mkdir(parents=True, exist_ok=True)
    volume = options.work / "corpus.img"
    if not volume.exists():
        build_volume(volume, options.corpus, options.size)
    runs: Runs = defaultdict(list)
    for number in range(options.rounds + 1):
        print(f"round {number}{' (not counted)' if not number else ''}", file=sys.stderr)
        counted = runs if number else defaultdict(list)
        one_round(options, volume, counted, ours_first=bool(number % 2))
    for name, words in {"version": ["--version"], "info": ["info", str(volume)]}.items():
        runs[name] = [measure(options.wimboot, *words) for _ in range(START_UPS)]
    text = table(options, runs)
    print(text)
    (options.work / "benchmark.md").write_text(text + "\n", encoding="utf-8")
    if not options.keep:
        for leftover in options.work.glob("*.img"):
            leftover.unlink()
        for leftover in options.work.glob("*.wim"):
            leftover.unlink()


def parse() -> argparse.Namespace:
    """The command line."""
    beside = Path(sys.executable).with_name("wimboot")
    parser = argparse.ArgumentParser(description="Compare wimboot with wimlib-imagex.")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="12G")
    parser.add_argument("--wimboot", type=Path, default=beside)
    parser.add_argument("--keep", action="store_true", help="keep the volumes and WIMs")
    return parser.parse_args()


def build_volume(volume: Path, corpus: Path, size: str) -> None:
    """A volume of `size` with the corpus on it, and hives that tell of a Windows 8.1 where it has none."""
    print(f"building {volume}", file=sys.stderr)
    building = volume.with_suffix(".building")
    fresh(building, size)
    with mounted(building, write=True) as root:
        subprocess.run(["cp", "-r", f"{corpus}/.", str(root)], check=True)
        (root / HIVES).mkdir(parents=True, exist_ok=True)
        for name, values in {"SYSTEM": sample_hives.system("6.3", "amd64"),
                             "SOFTWARE": sample_hives.software("6.3", "amd64")}.items():
            made = volume.with_suffix(f".{name}")
            sample_hives.write_hive(made, values)
            shutil.copyfile(made, root / HIVES / name)
            made.unlink()
    building.rename(volume)


def fresh(volume: Path, size: str) -> Path:
    """An empty NTFS volume."""
    volume.unlink(missing_ok=True)
    subprocess.run(["truncate", "-s", size, str(volume)], check=True)
    subprocess.run(["mkntfs", "-q", "-Q", "-F", "-s", "512", "-p", "0", "-H", "255", "-S", "63", str(volume)],
                   check=True, capture_output=True, env=UTF_8)
    return volume


def one_round(options: argparse.Namespace, volume: Path, runs: Runs, *, ours_first: bool) -> None:
    """Each tool once at each job; who begins changes from round to round."""
    ours_wim, their_wim = options.work / "ours.wim", options.work / "theirs.wim"

    def ours() -> None:
        ours_wim.unlink(missing_ok=True)
        runs["capture"].append(measure(options.wimboot, "capture", volume, "--wim", ours_wim, *QUIET))

    def theirs() -> None:
        their_wim.unlink(missing_ok=True)
        runs["their capture"].append(measure("wimlib-imagex", "capture", volume, their_wim, "--wimboot"))

    settle(volume)
    for job in (ours, theirs) if ours_first else (theirs, ours):
        job()
        settle()
    convert_and_verify(options, volume, runs)
    apply_both(options, ours_wim, runs, ours_first=ours_first)


def convert_and_verify(options: argparse.Namespace, volume: Path, runs: Runs) -> None:
    """Convert a copy of the volume; its read-back beside wimlib's verify of the WIM that it wrote."""
    copy, wim = options.work / "convert.img", options.work / "convert.wim"
    copy.unlink(missing_ok=True)
    wim.unlink(missing_ok=True)
    copy_sparse(volume, copy)
    settle(copy)
    runs["convert"].append(measure(options.wimboot, "convert", copy, "--wim", wim, *LATER, *QUIET))
    settle(wim)
    runs["their verify"].append(measure("wimlib-imagex", "verify", wim))


def apply_both(options: argparse.Namespace, wim: Path, runs: Runs, *, ours_first: bool) -> None:
    """The image of `wim` onto fresh volumes."""
    volume = options.work / "apply.img"

    def ours() -> None:
        runs["apply"].append(measure(options.wimboot, "apply", wim, "1", volume, *LATER, *QUIET))

    def theirs() -> None:
        runs["their apply"].append(measure("wimlib-imagex", "apply", wim, "1", volume))

    for job in (ours, theirs) if ours_first else (theirs, ours):
        settle(wim, fresh(volume, options.size))
        job()
    volume.unlink()


def table(options: argparse.Namespace, runs: Runs) -> str:
    """Medians, ratios, peak memory."""
    def seconds(name: str) -> float:
        return median([run.seconds for run in runs[name]])

    def peak(*names: str) -> str:
        return f"{max(run.peak_bytes for name in names for run in runs[name]) / 1e6:.0f} MB"

    def row(what: str, ours: float, their: str, memory: str) -> str:
        theirs = seconds(their)
        return f"| {what} | {ours:.2f} s | {theirs:.2f} s | {ours / theirs:.2f} | {memory} | {peak(their)} |"

    read_back = median([run.phases["read-back"] for run in runs["convert"]])
    pointing = median([run.after("read-back") for run in runs["convert"]])
    mine, their = ((options.work / name).stat().st_size for name in ("ours.wim", "theirs.wim"))
    start = {name: median([run.seconds for run in runs[name]]) * 1000 for name in ("version", "info")}
    files = sum(path.is_file() for path in options.corpus.rglob("*"))
    return "\n".join([
        f"{files:,} files on a volume of {options.size}; medians of {options.rounds} rounds, in turn.", "",
        "| | wimboot | wimlib-imagex | ratio | our peak memory | theirs |", "| --- | --- | --- | --- | --- | --- |",
        row("capture the volume / `capture --wimboot`", seconds("capture"), "their capture", peak("capture")),
        row("read back and hash, in convert / `verify`", read_back, "their verify", peak("convert")),
        row("point in place, in convert / `apply`", pointing, "their apply", peak("convert")),
        row("apply as pointers / `apply`", seconds("apply"), "their apply", peak("apply")),
        f"| size of the WIM | {mine:,} | {their:,} | {mine / their:.4f} | | |",
        f"| convert, all of it | {seconds('convert'):.2f} s | | | {peak('convert')} | |",
        f"| `--version` | {start['version']:.0f} ms | | | | |", f"| `info` | {start['info']:.0f} ms | | | | |"])


if __name__ == "__main__":
    main()
