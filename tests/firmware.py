"""UEFI firmware (EDK II, from Debian's ovmf) in QEMU's software emulation: a judge of disks that it shall start."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

__all__ = ["shell_script", "start_uefi"]

_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
_PATIENCE_SECONDS = 240
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def shell_script(*commands: str) -> bytes:
    """What its shell runs as \\startup.nsh where nothing else starts; it ends by turning the machine off."""
    return "\r\n".join(["@echo -off", *commands, "reset -s", ""]).encode("utf-16")


def start_uefi(disk: Path, scratch: Path) -> str:
    """Start a machine with this raw disk; what it printed until it was off. The disk may be changed by it."""
    variables = scratch / "variables.fd"
    variables.write_bytes(_VARIABLES.read_bytes())
    done = subprocess.run(
        ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-m", "256", "-nographic", "-no-reboot", "-net", "none",
         "-drive", f"if=pflash,format=raw,readonly=on,file={_CODE}", "-drive", f"if=pflash,format=raw,file={variables}",
         "-drive", f"format=raw,file={disk}"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return _ESCAPES.sub("", done.stdout.decode(errors="replace"))
