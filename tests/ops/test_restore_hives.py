"""Registry hives and their logs: after a restore Windows loads what the image holds; no newer log is replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sample_hives
from judges import run, sound_volume
from mounting import mounted
from registry_hives import edited
from registry_samples import log_pair, sample
from running import NO_PLACE, done
from wimboot.registry import RegistryValue
from wimboot.registry.files import load

GUID = "{6cced2ec-6e01-11de-8bed-001e0bcd1824}"
MICROSOFTS = r"""[ExclusionList]
\Users\*\NTUSER.DAT*.TM.blf
\Users\*\NTUSER.DAT*.regtrans-ms
\Data\*.LOG1
\Data\*.LOG2
\Windows\System32\config\TxR
[PrepopulateList]
\Data
\Users\*\NTUSER.DAT
"""
"""As the lists that come with Windows have it, for hives of our own too."""
CONFIG = "Windows/System32/config"


def older() -> bytes:
    """A hive."""
    return sample_hives.empty_hive()


def marked(data: bytes) -> bytes:
    """The hive as it is in a system of pointers."""
    return edited(data, {"Setup": {"WimBoot": RegistryValue.dword(1)}})


def newer() -> bytes:
    """The same at a later time: another sequence, another time stamp."""
    data = bytearray(older())
    data[12:20] = (0x01D5000000000000).to_bytes(8, "little")
    return bytes(data)


def put(volume: Path, files: dict[str, bytes | None]) -> None:
    """Write files; None removes one."""
    with mounted(volume, write=True) as root:
        for name, data in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).unlink(missing_ok=True)
            if data is not None:
                (root / name).write_bytes(data)


def files(volume: Path, *folders: str) -> dict[str, bytes]:
    """Every file below these folders, with its contents."""
    with mounted(volume) as root:
        return {path.relative_to(root).as_posix(): path.read_bytes()
                for folder in folders for path in (root / folder).rglob("*") if path.is_file()}


class Restoring:
    """A volume with hives in it, captured; to be changed and restored."""

    def __init__(self, volume: Path, folder: Path, hives: dict[str, bytes | None]) -> None:
        self.volume, self.wim, self.list = volume, folder / "s.wim", folder / "my.ini"
        self.list.write_text(MICROSOFTS, encoding="utf-8")
        put(volume, hives)
        done("convert", volume, "--wim", self.wim, "--config", self.list, *NO_PLACE)

    def restore(self, *options: object) -> dict[str, Any]:
        """Restore, with the same list."""
        return done("restore", self.volume, "--wim", self.wim, "--config", self.list, *options, "--json").json


def test_real_hive_and_its_logs_are_the_images(sample_volume: Path, tmp_path: Path) -> None:
    """A dirty hive of Windows 10 with two logs that was replaced by another one, whose logs are newer."""
    volume, wim = sample_volume, tmp_path / "s.wim"
    dirty, logs = sample("SYSTEM-win10-dirty"), log_pair()
    system = f"{CONFIG}/SYSTEM"
    put(volume, {system: dirty, **{f"{system}.{suffix}": data for suffix, data in logs.items()}})
    before = files(volume, CONFIG)
    done("capture", volume, "--wim", wim)
    put(volume, {system: newer(), f"{system}.LOG1": logs["LOG2"], f"{system}.LOG2": None,
                 f"{system}.LOG": logs["LOG1"]})
    done("restore", volume, "--wim", wim, "--image", "1", "--full")
    assert files(volume, CONFIG) == before
    loaded = load(lambda path: before.get(path.lstrip("\\").replace("\\", "/")), f"\\{system}".replace("/", "\\"))
    assert loaded is not None
    assert loaded.applied_entries > 0
    sound_volume(volume)


def test_logs_that_the_image_excludes_go_with_a_replaced_hive(small_volume: Path, tmp_path: Path) -> None:
    """A newer log would be replayed into the older hive, so the list that spares it does not count."""
    stage = Restoring(small_volume, tmp_path, {
        "Data/my.hve": older(), "Users/Public/NTUSER.DAT": older(), f"{CONFIG}/SYSTEM": older(),
        f"{CONFIG}/COMPONENTS": older()})
    logs = {"Data/my.hve.LOG1": b"log", "Data/MY.HVE.LOG2": b"log",
            f"Users/Public/NTUSER.DAT{GUID}.TM.blf": b"blf",
            f"Users/Public/ntuser.dat{GUID}.TMContainer00000000000000000001.regtrans-ms": b"container",
            f"{CONFIG}/TxR/{GUID}.TxR.0.regtrans-ms": b"container"}
    put(small_volume, {"Data/my.hve": newer(), "Users/Public/NTUSER.DAT": newer(), f"{CONFIG}/SYSTEM": newer(), **logs,
                       f"{CONFIG}/TxR/other.txt": b"other"})
    told = stage.restore("--dry-run")
    assert {name.replace("/", "\\") for name in logs} <= {each["path"].lstrip("\\") for each in told["paths"]}
    stage.restore()
    now = files(small_volume, "Data", "Users/Public", CONFIG)
    assert not set(logs) & set(now)
    assert now["Data/my.hve"] == now["Users/Public/NTUSER.DAT"] == older()
    assert now[f"{CONFIG}/SYSTEM"] == marked(older())
    assert now[f"{CONFIG}/TxR/other.txt"] == b"other"   # its folder is excluded
    sound_volume(small_volume)
    again = stage.restore()
    assert (again["removed"], again["added"], again["changed"]) == (0, 0, 0)


def test_logs_of_hives_that_stay_are_left_alone(small_volume: Path, tmp_path: Path) -> None:
    """A clean hive that equals the image's; and a file that is called like one but is none."""
    stage = Restoring(small_volume, tmp_path, {"Data/my.hve": older(), "Data/setup": b"text"})
    logs = {"Data/my.hve.LOG1": b"log", "Data/setup.LOG1": b"what setup did",
            f"Users/Public/NTUSER.DAT{GUID}.TM.blf": b"blf"}
    put(small_volume, {**logs, "Data/setup": b"other text"})
    stage.restore()
    now = files(small_volume, "Data", "Users/Public")
    assert {name: now[name] for name in logs} == logs
    assert now["Data/setup"] == b"text"


