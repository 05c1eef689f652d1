"""A WIM named by a symbolic link: all that belongs to it lies beside the file, where the next run looks for it."""

from __future__ import annotations

from pathlib import Path

from converted import fresh_volume
from judges import every_pointer_leads_home, sound_wim
from running import NO_PLACE, done, refused
from wimboot.events import silent
from wimboot.ops.capture import capture
from wimboot.ops.options import CaptureOptions, TargetOptions
from wimboot.storage import Folder, HostFolder


def test_a_linked_wim_is_written_where_it_lies(small_volume: Path, tmp_path: Path) -> None:
    """No folder but its own is opened for it, new or grown; the link stays one."""
    data, links = tmp_path / "data", tmp_path / "links"
    data.mkdir()
    links.mkdir()
    link = links / "named.wim"
    link.symlink_to("../data/store.wim")
    asked: set[Path] = set()

    def folders(path: Path) -> Folder:
        asked.add(path)
        return HostFolder(path)

    for _ in range(2):
        capture(CaptureOptions(target=TargetOptions(place=str(small_volume), folders=folders), wim=link), silent)
    assert asked == {small_volume.parent, data}
    assert link.is_symlink()
    assert [path.name for path in data.iterdir()] == ["store.wim"]
    assert list(links.iterdir()) == [link]
    sound_wim(data / "store.wim")


def test_every_verb_follows_the_link(small_volume: Path, tmp_path: Path) -> None:
    """Convert, verify, restore, apply and export."""
    (tmp_path / "data").mkdir()
    link, export = tmp_path / "named.wim", tmp_path / "export.wim"
    link.symlink_to(tmp_path / "data/store.wim")
    export.symlink_to(tmp_path / "data/export.wim")
    done("convert", small_volume, "--wim", link, *NO_PLACE)
    done("verify", small_volume, "--wim", link)
    done("restore", small_volume, "--wim", link)
    fresh = fresh_volume(tmp_path / "fresh.img", 24 << 20)
    done("apply", link, "1", fresh, "--export", export, *NO_PLACE)
    assert every_pointer_leads_home(fresh, tmp_path / "data/export.wim", {}) > 20
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["export.wim", "store.wim"]


def test_links_that_lead_in_a_circle_are_refused(small_volume: Path, tmp_path: Path) -> None:
    """With an error that says so."""
    link = tmp_path / "named.wim"
    link.symlink_to(link)
    refused("host", 1, "capture", small_volume, "--wim", link, watching=(small_volume,))
