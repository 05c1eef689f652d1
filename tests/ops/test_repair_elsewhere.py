"""Repairs of WIMs that lie inside a volume, places that hold something else, and what Ctrl-C means to a repair."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from data_disks import make_disk
from judges import every_pointer_leads_home, sound_volume, sound_wim
from mounting import copy_sparse, mounted
from repair_rig import EXPLORER, USER32, Pair, problem_of, wimlib
from running import NO_PLACE, done, unchanged, wimboot
from snapshots import seen_through, snapshot
from wimboot.events import Event, Phase, silent
from wimboot.ops.options import RepairOptions, TargetOptions, VerifyOptions
from wimboot.ops.repair import RepairInterrupted, repair

INSIDE = "WIMBOOT/store.wim"
MBR = "mbr:5cbea03e:1048576:\\wimboot\\store.wim"


@pytest.mark.parametrize("spoil", ["damage", "lose"])
def test_a_wim_in_its_own_volume_is_repaired_there(spoil: str, pristine_small: Path, tmp_path: Path) -> None:
    """Volume and WIM are one transaction."""
    volume, spare = tmp_path / "own.img", tmp_path / "spare.wim"
    copy_sparse(pristine_small, volume)
    wim = f"{volume}:/{INSIDE}"
    done("convert", volume, "--wim", wim, *NO_PLACE)
    pair = Pair(volume=volume, wim=Path(wim), spare=spare, seen=seen_through(snapshot(volume)))
    with mounted(volume, write=True) as root:
        shutil.copyfile(root / INSIDE, spare)
        getattr(pair, spoil)(EXPLORER, USER32, wim=root / INSIDE)
    with unchanged(volume, spare):
        assert wimboot("verify", volume, "--wim", wim, "--repair", "--spare", spare, "--dry-run").code == 3
    code, document = pair.repair("--spare", spare)
    assert (code, document["repair"]["blobs"], document["repair"]["from"]) == (0, 2, {str(spare): 2})
    sound_volume(volume)
    with mounted(volume) as root:
        shutil.copyfile(root / INSIDE, tmp_path / "now.wim")
    sound_wim(tmp_path / "now.wim")
    assert every_pointer_leads_home(volume, tmp_path / "now.wim", {}) > 20


@pytest.mark.heavy
def test_a_wim_inside_a_volume_is_repaired_by_itself(pristine_small: Path, tmp_path: Path) -> None:
    """As one on the host is; then its volume is behind."""
    volume, spare = tmp_path / "own.img", tmp_path / "spare.wim"
    copy_sparse(pristine_small, volume)
    wim = f"{volume}:/{INSIDE}"
    done("convert", volume, "--wim", wim, *NO_PLACE)
    pair = Pair(volume=volume, wim=Path(wim), spare=spare, seen=seen_through(snapshot(volume)))
    with mounted(volume, write=True) as root:
        shutil.copyfile(root / INSIDE, spare)
        pair.damage(EXPLORER, USER32, wim=root / INSIDE)
    done("verify", "--wim", wim, "--repair", "--spare", spare)
    sound_volume(volume)
    assert problem_of(pair.verify("--quick")[1])["id"] == "wim-rewritten"
    assert pair.repair()[0] == 0


@pytest.mark.heavy
def test_pointers_are_relinked_into_a_wim_inside_a_volume(pristine_small: Path, tmp_path: Path) -> None:
    """It was rewritten there by another program."""
    volume = tmp_path / "own.img"
    copy_sparse(pristine_small, volume)
    wim = f"{volume}:/{INSIDE}"
    done("convert", volume, "--wim", wim, *NO_PLACE)
    with mounted(volume, write=True) as root:
        shutil.copyfile(root / INSIDE, tmp_path / "now.wim")
        wimlib("optimize", tmp_path / "now.wim", "--recompress", "--compress=LZX", "--chunk-size=32768")
        shutil.copyfile(tmp_path / "now.wim", root / INSIDE)
    assert problem_of(wimboot("verify", volume, "--wim", wim, "--quick", "--json").json)["id"] == "wim-rewritten"
    done("verify", volume, "--wim", wim, "--repair")
    sound_volume(volume)
    assert every_pointer_leads_home(volume, tmp_path / "now.wim", {}) > 20


@pytest.mark.parametrize("alone", [False, True])
def test_further_volumes_are_brought_up_in_the_same_step(alone: bool, pair: Pair, tmp_path: Path) -> None:
    """Two systems share the WIM; the repair makes it grow, and both stay whole. One that is not named is told of."""
    second = tmp_path / "second.img"
    copy_sparse(pair.volume, second)
    for target in ((), ("--target", second)):
        pair.damage(EXPLORER)
        what = () if alone else (pair.volume,)
        more = ("--target", pair.volume) if alone else ()
        run = done("verify", *what, "--wim", pair.wim, "--repair", "--spare", pair.spare, *more, *target)
        sound_volume(second)
        assert every_pointer_leads_home(pair.volume, pair.wim, {}) > 20
        assert (f"{second} stands on" in run.err) == (not target)
        assert ("of further volumes brought up" in run.out) == (alone or bool(target))
    assert every_pointer_leads_home(second, pair.wim, {}) > 20
    pair.damage(EXPLORER)
    other = tmp_path / "other.img"
    copy_sparse(pair.volume, other)
    with mounted(other, write=True) as root:
        shutil.rmtree(root / "System Volume Information")
    with unchanged(pair.volume, pair.wim, other, times=False):
        run = wimboot("verify", pair.volume, "--wim", pair.wim, "--repair", "--spare", pair.spare, "--target", other)
    assert run.code == 4, run.err


def test_another_wim_at_the_registered_place_is_a_problem(pair: Pair, small_volume: Path, tmp_path: Path) -> None:
    """Even where the right one is found elsewhere: Windows looks at the place. A WIM that is gone from it is told."""
    done("relocate", pair.volume, "--wim", pair.wim, "--as", MBR)
    other = tmp_path / "away" / "other.wim"
    done("capture", small_volume, "--wim", other)

    def fill(root: Path) -> None:
        (root / "wimboot").mkdir()
        shutil.copyfile(other, root / "wimboot" / "store.wim")

    make_disk(tmp_path / "data.img", "mbr", fill)
    run = wimboot("verify", pair.volume, "--quick", "--json")
    problem = problem_of(run.json)
    place = f"{tmp_path}/data.img#1:/wimboot/store.wim"
    assert (run.code, problem["id"], problem["where"]) == (3, "wim-replaced", place)
    assert f"was found as {pair.wim}" in problem["text"]
    make_disk(tmp_path / "data.img", "mbr", lambda _: None)
    code, document = pair.verify("--quick")
    assert (code, problem_of(document)["id"]) == (3, "wim-moved")
    assert f"`wimboot relocate {pair.volume} --wim WIM`" in problem_of(document)["advice"]


def test_a_second_disk_with_the_same_signature_is_no_problem_of_the_volume(
    pair: Pair, small_volume: Path, tmp_path: Path
) -> None:
    """The WIM lies at its place on one of them; that another disk has something else there is a warning."""
    done("relocate", pair.volume, "--wim", pair.wim, "--as", MBR)
    other = tmp_path / "away" / "other.wim"
    done("capture", small_volume, "--wim", other)
    for name, wim in (("one.img", other), ("two.img", pair.wim)):
        def fill(root: Path, wim: Path = wim) -> None:
            (root / "wimboot").mkdir()
            shutil.copyfile(wim, root / "wimboot" / "store.wim")

        make_disk(tmp_path / name, "mbr", fill)
    told = done("verify", pair.volume, "--quick")
    assert f"{tmp_path}/one.img#1:/wimboot/store.wim lies at the place of data source 0 too" in told.err


def test_an_interrupted_repair_says_what_stays(pair: Pair) -> None:
    """Before anything is committed Ctrl-C leaves all as it was; after it, nobody is told that all is as it was."""
    pair.damage(EXPLORER)
    options = RepairOptions(check=VerifyOptions(target=TargetOptions(place=str(pair.volume)), wim=pair.wim),
                            spares=(pair.spare,))

    def interrupt(name: str, number: int) -> None:
        seen = 0

        def listen(event: Event) -> None:
            nonlocal seen
            seen += isinstance(event, Phase) and event.name == name
            if seen == number:
                seen += 1
                os.kill(os.getpid(), signal.SIGINT)

        repair(options, listen)

    with unchanged(pair.volume, pair.wim, times=False), pytest.raises(KeyboardInterrupt):
        interrupt("read-back", 1)
    with pytest.raises(RepairInterrupted, match="stays"):
        interrupt("data", 2)
    assert not repair(options, silent).before.found
    pair.assert_whole()
