"""The composed lists: what stays real on which Windows, what is never captured, and why, by name."""

from __future__ import annotations

import pytest

from plain_tree import tree_of
from selection_twin import explain_path
from wimboot.formats.ini import CaptureList
from wimboot.tree.selection import ListKind, Lists, select
from wimboot.windows.lists import SYSTEM_LIST, built_in, compose, needs_loader_set
from wimboot.windows.whyreal import WhyReal

LOADER_READS = [
    "\\Windows\\System32\\ntoskrnl.exe", "\\Windows\\System32\\hal.dll", "\\Windows\\System32\\kdcom.dll",
    "\\Windows\\System32\\bootvid.dll", "\\Windows\\System32\\ci.dll", "\\Windows\\System32\\pshed.dll",
    "\\Windows\\System32\\mcupdate_GenuineIntel.dll", "\\Windows\\System32\\apisetschema.dll",
    "\\Windows\\System32\\api-ms-win-core-file-l1-1-0.dll", "\\Windows\\System32\\KernelBase.dll",
    "\\Windows\\System32\\clfs.sys", "\\Windows\\System32\\CodeIntegrity\\driver.stl",
    "\\Windows\\System32\\drivers\\ntfs.sys", "\\Windows\\System32\\drivers\\fltMgr.sys",
    "\\Windows\\System32\\C_1252.NLS", "\\Windows\\System32\\KBDUS.DLL", "\\Windows\\AppPatch\\drvmain.sdb",
    "\\Windows\\Fonts\\vgaoem.fon", "\\Windows\\Fonts\\vga936.fon", "\\Windows\\INF\\errata.inf",
    "\\Windows\\System32\\CatRoot\\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}\\ntpe.cat",
    "\\Windows\\Boot\\EFI\\bootmgfw.efi", "\\Windows\\System32\\en-US\\bootres.dll.mui",
    "\\Windows\\System32\\securekernel.exe", "\\Windows\\System32\\hvloader.dll",
]
ALWAYS_REAL = [
    "\\bootmgr", "\\BOOTNXT", "\\Boot\\BCD", "\\EFI\\Microsoft\\Boot\\BCD", "\\grldr", "\\menu.lst",
    "\\Windows\\System32\\config\\SYSTEM", "\\windows\\system32\\CONFIG\\software.log1",
    "\\Windows\\System32\\winload.exe", "\\Windows\\System32\\Boot\\winload.efi",
    "\\Windows\\System32\\winresume.exe", "\\Windows\\System32\\drivers\\wof.sys",
    "\\Windows\\System32\\drivers\\WofAdk.sys", "\\hiberfil.sys", "\\pagefile.sys", "\\swapfile.sys",
    "\\System Volume Information\\WimOverlay.dat", "\\x64\\win7.vhd", "\\store.WIM", "\\vm.vhdx",
    "\\Windows\\bootstat.dat",
]
EMPTY = CaptureList()


def _real(path: str, lists: Lists) -> str:
    rule = explain_path(path, lists).real_by
    return "" if rule is None else rule.where


@pytest.mark.parametrize("config", [None, EMPTY])
@pytest.mark.parametrize("version", [None, (6, 1), (6, 2, 9200), (6, 3), (10, 0, 19045)])
def test_nothing_makes_the_boot_files_pointers(config: CaptureList | None, version: tuple[int, ...] | None) -> None:
    """What holds for every system holds with an empty list and on every Windows."""
    lists = compose(config, version=version, has_overlay_driver=True)
    assert [path for path in ALWAYS_REAL if not _real(path, lists)] == []


@pytest.mark.parametrize(("version", "driver"), [((6, 1), False), ((6, 1), True), ((6, 2), False), ((6, 3), False),
                                                 (None, True)])
