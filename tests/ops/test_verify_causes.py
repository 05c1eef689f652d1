"""`verify` names what is wrong: one cause, its files, what to do; exit code 3; all of it for programs, too."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from judges import read_wim
from mounting import copy_sparse
from repair_rig import EXPLORER, KERNEL32, USER32, Damage, Pair, problem_of, wimlib
from running import NO_PLACE, done, notes, unchanged, wimboot
from snapshots import snapshot
from wimboot.cli.english import singular

SVI = "System Volume Information"
DAT, NEW, BACKUP = (f"{SVI}/WimOverlay.{kind}" for kind in ("dat", "new", "backup"))


def _shown(path: str) -> str:
    return "\\" + path.replace("/", "\\")


def _optimize(pair: Pair) -> None:
    wimlib("optimize", pair.wim, "--recompress", "--compress=LZX", "--chunk-size=32768")


def _delete(pair: Pair) -> None:
    done("capture", pair.volume, "--wim", pair.wim, "--name", "second")
    wimlib("delete", pair.wim, "1")


def _solid(pair: Pair) -> None:
    wimlib("optimize", pair.wim, "--solid")


def _replace(pair: Pair) -> None:
    _set_guid(pair.wim, uuid.uuid4().bytes)


def _set_guid(wim: Path, guid: bytes) -> None:
    with wim.open("r+b") as file:
        os.pwrite(file.fileno(), guid, 0x18)


def _cut(pair: Pair) -> None:
    os.truncate(pair.wim, pair.wim.stat().st_size - 5000)


def _spoil_header(pair: Pair) -> None:
    with pair.wim.open("r+b") as file:
        os.pwrite(file.fileno(), b"\0" * 208, 0)


def _spoil_table(pair: Pair) -> None:
    data = pair.wim.read_bytes()
    offset = int.from_bytes(data[0x38:0x40], "little")
    with pair.wim.open("r+b") as file:
        os.pwrite(file.fileno(), b"\xff" * 30, offset)


def _lose(pair: Pair) -> None:
    pair.lose(KERNEL32, USER32)


def _older(pair: Pair) -> None:
    """The volume is converted again, with files changed, and the WIM is as before."""
    with pair.edited() as root:
        (root / "Windows/new library.dll").write_bytes(os.urandom(50_000))
    done("convert", pair.volume, "--wim", pair.wim, "--name", "second", *NO_PLACE)
    pair.wim.unlink()
    copy_sparse(pair.spare, pair.wim)


def _grow(pair: Pair) -> None:
    done("capture", pair.volume, "--wim", pair.wim, "--name", "second")


def _take_away(pair: Pair) -> None:
    pair.wim.unlink()


def _damage(pair: Pair) -> None:
    pair.damage(EXPLORER, USER32)


CAUSES: dict[str, tuple[Damage, str, str]] = {
    "optimized by another tool": (_optimize, "wim-rewritten", "was rewritten under the same GUID"),
    "an image deleted by another tool": (_delete, "wim-rewritten", "was rewritten under the same GUID"),
    "made solid": (_solid, "wim-not-backable", "Windows cannot read pointers into"),
    "replaced by another WIM": (_replace, "other-wim", "it was replaced by another WIM"),
    "cut short": (_cut, "wim-truncated", "is cut short"),
    "without its header": (_spoil_header, "not-a-wim", "is not a WIM file"),
    "with a damaged table": (_spoil_table, "wim-damaged", "is damaged"),
    "without some blobs": (_lose, "blob-missing", "does not have the data of 2 of"),
    "an older copy": (_older, "wim-older", "it has 1 image, the volume stands on image 2 and lacks the data of"),
    "grown since": (_grow, "behind", "carry the hash of an older blob table"),
    "missing": (_take_away, "wim-not-found", "was not found; its place to be decided later"),
    "with damaged data": (_damage, "blob-damaged", "damaged in it: 2 blobs"),
}


@pytest.mark.parametrize("kind", CAUSES)
def test_each_cause_has_its_name(kind: str, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """One problem, with a message, advice and the data source; nothing is changed by looking."""
    damage, identifier, text = CAUSES[kind]
    monkeypatch.chdir(pair.volume.parent)
    damage(pair)
    with unchanged(pair.volume, pair.wim):
        run = wimboot("verify", pair.volume, "--json")
        told = wimboot("verify", pair.volume)
    assert (run.code, told.code) == (3, 3)
    problem = problem_of(run.json)
    assert problem["id"] == identifier
    assert text in problem["text"]
    assert problem["advice"]
    assert problem["data_source"] == 0
    (source,) = run.json["sources"]
    assert (source["id"], source["cause"], source["pointers"] > 20) == (0, identifier, True)
    assert singular(problem["text"]) in told.err
    assert problem["advice"] in told.err


@pytest.mark.parametrize("kind", ["cut short", "without its header", "with a damaged table", "replaced by another WIM"])
def test_a_wim_that_was_named_is_diagnosed_as_well(kind: str, pair: Pair) -> None:
    """--wim does not turn the problem into a failure of the check."""
    damage, identifier, _ = CAUSES[kind]
    damage(pair)
    code, document = pair.verify()
    assert (code, problem_of(document)["id"]) == (3, identifier)


def test_damaged_data_names_the_files(pair: Pair) -> None:
    """All of them for programs; --quick leaves the data unread."""
    pair.damage(EXPLORER, USER32)
    code, document = pair.verify()
    problem = problem_of(document)
    assert set(problem["paths"]) >= {_shown(EXPLORER), _shown(USER32)}
    assert set(problem["blobs"]) == {pair.sha1(EXPLORER).hex(), pair.sha1(USER32).hex()}
    assert problem["files"] == len(problem["paths"])
    assert document["sources"][0]["damaged_blobs"] == 2
    assert code == 3
    assert pair.verify("--quick")[0] == 0


def test_twenty_files_are_named_and_all_with_v(pair: Pair) -> None:
    """People are not flooded unless they ask."""
    pair.lose(*_pointers(pair))
    few = wimboot("verify", pair.volume, "--wim", pair.wim, "--quick").err
    every = wimboot("verify", pair.volume, "--wim", pair.wim, "--quick", "-v").err
    names = [line for line in few.splitlines() if line.startswith("    \\")]
    count = pair.verify("--quick")[1]["problems"][0]["files"]
    assert len(names) == 20 < count
    assert f"and {count - 20} more (-v names them all)" in few
    assert sum(line.startswith("    \\") for line in every.splitlines()) == count


def _pointers(pair: Pair) -> list[str]:
    """One name of each file that is a pointer."""
    seen = {pair.sha1(path): path for path, facts in snapshot(pair.volume, contents=False).items() if facts.reparse
            and facts.reparse[:4] == b"\x17\0\0\x80"}
    return list(seen.values())


@pytest.mark.parametrize("named", [False, True])
def test_a_wim_that_was_cut_short_is_told_beside_a_sound_copy(named: bool, pair: Pair) -> None:
    """Which one is damaged, which one is sound, and what makes it whole again, although the pointers lead home."""
    copy = pair.wim.with_name("copy.wim")
    copy_sparse(pair.wim, copy)
    done("relocate", pair.volume, "--wim", pair.wim, "--as", f"mbr:11223344:1048576:\\wim\\{pair.wim.name}")
    _cut(pair)
    command = ("verify", pair.volume, *(("--wim", pair.wim) if named else ()))
    run = wimboot(*command, "--json")
    problem = problem_of(run.json)
    assert (run.code, problem["id"], problem["where"]) == (3, "wim-truncated", str(pair.wim))
    assert "cut short" in problem["text"]
    assert f"`wimboot sync {copy} {pair.wim} --force`" in problem["advice"]
    assert named or f"checked against {copy}" in problem["text"]
    done("sync", copy, pair.wim, "--force")
    done(*command)


def test_a_damaged_copy_of_another_name_is_no_problem_of_the_volume(pair: Pair) -> None:
    """It is told with what mends it, by `info` as what it is."""
    copy = pair.wim.with_name("copy.wim")
    copy.write_bytes(pair.wim.read_bytes()[:-5000])
    done("relocate", pair.volume, "--wim", pair.wim, "--as", f"mbr:11223344:1048576:\\wim\\{pair.wim.name}")
    told = notes("verify", pair.volume)["passed-over"]
    assert told.warning
    assert f"{copy} was passed over: it is cut short" in told.text
    assert f"`wimboot sync {pair.wim} {copy} --force`" in told.text
    assert f"passed over: {copy}: it is cut short" in done("info", pair.volume).out
    copy.unlink()
    with pair.edited() as root:
        (root / "wim").mkdir()
        (root / "wim/copy.wim").write_bytes(pair.wim.read_bytes()[:-5000])
    told = notes("verify", pair.volume)["passed-over"]
    assert f"Put a copy of {pair.wim} in the place of {pair.volume}:/wim/copy.wim." in told.text


def test_a_rewritten_wim_that_lacks_data_says_both(pair: Pair) -> None:
    """The files named are those whose data is gone."""
    with pair.edited() as root:
        (root / "Windows/new library.dll").write_bytes(os.urandom(50_000))
    done("convert", pair.volume, "--wim", pair.wim, "--name", "second", *NO_PLACE)
    wimlib("delete", pair.wim, "2")
    wimlib("optimize", pair.wim, "--recompress", "--compress=LZX", "--chunk-size=32768")
    problem = problem_of(pair.verify("--quick")[1])
    assert (problem["id"], problem["missing"]) == ("wim-rewritten", 1)
    assert problem["paths"] == ["\\Windows\\new library.dll"]
    assert "the data of 1 more is not in it" in problem["text"]
    assert "--spare" in problem["advice"]


def test_a_soft_deletion_is_not_taken_for_an_older_copy(pair: Pair) -> None:
    """The data is there, and no image refers to it; without it, it lay before the end of the WIM as it is."""
    with pair.edited() as root:
        (root / "Windows/new library.dll").write_bytes(os.urandom(50_000))
    done("convert", pair.volume, "--wim", pair.wim, "--name", "second", *NO_PLACE)
    wimlib("delete", pair.wim, "2", "--soft")
    problem = problem_of(pair.verify("--quick")[1])
    assert problem["id"] == "image-missing"
    assert "that image was deleted, and" in problem["text"]
    pair.lose(USER32)
    assert problem_of(pair.verify("--quick")[1])["id"] == "blob-missing"


def test_an_image_number_that_the_wim_lacks_is_told(pair: Pair) -> None:
    """The pointers being sound, the record alone is wrong."""
    with pair.edited() as root:
        for path in (DAT, BACKUP):
            data = bytearray((root / path).read_bytes())
            data[24 + 20] = 9
            (root / path).write_bytes(data)
    problem = problem_of(pair.verify()[1])
    assert problem["id"] == "image-missing"
    assert "stands on image 9" in problem["text"]


def _patch_pointer(pair: Pair, path: str, offset: int, data: bytes) -> None:
    with pair.edited() as root:
        value = bytearray(os.getxattr(root / path, "system.ntfs_reparse_data", follow_symlinks=False))
        value[offset:offset + len(data)] = data
        os.setxattr(root / path, "system.ntfs_reparse_data", bytes(value), follow_symlinks=False)


def test_a_changed_hash_is_told_from_data_that_is_gone(pair: Pair) -> None:
    """The pointer leads to its data all the same; what is advised mends it."""
    sha1 = pair.sha1(EXPLORER)
    with pair.edited() as root:
        value = os.getxattr(root / EXPLORER, "system.ntfs_reparse_data", follow_symlinks=False)
    _patch_pointer(pair, EXPLORER, value.index(sha1), bytes([sha1[0] ^ 1]))
    code, document = pair.verify()
    problem = problem_of(document)
    assert (code, problem["id"], problem["paths"]) == (3, "pointer-hash", [_shown(EXPLORER)])
    assert (document["sources"][0]["wrong_hash"], document["sources"][0]["missing"]) == (1, 0)
    command = problem["advice"].split("`")[1].split()
    assert command[1:] == ["restore", str(pair.volume), "--wim", str(pair.wim), "--image", "1"]
    done(*command[1:])
    pair.assert_whole()


def test_a_damaged_pointer_is_told_from_a_rewritten_wim(pair: Pair) -> None:
    """It knows the present table, and leads elsewhere."""
    _patch_pointer(pair, EXPLORER, 0x58, (12345).to_bytes(8, "little"))
    problem = problem_of(pair.verify()[1])
    assert (problem["id"], problem["paths"]) == ("pointer-wrong", [_shown(EXPLORER)])


def test_a_pointer_to_a_blob_of_another_size_is_told(pair: Pair) -> None:
    """Whatever it says of itself, the file cannot be read."""
    _patch_pointer(pair, EXPLORER, 0x20, pair.sha1(KERNEL32))
    problem = problem_of(pair.verify()[1])
    assert (problem["id"], problem["paths"]) == ("pointer-size", [_shown(EXPLORER)])
    assert "wimboot restore" in problem["advice"]


def test_a_pointer_with_an_unknown_data_source_is_told(pair: Pair) -> None:
    """All of one source in one problem."""
    _patch_pointer(pair, EXPLORER, 0x18, (7).to_bytes(8, "little"))
    _patch_pointer(pair, USER32, 0x18, (7).to_bytes(8, "little"))
    problem = problem_of(pair.verify()[1])
    assert (problem["id"], problem["data_source"]) == ("source-unknown", 7)
    assert set(problem["paths"]) == {_shown(EXPLORER), _shown(USER32)}


def test_what_is_wrong_with_the_overlay_files_is_told(pair: Pair) -> None:
    """A backup that differs, a .new that was left, a table that is damaged or missing; pointers are checked on."""
    with pair.edited() as root:
        whole = (root / DAT).read_bytes()
        (root / BACKUP).write_bytes(whole + b"\0\0")
        (root / NEW).write_bytes(whole)
    assert [one["id"] for one in pair.verify("--quick")[1]["problems"]] == ["overlay-new", "overlay-backup"]
    with pair.edited() as root:
        (root / NEW).unlink()
        (root / BACKUP).write_bytes(whole)
        (root / DAT).write_bytes(b"\0" * 40)
    problem = problem_of(pair.verify("--quick")[1])
    assert (problem["id"], "WimOverlay.backup, which is sound" in problem["advice"]) == ("overlay-damaged", True)
    with pair.edited() as root:
        (root / DAT).unlink()
    assert problem_of(pair.verify("--quick")[1])["id"] == "overlay-missing"
    with pair.edited() as root:
        (root / BACKUP).unlink()
    code, document = pair.verify("--quick")
    assert (code, problem_of(document)["id"], document["pointers"] > 20) == (3, "overlay-missing", True)
    assert "--wim" in problem_of(document)["advice"]


def test_several_data_sources_are_diagnosed_one_by_one(pair: Pair, tmp_path: Path) -> None:
    """One sound, one rewritten: each has its own line, and the sound one none."""
    second = tmp_path / "second.wim"
    with pair.edited() as root:
        (root / "Windows/new library.dll").write_bytes(os.urandom(50_000))
    done("convert", pair.volume, "--wim", second, "--name", "second", *NO_PLACE)
    done("verify", pair.volume)
    wimlib("optimize", second, "--recompress", "--compress=LZX", "--chunk-size=32768")
    document = wimboot("verify", pair.volume, "--json").json
    problem = problem_of(document)
    assert (problem["id"], problem["data_source"], problem["wim"]) == ("wim-rewritten", 1, str(second))
    assert [(source["id"], source["cause"]) for source in document["sources"]] == [(0, None), (1, "wim-rewritten")]
    pair.damage(EXPLORER)
    causes = [source["cause"] for source in wimboot("verify", pair.volume, "--json").json["sources"]]
    assert causes == ["blob-damaged", "wim-rewritten"]


def test_a_damaged_file_table_is_a_problem_of_the_volume(pair: Pair) -> None:
    """Not a failure: the check has found something, and says what."""
    data = pair.volume.read_bytes()
    name = "explorer.exe".encode("utf-16-le")
    at = next(place for place in _places(data, name) if data[place // 1024 * 1024:][:4] == b"FILE")
    with pair.volume.open("r+b") as file:
        os.pwrite(file.fileno(), b"\xff\xff", at // 1024 * 1024 + 510)
    run = wimboot("verify", pair.volume, "--wim", pair.wim, "--json")
    assert (run.code, problem_of(run.json)["id"]) == (3, "file-table-damaged")


def _places(data: bytes, part: bytes) -> list[int]:
    found, at = [], data.find(part)
    while at >= 0:
        found.append(at)
        at = data.find(part, at + 1)
    return found


def test_a_wim_by_itself_names_the_files_of_its_images(pair: Pair) -> None:
    """Damaged and missing data, by image and path."""
    pair.damage(EXPLORER)
    pair.lose(USER32)
    run = wimboot("verify", "--wim", pair.wim, "--json")
    assert run.code == 3
    missing, damaged = run.json["problems"]
    assert (missing["id"], missing["image"], missing["paths"]) == ("blob-missing", 1, [_shown(USER32)])
    assert damaged["id"] == "blob-damaged"
    assert f"image 1: {_shown(EXPLORER)}" in damaged["paths"]


def test_the_blobs_of_a_sound_pair_are_all_read(pair: Pair) -> None:
    """A check that finds nothing has looked at every pointer's data."""
    code, document = pair.verify()
    assert (code, document["sound"], document["problems"]) == (0, True, [])
    wanted = {pair.sha1(path) for path in (KERNEL32, USER32, EXPLORER)}
    assert wanted <= set(read_wim(pair.wim).blobs)
    assert document["blobs"] > 20


def test_the_wim_that_was_read_is_named(pair: Pair) -> None:
    """Where there are others of its name or GUID, which were passed over, and why."""
    newer = pair.wim.with_name("newer.wim")
    copy_sparse(pair.wim, newer)
    assert f"pointers into {pair.wim}, " in done("verify", pair.volume, "--wim", pair.wim).out
    done("capture", pair.volume, "--wim", newer, "--name", "second")
    run = done("verify", pair.volume, "--quick")
    assert f"pointers into {pair.wim}." in run.out
    assert f"The WIM that is used is {pair.wim}; {newer} was passed over: its table is not the one" in run.err
    (source,) = done("verify", pair.volume, "--quick", "--json").json["sources"]
    assert (source["wim"], [over["wim"] for over in source["passed_over"]]) == (str(pair.wim), [str(newer)])
    assert not done("verify", pair.volume, "--wim", pair.wim, "--quick", "--json").json["sources"][0]["passed_over"]
