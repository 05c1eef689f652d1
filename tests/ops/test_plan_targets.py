"""`--plan`: the systems of a plan follow their store when another verb lets it grow, or rewrites it."""

from __future__ import annotations

from deploy_plans import HEAD, X64, X86, Yard, system
from running import done, refused, wimboot


def sound(yard: Yard) -> None:
    """No system is behind, and each stands as the plan says."""
    for vhd in (yard.x64, yard.x86):
        done("verify", vhd, "--wim", yard.wim, "--quick")


def test_systems_of_a_plan_follow_a_store_that_grows(deployed: Yard) -> None:
    """By `capture`, and by `update` of one of them, which is not taken twice; what is not built yet does not count."""
    plan = deployed.says(HEAD, X64, X86, system("later", 1, "later.vhd"))
    done("capture", deployed.base / "x86.img", "--wim", deployed.wim, "--name", "more", "--plan", plan)
    sound(deployed)
    done("update", f"{deployed.x64}#1", "--wim", deployed.wim, "--plan", plan, "--target", deployed.x86)
    sound(deployed)


def test_prune_takes_the_systems_of_a_plan(deployed: Yard) -> None:
    """Without it they are refused as volumes that were not given; with it they follow."""
    done("capture", deployed.base / "x86.img", "--wim", deployed.wim, "--name", "more", "--plan", deployed.plan)
    refused("users-not-given", 4, "prune", deployed.wim, "--drop", "more", "--yes")
    done("prune", deployed.wim, "--drop", "more", "--plan", deployed.plan, "--yes")
    sound(deployed)
    assert {one["action"] for one in done("deploy", deployed.plan, "--json").json["systems"]} == {"keep"}


def test_plan_that_is_none_is_refused(deployed: Yard) -> None:
    """Before anything else is done."""
    deployed.says("nonsense")
    assert wimboot("update", deployed.x64, "--plan", deployed.plan).code == 2
    assert wimboot("prune", deployed.wim, "--drop", 1, "--plan", deployed.base / "none.toml").code == 2
