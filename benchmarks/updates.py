"""Updates of a converted volume beside wimlib-imagex appending from its unconverted twin: a Markdown table.

    python benchmarks/updates.py CORPUS [--work DIR] [--rounds 3] [--shares 0.1 1 10] [--cold] [--wimboot PROGRAM]

Of the files of the volume a share is changed, as many are added and as many removed, the same ones on the converted
volume and on its twin. Then, each round, with the order of the tools changing:

    status      what changed                         wimlib-imagex append --update-of, on the twin
    update      an image of it, pointed, refreshed   the same (it need not point or refresh anything), and plain append
    restore     to the image before                  append --update-of

Both tools find their files in memory, or with --cold none of them, as on a disk that was just attached. Round 0 is not
counted. Medians of the others are shown.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from measuring import Run, forget, measure, median, settle
from mounting import copy_sparse, mounted
from run import LATER, QUIET, build_volume

Runs = defaultdict[str, list[Run]]
SEED = 20_150_510


def main() -> None:
    """Measure and print."""
    options = parse()
    if os.geteuid() or not Path("/dev/fuse").exists():
        raise SystemExit("The volumes are changed through mounts: this needs root and /dev/fuse.")
    options.work.mkdir(parents=True, exist_ok=True)
    twin, system = options.work / "corpus.img", options.work / "system.img"
    if not twin.exists():
        build_volume(twin, options.corpus, options.size)
    ours, theirs = options.work / "ours-1.wim", options.work / "theirs-1.wim"
    for leftover in (system, ours, theirs):
        leftover.unlink(missing_ok=True)
    copy_sparse(twin, system)
    measure(options.wimboot, "convert", system, "--wim", ours, *LATER, *QUIET)
    measure("wimlib-imagex", "capture", twin, theirs, "--wimboot")
    lines = ["| changed, added, removed | | seconds | / `append --update-of` | / `append` | peak memory |",
             "| --- | --- | --- | --- | --- | --- |"]
    for share in options.shares:
        lines += one_share(options, share, twin, system)
    text = "\n".join(lines)
    print(text)
    (options.work / "updates.md").write_text(text + "\n", encoding="utf-8")
    if not options.keep:
        shutil.rmtree(options.work)


def parse() -> argparse.Namespace:
    """The command line."""
    beside = Path(sys.executable).with_name("wimboot")
    parser = argparse.ArgumentParser(description="Compare wimboot's updates with wimlib-imagex's appends.")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--work", type=Path, default=Path("build/bench-updates"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 1, 10], help="per cent of the files")
    parser.add_argument("--cold", action="store_true", help="forget all files before each run")
    parser.add_argument("--size", default="12G")
    parser.add_argument("--wimboot", type=Path, default=beside)
    parser.add_argument("--keep", action="store_true", help="keep the volumes and WIMs")
    return parser.parse_args()


def one_share(options: argparse.Namespace, share: float, twin: Path, system: Path) -> list[str]:
    """All rounds with that per cent of the files changed; rows of the table."""
    edited, edited_twin = options.work / "edited.img", options.work / "edited-twin.img"
    for source, copy in ((system, edited), (twin, edited_twin)):
        copy.unlink(missing_ok=True)
        copy_sparse(source, copy)
        with mounted(copy, write=True) as root:
            edit(root, options.corpus, share)
    runs: Runs = defaultdict(list)
    for number in range(options.rounds + 1):
        print(f"{share} %, round {number}{' (not counted)' if not number else ''}", file=sys.stderr)
        one_round(options, edited, edited_twin, runs if number else defaultdict(list), ours_first=bool(number % 2))
    return rows(share, runs)


def edit(root: Path, corpus: Path, share: float) -> None:
    """Change, add and remove a share of the files, chosen and filled the same way wherever it is done."""
    chance = random.Random(SEED)
    files = sorted(str(path.relative_to(corpus)) for path in corpus.rglob("*") if path.is_file()
                   and not path.is_symlink())
    chosen = chance.sample(files, 3 * round(len(files) * share / 100))
    third = len(chosen) // 3
    for name in chosen[:third]:
        content = (corpus / name).read_bytes()
        (root / name).unlink()
        (root / name).write_bytes(chance.randbytes(16) + content[:0:-1])
    for name in chosen[third:2 * third]:
        content = (corpus / name).read_bytes()
        (root / f"{name}.added").write_bytes(chance.randbytes(16) + content[::-1])
    for name in chosen[2 * third:]:
        (root / name).unlink()


def one_round(options: argparse.Namespace, edited: Path, twin: Path, runs: Runs, *, ours_first: bool) -> None:
    """Each tool once at each job."""
    volume, wim = options.work / "volume.img", options.work / "store.wim"

    def ours() -> None:
        volume.unlink(missing_ok=True)
        copy_sparse(edited, volume)
        shutil.copyfile(options.work / "ours-1.wim", wim)
        ready(options, volume, wim)
        runs["status"].append(measure(options.wimboot, "status", volume, "--wim", wim, "-q"))
        if options.cold:
            forget()
        runs["update"].append(measure(options.wimboot, "update", volume, "--wim", wim, *QUIET))
        ready(options, volume, wim)
        runs["restore"].append(measure(options.wimboot, "restore", volume, "--wim", wim, "--image", "1", *QUIET))

    def theirs() -> None:
        for name, more in {"append": (), "append --update-of": ("--update-of=1",)}.items():
            shutil.copyfile(options.work / "theirs-1.wim", wim)
            ready(options, wim, twin)
            runs[name].append(measure("wimlib-imagex", "append", twin, wim, "second", "--wimboot", *more))

    for job in (ours, theirs) if ours_first else (theirs, ours):
        job()


def ready(options: argparse.Namespace, *files: Path) -> None:
    """Nothing dirty, and the files in memory, or nothing."""
    if options.cold:
        forget()
    else:
        settle(*files)


def rows(share: float, runs: Runs) -> list[str]:
    """A row a job: its median, and that over wimlib's."""
    times = {name: median([run.seconds for run in found]) for name, found in runs.items()}
    out = []
    for name, seconds in times.items():
        peak = max(run.peak_bytes for run in runs[name]) / 1e6
        by = [f"{seconds / times[other]:.2f}" for other in ("append --update-of", "append")]
        title = f"`wimlib-imagex {name}`" if name.startswith("append") else f"`wimboot {name}`"
        out.append(f"| {share:g} % each | {title} | {seconds:.2f} | {by[0]} | {by[1]} | {peak:.0f} MB |")
    return out


if __name__ == "__main__":
    main()
