"""RAM images of a system with files of a corpus: how large, and how long it takes beside `apply`: a Markdown table.

    python benchmarks/ram.py CORPUS [--files 5000] [--size 5G] [--work DIR] [--rounds 3] [--wimboot PROGRAM]

Each round, with the order changing:

    apply       the image onto a fresh raw image that is formatted already
    --format    the same, formatting it: a RAM image has to be formatted too
    ram         the RAM image of the same image, packed as LZ4, gzip, whole as LZ4, and dynamic VHD

Bytes a file are those of the image without what its real files take when lz4 compresses them alone. Round 0 is not
counted. Medians of the others are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import build  # found by the line above
from boot_systems import add_boot_files
from measuring import Run, measure, median, settle
from mounting import copy_sparse, mounted
from ram_judge import unpack
from snapshots import snapshot

Runs = defaultdict[str, list[Run]]
SEED = 20_150_510
PLACE = ("--wim-place", "mbr:5cbea03e:1048576:\\wimboot\\store.wim", "--driver", "none")
QUIET = ("--yes", "--progress", "json")
FORMS = {"lz4": ("--form", "lz4"), "gzip": ("--form", "gzip"), "lz4 --whole": ("--form", "lz4", "--whole"),
         "vhd": ("--form", "vhd")}


def main() -> None:
    """Measure and print."""
    options = parse()
    if os.geteuid() or not Path("/dev/fuse").exists():
        raise SystemExit("The volume is filled through a mount: this needs root and /dev/fuse.")
    options.work.mkdir(parents=True, exist_ok=True)
    volume, wim = options.work / "system.img", options.work / "store.wim"
    wim.unlink(missing_ok=True)
    build_volume(options, volume)
    measure(options.wimboot, "convert", volume, "--wim", wim, *PLACE, *QUIET)
    runs: Runs = defaultdict(list)
    for number in range(options.rounds + 1):
        print(f"round {number}{' (not counted)' if not number else ''}", file=sys.stderr)
        one_round(options, wim, runs if number else defaultdict(list), ours_first=bool(number % 2))
    text = table(options, volume, runs)
    print(text)
    (options.work / "ram.md").write_text(text + "\n", encoding="utf-8")
    if not options.keep:
        for leftover in (*options.work.glob("*.img"), *options.work.glob("*.wim"), *options.work.glob("*.ram")):
            leftover.unlink()


def parse() -> argparse.Namespace:
    """The command line."""
    beside = Path(sys.executable).with_name("wimboot")
    parser = argparse.ArgumentParser(description="Measure wimboot ram.")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--files", type=int, default=5000, help="how many of the corpus, chosen by chance")
    parser.add_argument("--size", default="5G")
    parser.add_argument("--work", type=Path, default=Path("build/bench-ram"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wimboot", type=Path, default=beside)
    parser.add_argument("--keep", action="store_true", help="keep the volumes, WIMs and images")
    return parser.parse_args()


def build_volume(options: argparse.Namespace, volume: Path) -> None:
    """A Windows 7 with boot files, and files of the corpus."""
    build.build_system(volume, size=8 << 30, files=60, features=())
    add_boot_files(volume)
    files = sorted(path for path in options.corpus.rglob("*") if path.is_file() and not path.is_symlink())
    chosen = random.Random(SEED).sample(files, min(options.files, len(files)))
    with mounted(volume, write=True) as root:
        for path in chosen:
            target = root / path.relative_to(options.corpus)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def one_round(options: argparse.Namespace, wim: Path, runs: Runs, *, ours_first: bool) -> None:
    """Each job once."""
    fresh, target = options.work / "fresh.img", options.work / "target.img"
    if not fresh.exists():
        subprocess.run(["truncate", "-s", options.size, fresh], check=True)
        subprocess.run(["mkntfs", "-q", "-Q", "-F", "-p", "0", "-H", "255", "-S", "63", "-s", "512", fresh], check=True,
                       stdout=subprocess.DEVNULL)

    def applied() -> None:
        target.unlink(missing_ok=True)
        copy_sparse(fresh, target)
        settle(target, wim)
        runs["apply"].append(measure(options.wimboot, "apply", wim, "1", target, *PLACE, *QUIET))
        settle(target, wim)
        runs["apply --format"].append(
            measure(options.wimboot, "apply", wim, "1", target, "--format", *PLACE, *QUIET))

    def in_memory() -> None:
        for form, more in FORMS.items():
            settle(wim)
            runs[form].append(measure(options.wimboot, "ram", "--wim", wim, "--image", "1", image_of(options, form),
                                      "--size", options.size, *more, *PLACE, *QUIET))

    for job in (in_memory, applied) if ours_first else (applied, in_memory):
        job()


def image_of(options: argparse.Namespace, form: str) -> Path:
    """Where the image of that form lies."""
    return Path(options.work) / f"{form.replace(' --', '-')}.ram"


def table(options: argparse.Namespace, volume: Path, runs: Runs) -> str:
    """A row a job."""
    told = json.loads(subprocess.run(
        [options.wimboot, "ram", volume, options.work / "none.ram", "--dry-run", "--json", "--size", options.size,
         *PLACE], check=True, capture_output=True, text=True).stdout)
    real = packed_real(options)
    said = (f"{told['files']:,} files and folders, {told['pointed']:,} pointers, {told['full_bytes']:,} bytes in real "
            f"files ({real:,} compressed).")
    lines = [said, "",
             "| | seconds | / `apply` | / `apply --format` | bytes | bytes a file |", "| --- " * 6 + "|"]
    times = {name: median([run.seconds for run in found]) for name, found in runs.items()}
    for name, seconds in times.items():
        size = image_of(options, name).stat().st_size if name in FORMS else None
        lines.append(f"| {name} | {seconds:.2f} | {seconds / times['apply']:.2f} | "
                     f"{seconds / times['apply --format']:.2f} | "
                     + (f"{size:,} | {(size - real) / told['files']:,.0f} |" if size else "| |"))
    return "\n".join(lines)


def packed_real(options: argparse.Namespace) -> int:
    """What lz4 makes of the files that the image has as they are."""
    pile = options.work / "real.img"
    disk = unpack(image_of(options, "lz4"), options.work / "unpacked.img")
    files = snapshot(disk.path, disk.start, contents=False)
    with mounted(disk.path, offset=disk.start) as root, pile.open("wb") as out:
        for path, facts in files.items():
            if not facts.folder and not facts.reparse:
                out.write((root / path).read_bytes())
    packed = subprocess.run(["lz4", "-9", "-q", "-c", pile], check=True, capture_output=True).stdout
    return len(packed)


if __name__ == "__main__":
    main()
