"""A folder of two systems on one WIM: built by one `deploy`, and by hand with `create` and `apply`; and a second run.

    python benchmarks/deploy.py CORPUS [--work DIR] [--wim WIM] [--rounds 3] [--threads N] [--wimboot PROGRAM]

An image of CORPUS is captured twice first, where --wim names no WIM with two images. Then, in turn: two dynamic VHDs of
15 and 10 GB, each created and applied by commands of their own; the same two by `deploy`; and `deploy` again, which
finds everything as declared. Wall time, processor time of all processes, memory of the largest. Round 0 is not counted.
The volume is built through an ntfs-3g mount, so this needs root and FUSE.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import defaultdict
from pathlib import Path

from measuring import Run, measure, median, settle
from run import LATER, QUIET, build_volume

EVENTS = ("--progress", "json")
PLAN = """\
folder = "disk"
[place]
later = true
[store]
wim = "store.wim"
[[system]]
name = "x64"
image = 1
file = "x64/win7.vhd"
size = "15 GB"
driver = "none"
[[system]]
name = "x86"
image = 2
file = "x86/win7.vhd"
size = "10 GB"
driver = "none"
"""


def main() -> None:
    """Measure and print."""
    beside = Path(sys.executable).with_name("wimboot")
    parser = argparse.ArgumentParser(description="Measure deploy against apply.")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    parser.add_argument("--wim", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--wimboot", type=Path, default=beside)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    wim = prepared(options)
    runs: dict[str, list[Run]] = defaultdict(list)
    for number in range(options.rounds + 1):
        for name, run in {**by_hand(options, wim), **by_plan(options)}.items():
            if number:
                runs[name].append(run)
    print(report(runs))


def prepared(options: argparse.Namespace) -> Path:
    """A WIM with two images in the folder of the plan."""
    folder = options.work / "disk"
    folder.mkdir(exist_ok=True)
    wim = Path(folder / "store.wim")
    if options.wim is not None:
        shutil.copyfile(options.wim, wim)
    elif not wim.exists():
        volume = options.work / "volume.img"
        build_volume(volume, options.corpus, "4G")
        for name in ("x64", "x86"):
            measure(options.wimboot, "capture", volume, "--wim", wim, "--name", name, *QUIET)
        volume.unlink()
    (options.work / "plan.toml").write_text(PLAN, encoding="utf-8")
    return wim


def by_hand(options: argparse.Namespace, wim: Path) -> dict[str, Run]:
    """Two systems, one command after the other."""
    runs = []
    for number, size in ((1, "15G"), (2, "10G")):
        vhd = options.work / f"by-hand-{number}.vhd"
        vhd.unlink(missing_ok=True)
        settle(wim)
        runs.append(measure(options.wimboot, "create", vhd, "--size", size, *EVENTS))
        runs.append(measure(options.wimboot, "apply", wim, str(number), f"{vhd}#1", *LATER, *QUIET))
        vhd.unlink()
    return {"by hand": Run(sum(run.seconds for run in runs), max(run.peak_bytes for run in runs),
                           cpu_seconds=sum(run.cpu_seconds for run in runs))}


def by_plan(options: argparse.Namespace) -> dict[str, Run]:
    """The same two by one command, and what it costs to find them so."""
    for name in ("x64", "x86"):
        (options.work / "disk" / name / "win7.vhd").unlink(missing_ok=True)
    settle(options.work / "disk/store.wim")
    threads = () if options.threads is None else ("--threads", str(options.threads))
    command = (options.wimboot, "deploy", options.work / "plan.toml", *QUIET, *threads)
    return {"deploy": measure(*command), "deploy again": measure(*command)}


def report(runs: dict[str, list[Run]]) -> str:
    """A table of medians, and the ratio that is promised to be 1.5 at most."""
    lines = ["| | wall | processor | memory |", "| --- | --- | --- | --- |"]
    for name, found in runs.items():
        lines.append(f"| {name} | {median([run.seconds for run in found]):.2f} s "
                     f"| {median([run.cpu_seconds for run in found]):.2f} s "
                     f"| {max(run.peak_bytes for run in found) / 1e6:.0f} MB |")
    ratio = median([run.seconds for run in runs["deploy"]]) / median([run.seconds for run in runs["by hand"]])
    return "\n".join([*lines, f"\ndeploy / by hand: {ratio:.2f}"])


if __name__ == "__main__":
    main()