def test_the_loader_set_is_real_where_the_loader_cannot_follow(version: tuple[int, ...] | None, driver: bool) -> None:
    """On 7, 8 and 8.1 without Update a user's list only adds to it."""
    assert needs_loader_set(version, has_overlay_driver=driver)
    lists = compose(EMPTY, version=version, has_overlay_driver=driver)
    missing = [path for path in LOADER_READS if "loader" not in _real(path, lists)]
    assert missing == []


@pytest.mark.parametrize("version", [(6, 3), (10, 0), (11, 0)])
def test_without_a_list_the_full_set_is_real_everywhere(version: tuple[int, ...]) -> None:
    """The built-in default is the safest one, on newer Windows too."""
    lists = compose(None, version=version, has_overlay_driver=True)
    assert [path for path in LOADER_READS if "default" not in _real(path, lists)] == []


def test_a_chosen_list_decides_on_newer_windows() -> None:
    """8.1 with Update and 10 keep real what the user's list says, and what always holds."""
    config = CaptureList.parse(b"[PrepopulateList]\n\\Windows\\System32\\drivers\\*.sys\n")
    for version in ((6, 3), (10, 0)):
        lists = compose(config, version=version, has_overlay_driver=True, origin="mine.ini")
        assert _real("\\Windows\\System32\\drivers\\ntfs.sys", lists) == "mine.ini, line 2"
        assert _real("\\Windows\\System32\\ntoskrnl.exe", lists) == ""


def test_a_list_that_only_lies_in_a_windows_10_does_not_unmake_it() -> None:
    """Nobody chose it, and 10 does not support WIMBoot: the full set stays real. On 8.1 it is Microsoft's own."""
    ten = compose(EMPTY, version=(10, 0), has_overlay_driver=True, origin=SYSTEM_LIST)
    eight = compose(EMPTY, version=(6, 3), has_overlay_driver=True, origin=SYSTEM_LIST)
    assert _real("\\Windows\\System32\\ntoskrnl.exe", ten)
    assert not _real("\\Windows\\System32\\ntoskrnl.exe", eight)


def test_ordinary_files_are_left_to_be_pointers() -> None:
    """The built-in lists do not keep half of Windows real."""
    lists = compose(None, version=(6, 1), has_overlay_driver=False)
    for path in ("\\Windows\\explorer.exe", "\\Windows\\System32\\shell32.dll", "\\Users\\a\\NTUSER.DAT",
                 "\\Windows\\System32\\drivers\\en-US\\ntfs.sys.mui", "\\Windows\\Fonts\\arial.ttf",
                 "\\Program Files\\x\\y.exe", "\\Windows\\System32\\DriverStore\\FileRepository\\a\\a.sys"):
        assert _real(path, lists) == ""


def test_what_windows_keeps_open_is_never_captured() -> None:
    """No list and no exception brings a page file or the table of data sources into an image."""
    config = CaptureList.parse(b"[ExclusionException]\n*\n\\System Volume Information\n")
    lists = compose(config, version=(6, 1), has_overlay_driver=False)
    for path in ("\\pagefile.sys", "\\hiberfil.sys", "\\swapfile.sys", "\\System Volume Information\\WimOverlay.dat"):
        assert explain_path(path, lists).excluded_by is not None
    assert explain_path("\\Users\\pagefile.sys", lists).excluded_by is None


