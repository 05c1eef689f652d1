"""Which Windows a volume holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

import sample_hives as foreign
from registry_hives import PRODUCTS, edited, sample_hives
from registry_samples import log_pair, sample
from sample_contents import program
from wimboot.errors import HostError
from wimboot.formats.filetime import iso_utc
from wimboot.registry import Hive, RegistryValue, new_hive
from wimboot.windows.identify import (
    Architecture,
    Overlay,
    System,
    UnknownWindows,
    identify,
    image_name,
    looks_like_windows,
)

CONFIG = "\\windows\\system32\\config\\"
KERNEL = "\\windows\\system32\\ntoskrnl.exe"
DRIVER = "\\windows\\system32\\drivers\\"


def volume(files: dict[str, bytes]) -> Callable[[str], bytes | None]:
    """Read from files by path in lower case."""
    return lambda path: files.get(path.lower())


def installed(version: str, **arguments: object) -> dict[str, bytes]:
    """The hives of a sample system as files."""
    hives = sample_hives(version, **arguments)  # type: ignore[arg-type]  # as given
    return {CONFIG + name.lower(): data for name, data in hives.items()}


def known(files: dict[str, bytes]) -> System:
    """The system that must be found."""
    system = identify(volume(files))
    assert system is not None
    return system


@pytest.mark.parametrize(("version", "numbers", "product", "pack"), [
    ("6.1", (6, 1, 7601), "Windows 7 Ultimate", 1),
    ("6.1-embedded", (6, 1, 7601), "Windows Embedded Standard", 1),
    ("6.2", (6, 2, 9200), "Windows 8 Pro", 0), ("6.3", (6, 3, 9600), "Windows 8.1 Pro", 0),
    ("10.0", (10, 0, 19045), "Windows 10 Pro", 0), ("11", (10, 0, 22631), "Windows 11 Pro", 0),
])
def test_each_windows_is_told(version: str, numbers: tuple[int, ...], product: str, pack: int) -> None:
    """Version, build, edition, languages and the rest, from the hives alone."""
    system = known(installed(version))
    assert (system.major, system.minor, system.build) == numbers
    assert (system.product, system.edition, system.service_pack) == (product, PRODUCTS[version][1], pack)
    assert system.architecture is Architecture.AMD64
    assert (system.languages, system.default_language) == (("zh-CN", "en-US"), "zh-CN")
    assert (system.installation_type, system.product_type) == ("Client", "WinNT")
    assert (system.product_suites, system.system_root) == (("Terminal Server",), "C:\\Windows")
    assert system.installed is not None
    assert iso_utc(system.installed).startswith("2015-05-10T12:00:00")
    assert not system.problems


@pytest.mark.parametrize("version", sorted(foreign.PRODUCTS))
def test_hives_made_by_hivexsh_are_read(version: str, tmp_path: Path) -> None:
    """The same facts from hives in which none of our code took part."""
    foreign.write_hive(tmp_path / "SOFTWARE", foreign.software(version, "amd64"))
    system = known({CONFIG + "software": (tmp_path / "SOFTWARE").read_bytes()})
    product, edition, build, _ = foreign.PRODUCTS[version]
    assert (system.product, system.edition, system.build) == (product, edition, build)
    assert system.version == version
    assert system.architecture is Architecture.AMD64


@pytest.mark.parametrize(("name", "architecture", "pack_build", "sets", "overlay"), [
    ("SYSTEM-win7", Architecture.X86, 17514, (1, 2), Overlay.NONE),
    ("SYSTEM-win81", Architecture.AMD64, 0x4000, (1,), Overlay.INBOX),
    ("SYSTEM-win10-dirty", Architecture.AMD64, 15, (1,), Overlay.INBOX),
])
def test_real_system_hives_are_read(name: str, architecture: Architecture, pack_build: int, sets: tuple[int, ...],
                                    overlay: Overlay) -> None:
    """What registry.md found in the real hives, the logs of the dirty one applied."""
    files = {CONFIG + "system": sample(name), DRIVER + "wof.sys": b"MZ", KERNEL: program(version=(6, 3, 9600, 17031))}
    if name.endswith("dirty"):
        files |= {f"{CONFIG}system.{suffix.lower()}": data for suffix, data in log_pair().items()}
    system = known(files)
    assert (system.architecture, system.service_pack_build, system.control_sets) == (architecture, pack_build, sets)
    assert (system.overlay, system.languages, system.default_language) == (overlay, ("en-US",), "en-US")
    assert (system.product_type, system.product_suites) == ("WinNT", ("Terminal Server",))
    assert system.version == "6.3"


@pytest.mark.parametrize(("service", "driver", "overlay"), [
    ("Wof", "wof.sys", Overlay.INBOX), ("WofAdk", "wofadk.sys", Overlay.ADDED), ("Wof", "other.sys", Overlay.NONE),
    (None, "wof.sys", Overlay.NONE),
])
def test_the_overlay_driver_needs_service_and_file(service: str | None, driver: str, overlay: Overlay) -> None:
    """A service without its file, or a file without a service, resolves no pointer."""
    system = known(installed("6.3", wof=service) | {DRIVER + driver: b"MZ"})
    assert system.overlay is overlay
    assert system.has_wof == (overlay is not Overlay.NONE)


def test_an_overlay_service_that_does_not_start_at_boot_is_none() -> None:
    """Start must be 0."""
    files = installed("10.0", wof="Wof") | {DRIVER + "wof.sys": b"MZ"}
    files[CONFIG + "system"] = edited(files[CONFIG + "system"],
                                      {"ControlSet001\\services\\Wof": {"Start": RegistryValue.dword(4)}})
    assert not known(files).has_wof


def test_the_default_control_set_counts() -> None:
    """Select\\Default names the set that the next start uses, and it comes first."""
    files = installed("6.1", control_sets=(2, 1))
    files[CONFIG + "system"] = edited(files[CONFIG + "system"], {
        "ControlSet001\\Control\\Nls\\Language": {"InstallLanguage": RegistryValue.sz("0407")}})
    system = known(files)
    assert system.control_sets == (2, 1)
    assert system.default_language == "zh-CN"


def test_the_mark_of_wimboot_is_told() -> None:
    """Setup\\WimBoot."""
    files = installed("6.1")
    assert not known(files).wimboot
    files[CONFIG + "system"] = edited(files[CONFIG + "system"], {"Setup": {"WimBoot": RegistryValue.dword(1)}})
    assert known(files).wimboot


def test_the_kernel_tells_where_the_hives_do_not() -> None:
    """Damaged hives, or none: version and machine come from the kernel's file, and the damage is told."""
    kernel = program(machine="x86", version=(6, 1, 7601, 18741))
    for hives in ({}, {CONFIG + "software": b"regf", CONFIG + "system": new_hive()[:5000]}):
        system = known({KERNEL: kernel} | hives)
        assert (system.version, system.build) == ("6.1", 7601)
        assert system.architecture is Architecture.X86
        assert len(system.problems) == len(hives)


