"""`verify --repair` of WimOverlay.dat: mended from its backup or .new, or built anew from the pointers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mounting import mounted
from repair_rig import EXPLORER, USER32, Pair, problem_of
from running import NO_PLACE, done, notes, refused, unchanged, wimboot

SVI = "System Volume Information"
DAT, NEW, BACKUP = (f"{SVI}/WimOverlay.{kind}" for kind in ("dat", "new", "backup"))
PLACE, OTHER_PLACE = (f"mbr:5cbea03e:1048576:\\{folder}\\store.wim" for folder in ("wimboot", "elsewhere"))


def test_overlay_files_are_mended_from_each_other(pair: Pair) -> None:
    """The table from its backup or from .new, the backup from the table; a .new that was left over goes."""
    with pair.edited() as root:
        whole = (root / DAT).read_bytes()
    states: list[dict[str, bytes | None]] = [
        {DAT: None}, {DAT: b"\0" * 40}, {BACKUP: None}, {BACKUP: b"rubbish"}, {NEW: whole},
        {DAT: None, BACKUP: None, NEW: whole}, {DAT: b"", BACKUP: whole[:-5], NEW: whole},
    ]
    for state in states:
        with pair.edited() as root:
            for path, data in state.items():
                if data is None:
                    (root / path).unlink()
                else:
                    (root / path).write_bytes(data)
        assert pair.verify("--quick")[0] == 3, state
        with unchanged(pair.wim):
            code, document = pair.repair("--quick")
        assert (code, document["repair"]["overlay"], document["repair"]["relinked"]) == (0, True, 0), state
        with pair.edited() as root:
            assert (root / DAT).read_bytes() == (root / BACKUP).read_bytes() == whole
            assert not (root / NEW).exists()
    pair.assert_whole()


def test_a_missing_overlay_is_built_anew_from_the_pointers(pair: Pair) -> None:
    """Once the WIM is named and its place known; the ids are those that the pointers have."""
    with pair.edited() as root:
        (root / DAT).unlink()
        (root / BACKUP).unlink()
    with unchanged(pair.volume, pair.wim):
        told = wimboot("verify", pair.volume, "--wim", pair.wim, "--repair")
        assert (told.code, "--wim-place" in told.err) == (4, True)
        assert wimboot("verify", pair.volume, "--repair").code == 3
    code, document = pair.repair("--wim-place", PLACE)
    assert (code, document["repair"]["overlay"]) == (0, True)
    (source,) = document["sources"]
    assert (source["id"], source["place"], source["image"]) == (0, PLACE, 1)
    pair.assert_whole()


def test_each_verb_says_how_to_make_a_lost_overlay_anew(pair: Pair) -> None:
    """A volume of pointers is none of ordinary files, though it names no WIM; `convert` is no way out."""
    with pair.edited() as root:
        (root / DAT).unlink()
    told = refused("overlay-missing", 4, "status", pair.volume, watching=(pair.volume,))
    assert f"`wimboot verify {pair.volume} --repair` takes it from" in told.err
    with pair.edited() as root:
        (root / BACKUP).unlink()
    mend = f"`wimboot verify {pair.volume} --repair --wim WIM`"
    for command in (
        ("status", pair.volume), ("update", pair.volume), ("restore", pair.volume), ("rehydrate", pair.volume),
        ("relocate", pair.volume, "--wim", pair.wim), ("convert", pair.volume, "--wim", pair.wim, *NO_PLACE),
    ):
        assert mend in refused("overlay-missing", 4, *command, watching=(pair.volume, pair.wim)).err
    assert mend in notes("info", pair.volume)["overlay-missing"].text
    assert mend in problem_of(pair.verify()[1])["advice"]
    read = wimboot("extract", pair.volume, "\\Windows\\explorer.exe", pair.volume.with_name("out"))
    assert (read.code, f"`wimboot verify {pair.volume}` tells" in read.err) == (1, True)
    assert "--wim-place" in wimboot("verify", pair.volume, "--wim", pair.wim, "--repair").err
    done("verify", pair.volume, "--wim", pair.wim, "--repair", "--wim-place", "later")
    done("status", pair.volume)


def test_an_overlay_is_not_built_for_a_wim_that_is_not_theirs(pair: Pair, small_volume: Path, tmp_path: Path) -> None:
    """It shares much with the right one, but not all; nothing is written."""
    with pair.edited() as root:
        (root / DAT).unlink()
        (root / BACKUP).unlink()
    other = tmp_path / "away" / "other.wim"
    _capture_less(small_volume, other)
    with unchanged(pair.volume, other):
        code, document = pair.repair("--wim-place", PLACE, wim=other)
    assert (code, problem_of(document)["id"]) == (3, "overlay-missing")


def _capture_less(volume: Path, wim: Path) -> None:
    with mounted(volume, write=True) as root:
        (root / EXPLORER).unlink()
        (root / "bootmgr").write_bytes(os.urandom(40_000))
        for path in sorted((root / "Windows").rglob("*.exe"))[:3]:
            path.write_bytes(os.urandom(70_000))
    done("capture", volume, "--wim", wim)


@pytest.mark.parametrize(("options", "place"), [((), PLACE), (("--wim-place", OTHER_PLACE), OTHER_PLACE)])
def test_an_unknown_data_source_is_entered(options: tuple[str, ...], place: str, pair: Pair) -> None:
    """Two pointers name one that the table lacks; they know the WIM's table, so it is theirs. Its place is that which
    the WIM has already, unless another is said; this host's file system is none of Windows.
    """
    with pair.edited() as root:
        for path in (EXPLORER, USER32):
            value = bytearray(os.getxattr(root / path, "system.ntfs_reparse_data", follow_symlinks=False))
            value[0x18:0x20] = (7).to_bytes(8, "little")
            os.setxattr(root / path, "system.ntfs_reparse_data", bytes(value), follow_symlinks=False)
    assert wimboot("verify", pair.volume, "--repair").code == 3     # no WIM was named
    done("relocate", pair.volume, "--wim", pair.wim, "--as", PLACE)
    code, document = pair.repair(*options)
    assert (code, [one["id"] for one in document["sources"]]) == (0, [0, 7])
    assert [one["place"] for one in document["sources"]] == [PLACE, place]
    pair.assert_whole()


def test_an_overlay_is_built_for_a_wim_that_grew_and_lost_something(pair: Pair) -> None:
    """Most pointers lead just where it has their data; what is missing is told."""
    done("capture", pair.volume, "--wim", pair.wim, "--name", "second")
    pair.lose(EXPLORER)
    with pair.edited() as root:
        (root / DAT).unlink()
        (root / BACKUP).unlink()
    code, document = pair.repair("--wim-place", PLACE)
    assert (code, problem_of(document)["id"], document["repair"]["overlay"]) == (3, "blob-missing", True)
    assert pair.repair("--spare", pair.spare)[0] == 0
    pair.assert_whole()
