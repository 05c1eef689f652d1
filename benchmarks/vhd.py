"""What a dynamic VHD costs: its size with a pointer system in it, and the time of working through its table.

    python benchmarks/vhd.py size CORPUS [--work DIR] [--wim WIM] [--disk 15G] [--wimboot PROGRAM]
    python benchmarks/vhd.py time CORPUS [--work DIR] [--rounds 3] [--disk 6G] [--wimboot PROGRAM]

`size` applies an image of CORPUS as pointers to an empty dynamic VHD of 15 GB and compares the file's size with 1.75 KB
a file, the data of the files that are real, $LogFile and 2 MiB, by which it grows; then `compact` tries to make
it smaller. An image of the corpus is captured first, where --wim names none.

`time` converts a volume with CORPUS on it, in turn in a raw disk and in a dynamic VHD: wall and processor time. Round 0
is not counted. Both build their volume through an ntfs-3g mount, so they need root and FUSE.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from measuring import Run, measure, median, settle
from run import LATER, QUIET, build_volume
from wimboot.disk import Place, open_target
from wimboot.ntfs.metafile import DATA, Metafiles
from wimboot.storage import SliceDevice

LOG_RECORD = 2
BYTES_A_FILE = 1750
BLOCK = 2 << 20
EVENTS = ("--progress", "json")


def main() -> None:
    """Measure and print."""
    beside = Path(sys.executable).with_name("wimboot")
    parser = argparse.ArgumentParser(description="Measure what a dynamic VHD costs.")
    parser.add_argument("what", choices=["size", "time"])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    parser.add_argument("--wim", type=Path)
    parser.add_argument("--disk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wimboot", type=Path, default=beside)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    print(size(options) if options.what == "size" else duration(options))


def told(options: argparse.Namespace, *words: object) -> dict[str, object]:
    """What the program says as JSON."""
    done = subprocess.run([options.wimboot, *map(str, words), "--json"], check=True, capture_output=True, text=True)
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def size(options: argparse.Namespace) -> str:
    """The file's size, and what it may be made of."""
    wim, disk = options.wim or options.work / "corpus.wim", options.work / "system.vhd"
    if not wim.exists():
        volume = options.work / "corpus.img"
        if not volume.exists():
            build_volume(volume, options.corpus, "12G")
        measure(options.wimboot, "capture", volume, "--wim", wim, *QUIET)
        volume.unlink()
    disk.unlink(missing_ok=True)
    measure(options.wimboot, "create", disk, "--size", options.disk or "15G", *EVENTS)
    applied = measure(options.wimboot, "apply", wim, "1", f"{disk}#1", *LATER, *QUIET)
    before = disk.stat().st_size
    measure(options.wimboot, "compact", disk, *EVENTS)
    rows = list(parts(options, disk))
    after = disk.stat().st_size
    disk.unlink()
    return "\n".join([
        f"Applied in {applied.seconds:.1f} s.", "", "| | bytes |", "| --- | --- |",
        *(f"| {name} | {count:,} |" for name, count in rows), f"| together | {sum(count for _, count in rows):,} |",
        f"| the file | {before:,} |", f"| after `compact` | {after:,} |"])


def parts(options: argparse.Namespace, disk: Path) -> list[tuple[str, int]]:
    """What a file of that kind may take."""
    volume = told(options, "info", disk)["volume"]
    assert isinstance(volume, dict)
    with open_target(Place(disk), write=False) as target:
        start, length = target.slice(1)
        log = Metafiles(SliceDevice(target.disk, start, length)).attribute(LOG_RECORD, DATA)
    return [(f"1.75 KB for each of {volume['files']:,} files", BYTES_A_FILE * volume["files"]),
            ("data of real files", volume["occupied_bytes"]), ("$LogFile", 0 if log is None else log.size),
            ("a block", BLOCK)]


def duration(options: argparse.Namespace) -> str:
    """Conversions of the same volume, raw and in a dynamic VHD."""
    volume = options.work / "corpus.img"
    if not volume.exists():
        build_volume(volume, options.corpus, options.disk or "6G")
    runs: dict[str, list[Run]] = defaultdict(list)
    for number in range(options.rounds + 1):
        for form in ("raw", "vpc") if number % 2 else ("vpc", "raw"):
            disk, wim = options.work / f"convert.{form}", options.work / f"convert-{form}.wim"
            variant = ["-o", "subformat=dynamic,force_size=on"] if form == "vpc" else []
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, *variant, volume, disk], check=True)
            settle(disk)
            run = measure(options.wimboot, "convert", disk, "--wim", wim, *LATER, *QUIET)
            if number:
                runs[form].append(run)
            print(f"round {number} {form}: {run.seconds:.2f} s, {run.cpu_seconds:.2f} s of processor", file=sys.stderr)
            disk.unlink()
            wim.unlink()
    wall = {form: median([run.seconds for run in found]) for form, found in runs.items()}
    cpu = {form: median([run.cpu_seconds for run in found]) for form, found in runs.items()}
    return "\n".join([
        f"Medians of {options.rounds} rounds, in turn.", "", "| convert | raw | dynamic VHD | ratio |",
        "| --- | --- | --- | --- |",
        f"| wall time | {wall['raw']:.2f} s | {wall['vpc']:.2f} s | {wall['vpc'] / wall['raw']:.3f} |",
        f"| processor time | {cpu['raw']:.2f} s | {cpu['vpc']:.2f} s | {cpu['vpc'] / cpu['raw']:.3f} |"])


if __name__ == "__main__":
    main()