def test_logs_that_change_an_equal_hive_go(sample_volume: Path, tmp_path: Path) -> None:
    """Windows 8 and later write the log first and the hive later: the file is the image's, what is loaded is not."""
    volume, wim, listing = sample_volume, tmp_path / "s.wim", tmp_path / "my.ini"
    listing.write_text(MICROSOFTS, encoding="utf-8")
    put(volume, {"Data/my.hve": sample("SYSTEM-win10-dirty"), "Data/other.hve": sample("SYSTEM-win7")})
    done("capture", volume, "--wim", wim, "--config", listing)
    logs = log_pair()
    put(volume, {f"Data/{name}.hve.{suffix}": data for name in ("my", "other") for suffix, data in logs.items()})
    done("restore", volume, "--wim", wim, "--image", "1", "--full", "--config", listing)
    now = files(volume, "Data")
    loaded = load(lambda path: now.get(path.lstrip("\\").replace("\\", "/")), "\\Data\\my.hve")
    assert loaded is not None
    assert loaded.data == sample("SYSTEM-win10-dirty")
    assert {"Data/other.hve.LOG1", "Data/other.hve.LOG2"} <= set(now)   # that one is clean: its logs say nothing


def test_hive_that_the_image_does_not_have_takes_its_logs_along(small_volume: Path, tmp_path: Path) -> None:
    """A profile made since goes whole, though the list spares a part of it."""
    stage = Restoring(small_volume, tmp_path, {"Data/my.hve": older()})
    put(small_volume, {"Users/new/NTUSER.DAT": newer(), "Users/new/NTUSER.DAT.LOG1": b"log",
                       f"Users/new/NTUSER.DAT{GUID}.TM.blf": b"blf"})
    stage.restore()
    assert not files(small_volume, "Users/new")
    with mounted(small_volume) as root:
        assert not (root / "Users/new").exists()