@pytest.mark.parametrize("log", [
    "\\Windows\\System32\\config\\SYSTEM.LOG1", "\\Windows\\System32\\config\\SOFTWARE.LOG",
    "\\Users\\eva\\NTUSER.DAT.LOG2", "\\Users\\eva\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat.LOG1",
    "\\Windows\\ServiceProfiles\\LocalService\\ntuser.dat.log1", "\\Boot\\BCD.LOG",
    "\\Windows\\System32\\SMI\\Store\\Machine\\SCHEMA.DAT.LOG1",
])
def test_a_hives_logs_are_captured_whatever_a_list_says(log: str) -> None:
    """The usual lists leave them out, and with them the newest changes of the registry."""
    config = CaptureList.parse(b"[ExclusionList]\n*.log*\n\\Windows\\System32\\config\\*.log*\n"
                               b"\\Users\\*\\NTUSER.DAT*.log*\n\\Users\\gone\n")
    lists = compose(config, version=(6, 3), has_overlay_driver=True, origin="x.ini")
    assert explain_path(log, lists).excluded_by is None
    excluded = explain_path("\\Users\\eva\\other.log", lists).excluded_by
    assert excluded is not None
    assert str(excluded) == "*.log* (x.ini, line 2)"
    assert explain_path("\\Users\\gone\\NTUSER.DAT.LOG1", lists).excluded_by is not None


def test_the_default_exclusions_apply_only_without_a_list() -> None:
    """A user's list replaces the built-in exclusions."""
    default = compose(None, version=(6, 1), has_overlay_driver=False)
    chosen = compose(EMPTY, version=(6, 1), has_overlay_driver=False)
    for path in ("\\Windows\\Temp\\x", "\\$Recycle.Bin\\S-1\\x", "\\wimboot\\wimboot.wim", "\\Windows\\CSC"):
        assert explain_path(path, default).excluded_by is not None
        assert explain_path(path, chosen).excluded_by is None
    assert explain_path("\\Windows\\Temp", default).excluded_by is None


def test_the_wim_on_its_own_volume_is_neither_captured_nor_pointed() -> None:
    """Its path, with brackets and all, and its companions."""
    lists = compose(EMPTY, version=(10, 0), has_overlay_driver=True, own_files=["\\d\\my [1].img", "d/my.lock", "\\"])
    for path in ("\\D\\MY [1].IMG", "\\d\\my.lock"):
        verdict = explain_path(path, lists)
        assert verdict.excluded_by is not None
        assert verdict.real_by is not None
        assert "WIM" in verdict.real_by.where
    assert explain_path("\\d\\other", lists).excluded_by is None


def test_files_that_the_registry_starts_with_are_real() -> None:
    """A boot-start driver outside of the drivers' folder."""
    lists = compose(EMPTY, version=(10, 0), has_overlay_driver=True,
                    boot_files={"\\Windows\\odd\\disk.sys": "service odd"})
    assert _real("\\windows\\ODD\\disk.sys", lists).endswith(": service odd")


def test_a_whole_system_is_decided_as_its_paths_are() -> None:
    """The walk over a tree of all these files gives what each path alone gives."""
    paths = [*LOADER_READS, *ALWAYS_REAL, "\\Windows\\explorer.exe", "\\Users\\a\\NTUSER.DAT.LOG1",
             "\\Windows\\Temp\\x"]
    tree = tree_of(paths)
    lists = compose(None, version=(6, 1), has_overlay_driver=False)
    selection = select(tree, lists)
    for link in range(1, tree.link_count):
        verdict = explain_path(tree.path(link), lists)
        assert selection.exclusion(link) == verdict.excluded_by
        assert selection.real(tree.link(link).node) == verdict.real_by


def test_the_built_in_lists_read_without_a_warning() -> None:
    """They are in the format that users write."""
    for name in ("always", "default"):
        assert built_in(name).warnings == ()
        assert built_in(name).prepopulate
    kinds = {rule.kind for rule in compose(None, version=None, has_overlay_driver=False).rules}
    assert kinds == {ListKind.FORBIDDEN, ListKind.KEPT, ListKind.REAL, ListKind.EXCLUSION}


@pytest.mark.parametrize("why", list(WhyReal))
def test_every_reason_has_a_sentence(why: WhyReal) -> None:
    """explain always has something to say, with the rule behind it where there is one."""
    assert why.sentence.endswith(".")
    rule = compose(None, version=None, has_overlay_driver=False).rules[0]
    assert why.explain(rule).endswith(f": {rule}.")
    assert why.explain() == why.sentence
