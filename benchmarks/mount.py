"""Large files read through `wimboot mount` and through `wimlib-imagex mount` of the same image, in turn: a ratio.

    python benchmarks/mount.py CORPUS [--work DIR] [--rounds 3] [--size 4G] [--smallest 1M] [--wimboot PROGRAM]

A volume is made of the files of CORPUS that have at least `--smallest` bytes, and converted. Then each round mounts it
with one tool, reads all those files from start to end (cat), unmounts, and does the same with the other. Mounting anew
empties what the kernel kept of the files; `cold` rounds also have it forget the WIM. The ratio is of throughputs:
above 1 ours is the faster. Round 0 is not counted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from measuring import settle
from run import build_volume

Times = defaultdict[str, list[float]]
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def main() -> None:
    """Measure and print."""
    options = parse()
    if os.geteuid() or not Path("/dev/fuse").exists():
        raise SystemExit("This needs root and /dev/fuse.")
    options.work.mkdir(parents=True, exist_ok=True)
    volume, wim = options.work / "mount.img", options.work / "mount.wim"
    if not wim.exists():
        make(options, volume, wim)
    times: Times = defaultdict(list)
    for number in range(options.rounds + 1):
        for cold in (False, True):
            tools = ("theirs", "ours") if number % 2 else ("ours", "theirs")
            for tool in tools:
                seconds = read_all(options, tool, volume, wim, cold=cold)
                if number:
                    times[f"{tool} {'cold' if cold else 'warm'}"].append(seconds)
    size = sum(path.stat().st_size for path in large_files(options.corpus, options.smallest))
    print("| | wimboot | wimlib-imagex | ratio |\n| --- | --- | --- | --- |")
    for state in ("warm", "cold"):
        ours, theirs = (sorted(times[f"{tool} {state}"])[options.rounds // 2] for tool in ("ours", "theirs"))
        print(f"| {state}: cat of {size / 1e6:.0f} MB in large files | {ours:.2f} s, {size / ours / 1e6:.0f} MB/s | "
              f"{theirs:.2f} s, {size / theirs / 1e6:.0f} MB/s | {theirs / ours:.2f} |")
    if not options.keep:
        volume.unlink()
        wim.unlink()


def parse() -> argparse.Namespace:
    """The command line."""
    beside = Path(sys.executable).with_name("wimboot")
    parser = argparse.ArgumentParser(description="Compare the mounts of wimboot and wimlib-imagex.")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="4G")
    parser.add_argument("--smallest", type=lambda text: int(text.rstrip("M")) << 20, default=1 << 20, metavar="1M")
    parser.add_argument("--wimboot", type=Path, default=beside)
    parser.add_argument("--keep", action="store_true", help="keep the volume and the WIM")
    return parser.parse_args()


def large_files(corpus: Path, smallest: int) -> list[Path]:
    """The files of the corpus that are read; hives are the volume's own."""
    return sorted(path for path in corpus.rglob("*") if path.is_file() and not path.is_symlink()
                  and path.stat().st_size >= smallest and "config" not in path.parts)


def make(options: argparse.Namespace, volume: Path, wim: Path) -> None:
    """A converted volume of the large files."""
    chosen = options.work / "large"
    for path in large_files(options.corpus, options.smallest):
        target = chosen / path.relative_to(options.corpus)
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", str(path), str(target)], check=True)
    build_volume(volume, chosen, options.size)
    subprocess.run(["rm", "-r", str(chosen)], check=True)
    subprocess.run([str(options.wimboot), "convert", str(volume), "--wim", str(wim), "--yes", "-q",
                    "--wim-place", "later", "--driver", "none"], check=True, capture_output=True)


def read_all(options: argparse.Namespace, tool: str, volume: Path, wim: Path, *, cold: bool) -> float:
    """Seconds to read all large files through a fresh mount."""
    settle(volume, wim)
    if cold:
        DROP_CACHES.write_text("3")
    folder = options.work / "mnt"
    folder.mkdir(exist_ok=True)
    command = ([str(options.wimboot), "mount", "-q", str(volume), str(folder)] if tool == "ours" else
               ["wimlib-imagex", "mount", str(wim), "1", str(folder)])
    files = large_files(options.corpus, options.smallest)
    with mount(command, folder):
        names = [str(folder / path.relative_to(options.corpus)) for path in files]
        began = time.monotonic()
        subprocess.run(["cat", *names], check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - began


@contextmanager
def mount(command: list[str], folder: Path) -> Iterator[None]:
    """Mounted, and surely unmounted."""
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield
    finally:
        while subprocess.run(["umount", str(folder)], check=False, capture_output=True).returncode:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
