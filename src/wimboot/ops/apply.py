"""Deploy an image onto an empty volume, as pointers or with all data."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.disk import parse_place
from wimboot.disk.inside import parse_inside
from wimboot.errors import Refused
from wimboot.events import Emit, Note, Phase
from wimboot.frozen import Frozen
from wimboot.ops.capturing.exporting import export_image
from wimboot.ops.deploying.changing import carry_out, check_pointers_possible
from wimboot.ops.deploying.overwriting import refuse_same_file
from wimboot.ops.deploying.rebuilding import check_rebuildable, preview, rebuild
from wimboot.ops.deploying.viewing import view_image
from wimboot.ops.finding.ownwims import own_files, own_folders, refuse_in_the_way
from wimboot.ops.opening.disks import open_disk
from wimboot.ops.opening.storing import choose_image, commit, held_wim, opened_store
from wimboot.ops.opening.volume import Opened, open_volume
from wimboot.ops.options import ApplyOptions, Form
from wimboot.ops.pointing.placing import find_place
from wimboot.ops.preparing.wishes import Wanted, prepared_image, wish_for_image
from wimboot.plan.space import check_volume_space
from wimboot.tree import ROOT, Tree, diff
from wimboot.wim import real_path
from wimboot.windows.lists import with_loader_set
from wimboot.windows.ownfolders import somebodys

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from wimboot.windows.identify import System
    from wimboot.windows.whyreal import WhyReal

__all__ = ["Applied", "NotEmpty", "apply"]


class NotEmpty(Refused):
    """A target that holds something."""

    id = "not-empty"
    sentence = "{where} is not empty: it holds {first} and {count} more"
    advice = (
        "`wimboot restore {where} --wim WIM --image N` changes what is there into an image, --format gives it up."
    )


class Applied(Frozen):
    """What was deployed, or with `dry_run` would be."""

    number: int
    name: str
    files: int
    pointed: int
    real: Counter[WhyReal]
    full_size: int
    system: System | None


def apply(options: ApplyOptions, emit: Emit) -> Applied:
    """Put an image onto the target, which is empty: nothing is given up, so the data behind its pointers is not read
    here; `verify` does that.

    Raises NotEmpty, NotBackable, DriverNeeded, NotEnoughSpace and what opening raises.
    """
    refuse_same_file(options.target.place, filter(None, (options.wim, options.export)))
    if options.export is not None:
        options = _exported(options, options.export, emit)
    pointers = options.form is Form.POINTERS
    folders, dry_run = options.target.folders, options.target.dry_run
    with (
        _with_disk(options, emit),
        nullcontext() if dry_run else held_wim(options.wim, folders),
        opened_store(options.wim, folders) as store,
    ):
        number = choose_image(store, options.image, where=str(options.wim))
        emit(Phase(name="load"))
        view = view_image(store, number, options.config, options.wim, emit)
        if options.in_memory:
            view = replace(view, lists=with_loader_set(view.lists))
        place = None
        if pointers:
            check_pointers_possible(view, options.wim)
            place = find_place(options.wim_place, options.wim, emit, target=options.target.place)
        forms = view.forms(pointers=pointers)
        done = Applied(
            number=number,
            name=view.name,
            files=view.tree.node_count,
            pointed=forms.pointed,
            real=forms.real,
            full_size=forms.full_size,
            system=view.system,
        )
        with open_volume(options.target, emit, write=not dry_run, windows=False, blank=options.rebuild) as opened:
            tree, free = _ground(opened, format_it=options.rebuild)
            own = () if options.rebuild else own_files(opened)      # formatting spares nothing, and refuses to
            refuse_in_the_way(view.tree, opened)
            _check_empty(tree, own, opened.where)
            check_volume_space(free, view.tree.node_count, forms.full_size, where=opened.where)
            wanted = Wanted(wim=options.wim, driver=options.driver, no_expand=options.no_expand, pointers=pointers)
            wish = wish_for_image(opened, view, wanted, emit, moved=True)
            if dry_run:
                return done
            ignored = bytearray(b"\1") * tree.link_count
            for folder in (ROOT, *map(tree.find, own_folders(tree, own))):
                for link in tree.links_of(folder):
                    ignored[link] = 0
            changes = diff(tree, view.tree, ignored=ignored)
            carry_out(opened, view, changes, forms, place, emit)
            prepared_image(opened, wish, emit)
            emit(Phase(name="commit"))
            commit(opened.writing, None, options.wim)
        return done


def _ground(opened: Opened, *, format_it: bool) -> tuple[Tree, int]:
    """What is on the volume, and the bytes free on it; a dry run formats a file of its own to tell."""
    if format_it:
        check_rebuildable(opened)
        if opened.transaction is None:
            return preview(opened)
        rebuild(opened)
    return opened.tree, opened.free_size


def _exported(options: ApplyOptions, into: Path, emit: Emit) -> ApplyOptions:
    """The same deployment out of the store that the image was exported into."""
    folders = options.target.folders
    with opened_store(options.wim, folders) as store:
        number = choose_image(store, options.image, where=str(options.wim))
    if options.target.dry_run:
        emit(Note(id="would-export", text=f"Image {number} of {options.wim} would be exported into {into} first."))
        return replace(options, form=Form.FULL, export=None)
    return replace(options, wim=into, image=str(export_image(options.wim, number, into, folders, emit)), export=None)


@contextmanager
def _with_disk(options: ApplyOptions, emit: Emit) -> Iterator[None]:
    """The target's disk, open as it will be needed, where the WIM lies on it too."""
    inside = parse_inside(real_path(options.wim))
    if inside is None or inside.volume.path != parse_place(options.target.place).path.resolve():
        yield
        return
    with open_disk(options.target, emit, write=not options.target.dry_run):
        yield


def _check_empty(tree: Tree, own: Collection[str], where: str) -> None:
    """Nothing may be there but what Windows makes by itself, and the WIM."""
    files = {tree.find(path) for path in own}
    there = [name for name, node in somebodys(tree).items() if node not in files]
    if there:
        raise NotEmpty(where=where, first=there[0], count=len(there) - 1)
