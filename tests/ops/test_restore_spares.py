"""What a restore must not take: files that no image ever held, and those that were to be kept."""

from __future__ import annotations

import os
from pathlib import Path

import build
from converted import Converted
from judges import run
from mounting import mounted
from running import NO_PLACE, done, refused, wimboot


def test_what_the_captures_list_left_out_stays_whatever_list_is_used_now(small_volume: Path, tmp_path: Path) -> None:
    """A folder that was excluded by --config is in no image, so a restore without that list leaves it alone."""
    with mounted(small_volume, write=True) as root:
        (root / "BigData").mkdir()
        (root / "BigData" / "only.txt").write_bytes(b"precious")
    config, wim = tmp_path / "my.ini", tmp_path / "s.wim"
    config.write_text("[ExclusionList]\n\\BigData\n\\Users\\*.tmp\n", encoding="utf-8")
    done("convert", small_volume, "--wim", wim, "--config", config, *NO_PLACE)
    config.unlink()
    done("restore", small_volume, "--wim", wim)
    with mounted(small_volume) as root:
        assert (root / "BigData" / "only.txt").read_bytes() == b"precious"


def test_formatting_does_not_go_with_keeping(converted: Converted) -> None:
    """--keep would promise what --format breaks."""
    refused("keep-and-format", 2, "restore", converted.volume, "--wim", converted.wim, "--format", "--yes",
            "--keep", "\\Users\\*", watching=(converted.volume, converted.wim))


def test_formatting_does_not_destroy_encrypted_files(sample_volume: Path, tmp_path: Path) -> None:
    """No image holds them."""
    wim = tmp_path / "s.wim"
    done("convert", sample_volume, "--wim", wim, *NO_PLACE)
    refused("encrypted-would-go", 4, "restore", sample_volume, "--wim", wim, "--format", "--yes",
            watching=(sample_volume, wim))


def test_a_glob_that_keeps_nothing_is_a_slip(converted: Converted) -> None:
    """A typing error must not cost the files that were to be kept."""
    refused("nothing-kept", 2, "restore", converted.volume, "--wim", converted.wim, "--keep", "\\Usrs\\*",
            watching=(converted.volume,))


def test_a_glob_may_end_in_a_slash(converted: Converted) -> None:
    """As people write folders."""
    with mounted(converted.volume, write=True) as root:
        (root / "Users" / "new").mkdir(parents=True)
        (root / "Users" / "new" / "mine.txt").write_bytes(b"mine")
    done("restore", converted.volume, "--wim", converted.wim, "--keep", "/Users/new/")
    with mounted(converted.volume) as root:
        assert (root / "Users" / "new" / "mine.txt").read_bytes() == b"mine"


def test_keeping_one_name_keeps_the_data_of_a_hard_link(converted: Converted) -> None:
    """Its other name shares the data, so that one is left alone too."""
    with mounted(converted.volume, write=True) as root:
        target = root / "Users" / "shared.txt"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(b"mine")
        (root / "Kept").mkdir()
        (root / "Kept" / "mine.txt").hardlink_to(target)
    done("restore", converted.volume, "--wim", converted.wim, "--keep", "\\Kept\\*", "--keep", "\\Kept")
    with mounted(converted.volume) as root:
        assert (root / "Kept" / "mine.txt").read_bytes() == b"mine"
        assert (root / "Users" / "shared.txt").read_bytes() == b"mine"


def test_what_the_present_image_was_made_without_outlives_a_restore_to_an_older_one(
    converted: Converted, tmp_path: Path
) -> None:
    """The list of the image that the volume stands on left it out, so no image holds it; the older image's did not."""
    config = tmp_path / "lists.ini"
    config.write_text("[ExclusionList]\n\\Pictures\n")
    with mounted(converted.volume, write=True) as root:
        (root / "Pictures").mkdir()
        (root / "Pictures" / "mine.jpg").write_bytes(b"mine" * 5000)
        (root / "added.bin").write_bytes(b"added" * 5000)
    done("update", converted.volume, "--config", config, "--name", "second")
    done("restore", converted.volume, "--image", "first")
    with mounted(converted.volume) as root:
        assert (root / "Pictures" / "mine.jpg").read_bytes() == b"mine" * 5000
        assert not os.path.lexists(root / "added.bin")


def test_a_foreign_volume_is_not_restored_by_mistake(converted: Converted, tmp_path: Path) -> None:
    """Most of it would go, and nothing says that it ever stood on this WIM."""
    other = tmp_path / "photos.img"
    build.make_volume(other, size=64 << 20)
    with mounted(other, write=True) as root:
        for number in range(10):
            (root / f"album {number}.txt").write_bytes(b"photo")
    command = ("restore", other, "--wim", converted.wim, "--image", "1", "--full")
    refused("foreign-volume", 4, *command, watching=(other,))
    done(*command, "--yes")


def test_an_image_number_that_moved_is_noticed(converted: Converted, tmp_path: Path) -> None:
    """Deleting an image renumbers the others; the volume's own number then means another one."""
    second = tmp_path / "second.img"
    build.build_system(second, size=48 << 20, files=8, version="10.0", seed=99)
    done("convert", second, "--wim", converted.wim, "--wim-place", "later")
    run("wimlib-imagex", "delete", converted.wim, "1", "--soft")
    told = wimboot("restore", converted.volume, "--wim", converted.wim, "--json")
    assert told.code == 4
    assert told.json["error"]["id"] == "image-unsure"
    assert "such as \\" in told.json["error"]["message"]
