"""One command measured: wall time, processor time, peak memory, and the moments at which its phases ended.

The measuring is done by a process of its own (this module as a script): Linux counts the memory of whoever starts a
program as the program's, and a bare Python is small.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Run", "forget", "measure", "median", "settle"]


@dataclass(frozen=True, slots=True)
class Run:
    """`phases` has seconds for each phase of ours; `ends` the seconds from the start at which it was over."""

    seconds: float
    peak_bytes: int
    phases: dict[str, float] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0

    def after(self, phase: str) -> float:
        """Seconds from the end of `phase` to the end of the program: what it committed and synced included."""
        return self.seconds - self.ends[phase]


def measure(*command: str | Path) -> Run:
    """Run a command that must succeed."""
    words = [str(word) for word in command]
    done = subprocess.run([sys.executable, "-I", "-S", __file__, *words], stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed")
    return Run(**json.loads(done.stdout))


def _watch(words: list[str]) -> Run:
    phases: dict[str, float] = {}
    ends: dict[str, float] = {}
    said: list[str] = []
    begin = time.monotonic()
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as child:
        assert child.stderr is not None
        for line in child.stderr:
            said.append(line)
            if line.startswith("{"):
                event = json.loads(line)
                if event.get("event") == "phase-end":
                    phases[event["name"]] = phases.get(event["name"], 0.0) + event["seconds"]
                    ends[event["name"]] = time.monotonic() - begin
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begin
    if child.returncode:
        raise SystemExit(f"exit code {child.returncode}\n{''.join(said[-20:])}")
    return Run(seconds, usage.ru_maxrss * 1024, phases, ends, usage.ru_utime + usage.ru_stime)


def median(values: list[float]) -> float:
    """The middle one, so that one slow round does not count."""
    return statistics.median(values)


def forget() -> None:
    """Write back what is dirty and drop every file from memory."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")


def settle(*files: Path) -> None:
    """Write back what is dirty and have the files in memory, so that both tools find the same."""
    os.sync()
    for path in files:
        with path.open("rb", buffering=0) as file:
            place, size = 0, path.stat().st_size
            while place < size:
                try:
                    place = os.lseek(file.fileno(), place, os.SEEK_DATA)
                except OSError:  # a hole up to the end
                    break
                end = os.lseek(file.fileno(), place, os.SEEK_HOLE)
                while place < end:
                    place += len(os.pread(file.fileno(), min(1 << 22, end - place), place))


if __name__ == "__main__":
    print(json.dumps(asdict(_watch(sys.argv[1:]))))
