"""The options that verbs share, spelled once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from wimboot.cli.hostpath import HostPath
from wimboot.ops.options import CaptureOptions, Compression, TargetOptions

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "DRIVER_VARIABLE",
    "capture_options",
    "capturing",
    "config_option",
    "driver_option",
    "further",
    "imaging",
    "log_option",
    "placing",
    "placing_at_once",
    "plan_option",
    "reporting",
    "searching",
    "target_options",
    "targeting",
    "threads_option",
    "wim_option",
    "writing",
]

F = TypeVar("F", bound="Callable[..., Any]")

WIM = HostPath(dir_okay=False)
CONFIG = HostPath(exists=True, dir_okay=False)
FOLDER = HostPath(exists=True, file_okay=False)
DRIVER_VARIABLE: Final = "WIMBOOT_WOFADK"
_SEARCH = f"{__name__}.search"
_PLAN = f"{__name__}.plan"


def _all(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def reporting(function: F) -> F:
    """--json, --progress, -q, -v: what every verb has."""
    return _all(
        click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else."),
        click.option(
            "--progress",
            type=click.Choice(["auto", "json", "none"]),
            default="auto",
            show_default=True,
            help="Progress on standard error: bars on a terminal, one JSON event a line, or none.",
        ),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
        click.option("-v", "--verbose", count=True, help="Say more; -vv adds tracebacks to errors."),
    )(function)


def searching(function: F) -> F:
    """--search DIR, for `target_options` to take: a verb's function is not given it."""
    return click.option(
        "--search",
        type=FOLDER,
        multiple=True,
        metavar="DIR",
        expose_value=False,
        callback=_keep_search,
        help="Search this folder and those in it for the volume's WIM, by its GUID (may be repeated).",
    )(function)


def _keep_search(context: click.Context, _option: click.Parameter, folders: tuple[Path, ...]) -> None:
    context.meta[_SEARCH] = tuple(folders)


def targeting(function: F) -> F:
    """TARGET, where its transaction log lies, and where its WIM is searched."""
    return _all(
        click.argument("target", metavar="TARGET"),
        searching,
        log_option,
    )(function)


def log_option(function: F) -> F:
    """--log DIR."""
    return click.option(
        "--log",
        "log_folder",
        type=FOLDER,
        metavar="DIR",
        help="Folder for the transaction log of a block device (an image has it beside itself).",
    )(function)


def writing(function: F) -> F:
    """--dry-run and --yes."""
    return _all(
        click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask before something that cannot be undone."),
    )(function)


def wim_option(*, required: bool) -> Callable[[F], F]:
    """--wim WIM."""
    return click.option(
        "--wim",
        type=WIM,
        required=required,
        metavar="WIM",
        help="The WIM file that is the repository; PATH#N:/dir/x.wim lies inside a volume that is not mounted."
        + (
            ""
            if required
            else " Default: found by the volume's own record; else by its GUID in the folders of --search, on the "
            "volume and its disk, in the folder of WIMBOOT_WIMPATH, beside the target, above it, here."
        ),
    )


def config_option(function: F) -> F:
    """--config INI."""
    return click.option(
        "--config",
        type=CONFIG,
        metavar="INI",
        help="The list of what is captured and what stays real. "
        "Default: WimBootCompress.ini beside the WIM, here, or inside the system; else the built-in one.",
    )(function)


def threads_option(what: str) -> Callable[[F], F]:
    """--threads N; `what` they do."""
    return click.option(
        "--threads", type=click.IntRange(1, 64), metavar="N", help=f"{what} threads (default: cores)."
    )


def imaging(function: F) -> F:
    """How an image is added to a WIM, which grows by it."""
    return _all(
        click.option("--fast", is_flag=True, help="Compress about 15 % faster, into about 1 % more."),
        threads_option("Compressing"),
        click.option(
            "--target",
            "others",
            multiple=True,
            metavar="TARGET",
            help="A further volume that stands on the same WIM: it is brought up to the WIM's new table in the same "
            "run (may be repeated).",
        ),
        plan_option,
        click.option("--name", metavar="NAME", help="Name of the new image (default like Win_6.1_201505101200)."),
    )(function)


