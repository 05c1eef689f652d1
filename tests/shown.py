"""Volumes as `wimboot mount` shows them, each through a process of its own, surely ended after the test."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mounting import UTF_8, need_mounts

__all__ = ["PATIENCE_SECONDS", "Shown", "fails", "shown"]

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A volume that is mounted on `folder` by `process`; `said` is where what it says goes."""

    folder: Path
    process: subprocess.Popen[bytes]
    said: Path

    def end(self) -> int:
        """Unmount it; the exit code of the process."""
        subprocess.run(["umount", str(self.folder)], check=True, capture_output=True)
        return self.process.wait(PATIENCE_SECONDS)

    @property
    def told(self) -> str:
        """What it has said so far."""
        return self.said.read_text(encoding="utf-8", errors="replace")


@contextmanager
def shown(volume: Path | str, *options: object) -> Iterator[Shown]:
    """The volume, mounted in the foreground."""
    need_mounts()
    with tempfile.TemporaryDirectory(prefix="wimboot-shown-") as scratch:
        folder, said = Path(scratch) / "mnt", Path(scratch) / "said"
        folder.mkdir()
        command = [sys.executable, "-m", "wimboot", "mount", str(volume), str(folder), "-f", *map(str, options)]
        with said.open("wb") as output:
            process = subprocess.Popen(command, env=UTF_8, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       cwd=scratch)
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not os.path.ismount(folder):
                text = said.read_text(errors="replace")
                assert process.poll() is None, text
                assert time.monotonic() < deadline, text
                time.sleep(0.01)
            yield Shown(folder=folder, process=process, said=said)
        finally:
            if process.poll() is None:
                subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)
                process.terminate()
                process.wait(PATIENCE_SECONDS)


@contextmanager
def fails(number: int) -> Iterator[None]:
    """The operating system refuses what is done here, with this errno."""
    try:
        yield
    except OSError as error:
        assert error.errno == number, error  # noqa: PT017 - pytest.raises cannot match a number
    else:
        raise AssertionError(f"went well instead of failing with {os.strerror(number)}")