def test_a_windows_without_a_product_has_a_name() -> None:
    """By its version, 11 by its build; Service Pack 1 of Windows 7 is a build of its own."""
    for version, name, pack in (((6, 1, 7601, 1), "Windows 7", 1), ((6, 1, 7600, 1), "Windows 7", 0),
                                ((6, 2, 9200, 1), "Windows 8", 0), ((6, 3, 9600, 1), "Windows 8.1", 0),
                                ((10, 0, 19045, 1), "Windows 10", 0), ((10, 0, 22000, 1), "Windows 11", 0),
                                ((12, 3, 4, 5), "Windows 12.3", 0)):
        system = known({KERNEL: program(version=version)})
        assert (system.name, system.service_pack, system.product) == (name, pack, "")


@pytest.mark.parametrize(("values", "release"), [
    ({}, ""), ({"ReleaseId": "1709"}, "1709"), ({"ReleaseId": "2009", "DisplayVersion": "22H2"}, "22H2")])
def test_the_release_of_windows_10_is_told(values: dict[str, str], release: str) -> None:
    """The half-year where there is one, else year and month; older ones have none."""
    key = "Microsoft\\Windows NT\\CurrentVersion"
    for version, expected in (("10.0", release), ("6.1", "")):
        files = installed(version)
        software = edited(files[CONFIG + "software"], {key: {name: RegistryValue.sz(text)
                                                             for name, text in values.items()}})
        assert known(files | {CONFIG + "software": software}).release == expected


def test_kernel32_tells_where_the_kernel_does_not() -> None:
    """A kernel that is no program is passed over."""
    system = known({KERNEL: b"zeros", "\\windows\\system32\\kernel32.dll": program(version=(6, 2, 9200, 16384))})
    assert system.version == "6.2"
    assert len(system.problems) == 1


def test_an_unreadable_kernel_is_no_end() -> None:
    """A pointer whose WIM is missing leaves what the hives tell."""
    files = installed("6.1", architecture="")

    def read(path: str) -> bytes | None:
        if path.lower().endswith(".exe"):
            raise HostError(what="reading", where=path, why="the WIM is missing")
        return files.get(path.lower())

    system = identify(read)
    assert system is not None
    assert system.version == "6.1"
    assert "the WIM is missing" in system.problems[0]


def test_no_windows_is_none_and_an_unknown_one_an_error() -> None:
    """An empty volume holds none; hives that tell nothing are damage."""
    assert identify(volume({})) is None
    with pytest.raises(UnknownWindows):
        identify(volume({CONFIG + "system": new_hive()}))
    with pytest.raises(UnknownWindows, match="SOFTWARE"):
        identify(volume({CONFIG + "software": b"junk"}))


