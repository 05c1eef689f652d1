"""`wimboot driver`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.hostpath import HostPath
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.driver import DriverInstalled

__all__ = ["driver"]


@click.command(short_help="Put wofadk.sys, or a driver for disks in memory, into an offline Windows.")
@options.targeting
@click.argument("sys_file", metavar="SYS_FILE", type=HostPath(dir_okay=False))
@click.option(
    "--inf",
    type=HostPath(dir_okay=False),
    metavar="FILE",
    help="The INF that comes with SVBus, FiraDisk or WinVBlock: it says how the service is called and what it needs.",
)
@options.writing
@options.reporting
def driver(target: str, log_folder: Path | None, sys_file: Path, **chosen: Any) -> None:
    """Install SYS_FILE as a boot-start driver of the Windows on TARGET.

    Without --inf it is wofadk.sys of the Windows 10 ADK, which lets Windows 7, 8 and 8.1 without Update read pointers;
    `convert` and `apply` install it themselves (--driver). The file is checked first: its architecture, its version,
    its signature. The service is written into every control set, and the file stays a real one.

    \b
    Examples:
      wimboot driver win7.img wofadk.sys
      wimboot driver win7.vhd#1 svbusx64.sys --inf svbus.inf
    """
    from wimboot.ops.driver import DriverOptions
    from wimboot.ops.driver import driver as run

    where = options.target_options(target, log_folder, dry_run=chosen["dry_run"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(DriverOptions(target=where, file=sys_file, inf=chosen["inf"]), listen)
    if chosen["as_json"]:
        show.document(_document(done, dry_run=chosen["dry_run"]))
    elif not chosen["quiet"]:
        if not done.changed:
            click.echo(f"{done.service} is installed already: nothing to do.")
            return
        sets = ", ".join(f"ControlSet{number:03d}" for number in done.control_sets)
        verb = "Would install" if chosen["dry_run"] else "Installed"
        show.say(
            f"{verb} {done.path}, version {done.version or 'unknown'} for {done.architecture}, as the boot driver "
            f"{done.service} ({sets})."
        )


def _document(done: DriverInstalled, *, dry_run: bool) -> dict[str, Any]:
    return {
        "service": done.service,
        "path": done.path,
        "version": done.version,
        "architecture": done.architecture,
        "signature": done.signature or None,
        "device": done.device or None,
        "control_sets": list(done.control_sets),
        "changed": done.changed,
        "dry_run": dry_run,
    }