def plan_option(function: F) -> F:
    """--plan PLAN, for `further` to take: a verb's function is not given it."""
    return click.option(
        "--plan",
        type=HostPath(),
        metavar="PLAN.toml",
        expose_value=False,
        callback=_keep_plan,
        help="Every system of this plan (see `deploy`) that is there counts as a --target.",
    )(function)


def _keep_plan(context: click.Context, _option: click.Parameter, plan: Path | None) -> None:
    context.meta[_PLAN] = plan


def further(named: tuple[str, ...], target: str | None = None) -> tuple[str, ...]:
    """The further volumes that were named, and those of --plan, without `target` itself."""
    context = click.get_current_context(silent=True)
    plan = None if context is None else context.meta.get(_PLAN)
    if plan is None:
        return named
    from wimboot.ops.assembling.planned import load_plan

    return (*named, *load_plan(plan).there(besides=(*named, *([] if target is None else [target]))))


def capturing(function: F) -> F:
    """How to capture."""
    return _all(
        config_option,
        click.option(
            "--compress",
            type=click.Choice([kind.value for kind in Compression]),
            help="Compression of a new WIM (default xpress4k, which Windows reads fastest).",
        ),
        imaging,
    )(function)


def driver_option(function: F) -> F:
    """--driver SYS."""
    return click.option(
        "--driver",
        metavar="SYS",
        envvar=DRIVER_VARIABLE,
        help="wofadk.sys, which is installed into a Windows without an overlay driver of its own (7, 8.0, 8.1 without "
        f"Update); none: you see to it yourself. Default: the file that {DRIVER_VARIABLE} names, else one beside the "
        "WIM.",
    )(function)


def placing(function: F) -> F:
    """Where the WIM will lie, and what the system needs to read it there."""
    return _placing(later=True)(function)


def placing_at_once(function: F) -> F:
    """As `placing`, of what cannot be told a place afterwards."""
    return _placing(later=False)(function)


def _placing(*, later: bool) -> Callable[[F], F]:
    return _all(
        click.option(
            "--wim-place",
            metavar="PLACE",
            help="Where the WIM will lie when Windows runs: "
            "mbr:SIGNATURE:OFFSET:\\path, gpt:DISK-GUID:PARTITION-GUID:\\path, one of these in a VHD as "
            "'PLACE inside PLACE'" + (", or later" if later else "") + ". Default: found from where it lies now.",
        ),
        driver_option,
        click.option(
            "--no-expand",
            is_flag=True,
            help="Tell a system in a VHD that grows not to let it take its full size when Windows starts from it.",
        ),
    )


def target_options(target: str, log_folder: Path | None, *, dry_run: bool = False) -> TargetOptions:
    """The values behind `targeting`."""
    named = os.environ.get("WIMBOOT_WIMPATH")
    context = click.get_current_context(silent=True)
    search = () if context is None else context.meta.get(_SEARCH, ())
    return TargetOptions(place=target, log_folder=log_folder, dry_run=dry_run, search=search,
                         wim_folder=Path(named.replace("\\", "/")) if named else None)


def capture_options(target: TargetOptions, wim: Path, options: dict[str, Any]) -> CaptureOptions:
    """The values behind `capturing`."""
    compress = options["compress"]
    chosen: dict[str, Any] = {} if options["threads"] is None else {"threads": options["threads"]}
    return CaptureOptions(
        target=target,
        wim=wim,
        others=further(options["others"], target.place),
        config=options["config"],
        fast=options["fast"],
        name=options["name"],
        compression=None if compress is None else Compression(compress),
        **chosen,
    )