def test_logs_that_cannot_be_applied_are_told_and_the_rest_read() -> None:
    """Looking is possible where editing is not."""
    logs = log_pair()
    torn = logs["LOG1"][:600] + b"?" + logs["LOG1"][601:]
    system = known({CONFIG + "system": sample("SYSTEM-win10-dirty"), CONFIG + "system.log1": torn,
                    CONFIG + "system.log2": logs["LOG2"], KERNEL: program(version=(10, 0, 16299, 15))})
    assert system.control_sets == (1,)
    assert "cannot be applied" in system.problems[0]


def test_values_of_other_types_are_as_if_absent() -> None:
    """Somebody's DWORD where a string belongs, and half a number, tell nothing and break nothing."""
    key = "Microsoft\\Windows NT\\CurrentVersion"
    files = installed("6.1")
    files[CONFIG + "software"] = edited(files[CONFIG + "software"], {key: {
        "ProductName": RegistryValue.dword(1), "CSDVersion": RegistryValue.sz("Service Pack"),
        "CurrentBuild": RegistryValue.sz("7601.x"), "EditionID": RegistryValue.binary(b"\0"),
        "BuildLabEx": RegistryValue.sz("..."), "InstallDate": RegistryValue.sz("never")}})
    system = known(files)
    assert (system.product, system.edition, system.build, system.installed) == ("", "", 7601, None)


def test_image_names_are_as_the_original_made_them() -> None:
    """Win_6.1_201505101200."""
    assert image_name(known(installed("6.1")), datetime(2015, 5, 10, 12, 0)) == "Win_6.1_201505101200"  # noqa: DTZ001


def test_a_windows_is_told_by_its_hive_or_its_kernel() -> None:
    """Either is enough; a volume of data has neither."""
    assert looks_like_windows(lambda path: path.endswith("config\\SYSTEM"))
    assert looks_like_windows(lambda path: path.endswith("ntoskrnl.exe"))
    assert not looks_like_windows(lambda path: path == "\\Users")


def test_reading_costs_little() -> None:
    """Only values are decoded, no subtree is walked: the hives stay closed and unedited."""
    files = installed("6.1")
    before = dict(files)
    known(files)
    assert files == before
    with Hive(files[CONFIG + "system"]) as hive:
        assert not hive.edited


def test_texts_can_be_shown_and_recorded() -> None:
    """Control characters and halves of characters in a name do not reach a terminal or the WIM's XML."""
    files = installed("6.1")
    files[CONFIG + "software"] = edited(files[CONFIG + "software"], {"Microsoft\\Windows NT\\CurrentVersion": {
        "ProductName": RegistryValue.sz("Win\x1b[31mdows\ud800 7"), "EditionID": RegistryValue.sz("x" * 999)}})
    system = known(files)
    assert system.product == "Win[31mdows 7"
    assert len(system.edition) == 256


def test_a_damaged_key_leaves_the_rest_known() -> None:
    """A hive that opens but breaks inside: what the other hive says stays, and the damage is told."""
    files = installed("6.1")
    data = files[CONFIG + "software"]
    key = data.index(b"Microsoft") - 76 - 4
    files[CONFIG + "software"] = data[:key + 32] + b"\xf0\xff\xff\x7f" + data[key + 36:]
    system = known(files | {KERNEL: program()})
    assert (system.version, system.product, system.control_sets) == ("6.1", "", (1,))
    assert system.problems[0].startswith("SOFTWARE")


def test_languages_without_a_list_come_from_the_number() -> None:
    """0407 is German also where no language pack is listed; a number that is none is no language."""
    key = "ControlSet001\\Control\\Nls\\Language"
    for text, names in (("0407", ("de-DE",)), ("german", ()), ("ffff", ())):
        files = installed("6.1") | {KERNEL: program()}
        files[CONFIG + "system"] = edited(new_hive(), {key: {"InstallLanguage": RegistryValue.sz(text)}})
        system = known(files)
        assert system.languages == names
        assert system.default_language == "".join(names)


@pytest.mark.parametrize("kind", list(Architecture))
def test_architectures_have_the_numbers_of_windows(kind: Architecture) -> None:
    """PROCESSOR_ARCHITECTURE_* of winnt.h."""
    assert kind.number == {"x86": 0, "arm": 5, "ia64": 6, "amd64": 9, "arm64": 12}[kind.value]


def test_a_hive_of_another_program_tells_nothing() -> None:
    """SOFTWARE without Windows' key, SYSTEM without control sets: the kernel tells."""
    files = {CONFIG + "software": new_hive(), CONFIG + "system": new_hive(), KERNEL: program()}
    assert known(files).version == "6.1"
    files[CONFIG + "system"] = edited(new_hive(), {"ControlSet001": {"a": RegistryValue.dword(1)}})
    assert known(files).control_sets == (1,)
