"""Names that no encoding has: they are shown, and never stop a verb that has done its work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_a_name_that_cannot_be_encoded_is_escaped(tmp_path: Path) -> None:
    """Unpaired surrogates come out as JSON escapes them, whatever the terminal's own way with them."""
    wim = os.fsencode(tmp_path) + b"/\xff.wim"
    for way in ("utf-8:strict", "utf-8:surrogateescape"):
        run = subprocess.run([sys.executable, "-m", "wimboot", "images", wim, "--json"], capture_output=True,
                             check=False, env={**os.environ, "PYTHONIOENCODING": way})
        assert run.returncode == 2, run.stderr
        assert json.loads(run.stdout.decode())["error"]["where"] == os.fsdecode(wim)
