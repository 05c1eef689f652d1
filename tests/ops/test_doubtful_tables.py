"""`verify --repair` where the pointers do not know the WIM's table: was it rewritten, or is it damaged?"""

from __future__ import annotations

import os
import shutil

import pytest

from judges import every_pointer_leads_home, sound_volume
from mounting import copy_sparse
from repair_rig import EXPLORER, Pair, problem_of, wimlib
from running import done, unchanged, wimboot
from wimboot.formats.blobtable import ROW_SIZE
from wimboot.wim import open_store


def _flip(pair: Pair, at: int, *, bit: int = 1, image: bool = False) -> None:
    """A bit of a row of the blob table: that of a file's data, or that of the image's list of files."""
    with open_store(pair.wim) as store:
        table = store.parts[0].table
        row = table.metadata[0] if image else table.index[pair.sha1(EXPLORER)]
        place = store.header.blob_table.offset + ROW_SIZE * row + at
    with pair.wim.open("r+b") as file:
        os.pwrite(file.fileno(), bytes([os.pread(file.fileno(), 1, place)[0] ^ bit]), place)


@pytest.mark.parametrize(("at", "image"), [
    (0, False),     # its size in the WIM
    (8, False),     # its offset
    (16, False),    # its size
    (24, False),    # in which part it lies: readers pass over the row
    (30, False),    # its hash
    (8, True), (16, True), (20, True), (30, True),
])
def test_no_pointer_is_led_to_a_damaged_table(at: int, image: bool, pair: Pair) -> None:
    """Not one, with a dry run nor without; the copy whose table they know is named, and makes all sound again."""
    _flip(pair, at, image=image)
    with unchanged(pair.volume, pair.wim, pair.spare):
        for extra in ((), ("--quick",), ("--dry-run",)):
            code, document = pair.repair(*extra)
            (refused,) = document["repair"]["refused"]
            assert (code, refused["id"], document["repair"]["relinked"]) == (3, "table-doubtful", 0)
            assert f"`wimboot sync COPY {pair.wim} --full`" in refused["advice"]
            assert ("wimboot relocate" in refused["advice"]) == (at in (24, 30) and not image)
    assert wimboot("verify", "--wim", pair.wim).code == 3
    beside = pair.wim.with_name("copy.wim")
    copy_sparse(pair.wim, beside)   # as damaged as the WIM: no help
    refused = pair.repair("--dry-run")[1]["repair"]["refused"][0]
    assert "sync COPY" in refused["advice"]
    beside.unlink()
    if image:   # a list of files is not mended with a volume
        command = ("verify", pair.volume, "--wim", pair.wim, "--repair", "--spare", pair.spare)
        run = wimboot(*command)
        assert run.code == 3
        assert f"warning: {pair.wim}: its table is not the one that the pointers know" in run.err
        assert (run.err.count("problem: "), "1 problem was found" in run.err) == (1, True), "all that are told count"
        assert f"`wimboot sync {pair.spare} {pair.wim} --full` writes {pair.wim} anew" in run.err
        done("sync", pair.spare, pair.wim, "--full", *(("--force",) if at == 30 else ()))
    else:
        assert pair.repair("--quick", "--spare", pair.spare)[0] == 0
    sound_volume(pair.volume)
    assert every_pointer_leads_home(pair.volume, pair.wim, {}) > 20
    done("verify", pair.volume, "--wim", pair.wim)


def test_a_rewritten_wim_with_damaged_data_is_relinked_but_for_that(pair: Pair) -> None:
    """Most of the data lies elsewhere and is sound: that no damaged table could do."""
    wimlib("optimize", pair.wim, "--recompress", "--compress=LZX", "--chunk-size=32768")
    pair.damage(EXPLORER)
    code, document = pair.repair()
    assert (code, document["repair"]["relinked"] > 20, document["repair"]["refused"]) == (3, True, [])
    assert "blob-damaged" in [one["id"] for one in document["problems"]]


def test_a_table_that_grew_is_no_better_where_it_lacks_what_images_refer_to(pair: Pair) -> None:
    """The pointers know an older table of the WIM, and the present one is damaged in another file's row."""
    done("capture", pair.volume, "--wim", pair.wim, "--name", "second")
    done("relocate", pair.volume, "--wim", pair.wim)
    with pair.edited() as root:
        (root / "Windows/new library.dll").write_bytes(os.urandom(50_000))
    done("capture", pair.volume, "--wim", pair.wim, "--name", "third")
    with open_store(pair.wim) as store:
        tree = store.load_tree(3)
        sha1 = tree.stream(tree.data_stream(tree.find("\\Windows\\new library.dll"))).hash
    data = pair.wim.read_bytes()
    with pair.wim.open("r+b") as file:
        os.pwrite(file.fileno(), bytes([sha1[0] ^ 1]), data.rindex(sha1))
    assert problem_of(pair.verify("--quick")[1])["id"] == "behind"
    with unchanged(pair.volume, pair.wim):
        document = pair.repair()[1]
    assert "it lacks 1 blob that its images refer to" in document["repair"]["refused"][0]["text"]


def test_a_table_that_grew_is_no_better_where_an_entry_is_not_what_it_was(pair: Pair) -> None:
    """Nothing but the data tells such a one from what was stored anew."""
    with pair.edited() as root:
        (root / "Windows/new library.dll").write_bytes(os.urandom(50_000))
    done("update", pair.volume)
    done("restore", pair.volume, "--image", "1")    # so no pointer leads to the new one's data
    shutil.copyfile(pair.wim, pair.spare)
    with pair.edited() as root:
        (root / "Windows/newer library.dll").write_bytes(os.urandom(50_000))
    done("capture", pair.volume, "--wim", pair.wim, "--name", "third")
    with open_store(pair.wim) as store:
        tree, table = store.load_tree(2), store.parts[0].table
        row = table.index[tree.stream(tree.data_stream(tree.find("\\Windows\\new library.dll"))).hash]
        place = store.header.blob_table.offset + ROW_SIZE * row + 8
    with pair.wim.open("r+b") as file:
        os.pwrite(file.fileno(), bytes([os.pread(file.fileno(), 1, place)[0] ^ 1]), place)
    with unchanged(pair.volume, pair.wim):
        document = pair.repair()[1]
    assert document["repair"]["refused"][0]["id"] == "table-doubtful"
    done("verify", "--wim", pair.wim, "--repair", "--spare", pair.spare)
    done("verify", pair.volume, "--wim", pair.wim, "--repair")
    done("verify", "--wim", pair.wim)


def test_a_damaged_entry_that_no_image_knows_has_advice_that_helps(pair: Pair) -> None:
    """A repair brings the data that the images lack; the entry itself goes when the WIM is written anew."""
    _flip(pair, 30)
    command = ("verify", "--wim", pair.wim, "--repair", "--spare", pair.spare, "--json")
    for _ in range(2):
        run = wimboot(*command)
        problem = problem_of(run.json)
        assert (run.code, problem["id"], problem["files"]) == (3, "blob-damaged", 0)
        assert "though no image refers to it" in problem["text"]
        assert "--repair" not in problem["advice"]
    advice = problem["advice"].split("`")[1].split()
    assert advice == ["wimboot", "sync", str(pair.spare), str(pair.wim), "--full"]
    done(*advice[1:])
    done("verify", "--wim", pair.wim)
    done("verify", pair.volume, "--wim", pair.wim)