def test_hive_that_is_made_again_finds_no_old_logs(small_volume: Path, tmp_path: Path) -> None:
    """It was deleted, its logs were not."""
    stage = Restoring(small_volume, tmp_path, {"Data/my.hve": older()})
    put(small_volume, {"Data/my.hve": None, "Data/my.hve.LOG1": b"log"})
    stage.restore()
    assert files(small_volume, "Data") == {"Data/my.hve": older()}


def test_kept_hive_keeps_its_logs(small_volume: Path, tmp_path: Path) -> None:
    """Those that it has stay, those that it lacks are not made, whatever the image says."""
    hive = f"{CONFIG}/SOFTWARE"
    stage = Restoring(small_volume, tmp_path, {hive: older(), f"{hive}.LOG1": b"image 1", f"{hive}.LOG2": b"image 2"})
    put(small_volume, {hive: newer(), f"{hive}.LOG1": b"mine", f"{hive}.LOG2": None, f"{hive}{GUID}.TM.blf": b"mine"})
    told = stage.restore("--keep", "\\Windows\\System32\\config\\SOFTWARE")
    now = files(small_volume, CONFIG)
    assert (now[hive], now[f"{hive}.LOG1"], now[f"{hive}{GUID}.TM.blf"]) == (newer(), b"mine", b"mine")
    assert f"{hive}.LOG2" not in now
    assert "\\Windows\\System32\\config\\SOFTWARE.LOG1" in told["kept"]


def test_log_is_not_kept_without_its_hive(small_volume: Path, tmp_path: Path) -> None:
    """--keep for the log alone would damage the hive; that is said."""
    hive = f"{CONFIG}/SOFTWARE"
    stage = Restoring(small_volume, tmp_path, {hive: older(), f"{hive}.LOG1": b"image 1"})
    put(small_volume, {hive: newer(), f"{hive}.LOG1": b"mine", f"{hive}.LOG2": b"mine"})
    told = done("restore", stage.volume, "--wim", stage.wim, "--keep", "SOFTWARE.LOG?")
    now = files(small_volume, CONFIG)
    assert (now[hive], now[f"{hive}.LOG1"]) == (older(), b"image 1")
    assert f"{hive}.LOG2" not in now
    assert "2 registry logs" in told.err


def test_images_of_others_are_restored_without_newer_logs(small_volume: Path, tmp_path: Path) -> None:
    """wimlib captures by Microsoft's list, which leaves every log out; the volume has them."""
    hive, listing, wim = f"{CONFIG}/SOFTWARE", tmp_path / "wimlib.ini", tmp_path / "s.wim"
    put(small_volume, {hive: older()})
    listing.write_text("[ExclusionList]\n\\Windows\\System32\\config\\*.LOG*\n\\Windows\\System32\\config\\*.blf\n"
                       "\\System Volume Information\n", encoding="utf-8")
    run("wimlib-imagex", "capture", small_volume, wim, "--wimboot", f"--config={listing}")
    put(small_volume, {hive: newer(), f"{hive}.LOG1": b"newer log", f"{hive}{GUID}.TM.blf": b"blf"})
    done("restore", small_volume, "--wim", wim, "--image", "1", "--full", "--config", listing, "--yes")
    now = files(small_volume, CONFIG)
    assert now[hive] == older()
    assert not {name for name in now if name.startswith(hive) and name != hive}


@pytest.mark.parametrize("name", ["SYSTEM.LOG3", "SYSTEM.LOG1.txt", f"{GUID}.TM.blf", "SYSTEM{1}.TM.blf"])
def test_other_names_are_no_logs(name: str, small_volume: Path, tmp_path: Path) -> None:
    """What only resembles a log and is excluded stays, beside a replaced hive too."""
    stage = Restoring(small_volume, tmp_path, {f"{CONFIG}/SYSTEM": older()})
    stage.list.write_text(f"[ExclusionList]\n\\Windows\\System32\\config\\{name}\n", encoding="utf-8")
    put(small_volume, {f"{CONFIG}/SYSTEM": newer(), f"{CONFIG}/{name}": b"stays"})
    stage.restore()
    now = files(small_volume, CONFIG)
    assert (now[f"{CONFIG}/SYSTEM"], now[f"{CONFIG}/{name}"]) == (marked(older()), b"stays")
