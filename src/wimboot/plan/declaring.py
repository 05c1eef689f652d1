"""Reading a plan: the keys it may have, what each may say, and what may not be said twice.

    folder = "."                            from the plan's own folder; default: that
    [place]                                 where the folder lies when Windows runs; default: where it lies now
    disk = "5cbea03e"                       signature in hexadecimal, or a GUID
    partition = 1048576                     its first byte, or a GUID
    directory = '\\'                         on that partition
    later = true                            instead of these
    [store]
    wim, spare, compress
    [[store.image]]
    name, from + image | capture
    [[system]]
    name, image, architecture, driver, test_signing, no_integrity_checks, title
    file + size + fixed + table + label + no_expand | partition
    [system.ram]
    file, size, form, menu + title
    [boot]
    to, default, timeout, firmware, locale, grub4dos
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wimboot.disk.table import TableKind
from wimboot.errors import UsageError
from wimboot.figures import told_size
from wimboot.formats.guid import parse_guid
from wimboot.formats.names import MAX_NAME_UNITS, NOT_IN_NAMES, encode_name, fold_text, split_path
from wimboot.formats.sizes import BadSize, parse_size
from wimboot.formats.vhdfooter import MAX_DISK_SIZE
from wimboot.plan.declared import (
    BootWish,
    Declared,
    FolderPath,
    ImageOrigin,
    LaterFolder,
    RamWish,
    StoreWish,
    SystemWish,
    WindowsFolder,
)
from wimboot.plan.tomltable import TomlTable, read_toml
from wimboot.windows.identify import Architecture

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["read_plan"]

_MAX_SYSTEMS: Final = 64
"""Systems, and images, of one plan; a boot menu has room for a handful."""
_LARGEST_TIMEOUT: Final = 3600
_OURS: Final = (".wimboot-", ".building")
"""What temporary files and logs have in their names."""
_SMALLEST_DISK: Final = 8 << 20
_SECTOR: Final = 512
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE | re.DOTALL)
_SIGNATURE: Final = re.compile(r"(?:0x)?[0-9a-f]{1,8}", re.IGNORECASE | re.ASCII)
_COMPRESSIONS: Final = ("xpress4k", "xpress8k", "xpress16k", "xpress32k", "lzx")
_MENU: Final = "a menu"
"""Several RAM images may have one."""
_RAM_FORMS: Final = ("lz4", "vhd", "vhd-fixed")
"""What of `ram --form` can be looked into again: a gzip file cannot."""
_ARCHITECTURES: Final = {"x86": Architecture.X86, "amd64": Architecture.AMD64, "x64": Architecture.AMD64,
                         "arm64": Architecture.ARM64}


def read_plan(data: bytes, plan: str) -> Declared:
    """The plan in a file called `plan`. Raises PlanNotToml, PlanInvalid."""
    root = read_toml(data, plan)
    folder = root.text("folder") or "."
    place = root.table("place")
    where = None if place is None else _place(place)
    store_table = root.table("store")
    if store_table is None:
        root.fail("store", "it is missing: a plan has one [store]")
    store = _store(store_table)
    tables = root.tables("system")
    if not 1 <= len(tables) <= _MAX_SYSTEMS:
        root.fail("system", f"a plan has 1 to {_MAX_SYSTEMS} systems, [[system]] each; this one has {len(tables):,}")
    systems = tuple(_system(table) for table in tables)
    boot_table = root.table("boot")
    boot = None if boot_table is None else _boot(boot_table, systems)
    root.done()
    _refuse_twice(tables, [system.name for system in systems], "name")
    _refuse_one_place(tables, store_table, store, systems)
    for table, system in zip(tables, systems, strict=True):
        if boot is not None and system.title is None:
            table.fail("title", "it is missing: the plan has a boot menu, which shows it")
        if boot is None and system.title is not None:
            table.fail("title", "it belongs to a boot menu, and the plan has no [boot]")
        if isinstance(where, LaterFolder) and system.ram is not None:
            table.fail("ram", "a system in memory cannot be told later where the store lies, as [place] has it")
    return Declared(folder=folder, place=where, store=store, systems=systems, boot=boot)


def _place(table: TomlTable) -> WindowsFolder | LaterFolder:
    if table.flag("later"):
        table.done()
        return LaterFolder()
    disk = table.needed_text("disk")
    partition = table.text_or_integer("partition")
    if partition is None:
        table.fail("partition", "it is missing")
    directory = _path(table, "directory", root=True) or ()
    if _SIGNATURE.fullmatch(disk):
        if not isinstance(partition, int):
            table.fail("partition", "beside a disk's signature it is the partition's first byte, a whole number")
        found = WindowsFolder(disk=int(disk, 16), partition=partition, directory=directory)
    else:
        if not isinstance(partition, str):
            table.fail("partition", "beside a disk's GUID it is the partition's GUID")
        found = WindowsFolder(disk=_checked(table, "disk", lambda: parse_guid(disk)),
                              partition=_checked(table, "partition", lambda: parse_guid(partition)),
                              directory=directory)
    _checked(table, "disk", lambda: found.of(("wimboot.wim",)).path.encode("utf-8", "surrogatepass"))
    table.done()
    return found


def _checked(table: TomlTable, key: str, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except UsageError as error:
        table.fail(key, str(error))


def _store(table: TomlTable) -> StoreWish:
    wim = _path(table, "wim")
    if wim is None:
        table.fail("wim", "it is missing")
    spare, compression = _path(table, "spare"), table.one_of("compress", _COMPRESSIONS)
    tables = table.tables("image")
    if len(tables) > _MAX_SYSTEMS:
        table.fail("image", f"{len(tables)} are more than {_MAX_SYSTEMS}")
    origins = tuple(map(_origin, tables))
    table.done()
    _refuse_twice(tables, [origin.name for origin in origins], "name")
    return StoreWish(wim=wim, spare=spare, compression=compression, origins=origins)


def _origin(table: TomlTable) -> ImageOrigin:
    name = table.needed_text("name")
    if name.isdecimal():
        table.fail("name", "a number would be taken for the number of an image")
    wim, target = table.text("from"), table.text("capture")
    if (wim is None) == (target is None):
        table.fail("", "it says either from (another WIM, with image) or capture (a volume)")
    image = _image(table) if wim is not None else None
    table.done()
    return ImageOrigin(name=name, wim=wim, image=image, target=target)


def _image(table: TomlTable) -> str:
    value = table.text_or_integer("image")
    if value is None or value == 0:
        table.fail("image", "it is missing" if value is None else "images are counted from 1")
    return str(value)


def _system(table: TomlTable) -> SystemWish:
    word = table.one_of("architecture", tuple(_ARCHITECTURES))
    ram_table = table.table("ram")
    wish = SystemWish(
        name=table.needed_text("name"), image=_image(table), driver=table.text("driver"), title=table.text("title"),
        architecture=None if word is None else _ARCHITECTURES[word], test_signing=bool(table.flag("test_signing")),
        no_integrity_checks=bool(table.flag("no_integrity_checks")), file=_path(table, "file"),
        partition=table.text("partition"), ram=None if ram_table is None else _ram(ram_table))
    if (wish.file is None) == (wish.partition is None):
        table.fail("", "it says either file (a VHD in the folder) or partition (PATH#N, a volume that is there)")
    if wish.file is not None:
        wish = _disk(table, wish, wish.file)
    for key in ("size", "fixed", "table", "label", "no_expand"):
        if table.has(key):
            table.fail(key, "it is of a VHD that is made; a partition that is there has what it has")
    table.done()
    return wish


def _disk(table: TomlTable, wish: SystemWish, file: FolderPath) -> SystemWish:
    """The same with the shape of its VHD."""
    if not file[-1].lower().endswith(".vhd"):
        table.fail("file", "its name ends in .vhd, the form of disk that every Windows since 7 starts from")
    kind = {"mbr": TableKind.MBR, "gpt": TableKind.GPT}[table.one_of("table", ("mbr", "gpt")) or "mbr"]
    return replace(wish, size=_size(table, MAX_DISK_SIZE), fixed=bool(table.flag("fixed")), table=kind,
                   label=_label(table), no_expand=bool(table.flag("no_expand")))


def _label(table: TomlTable) -> str:
    label = table.text("label") or ""
    if len(encode_name(label)) > 2 * 32:
        table.fail("label", "a volume's label has up to 32 characters")
    return label


def _ram(table: TomlTable) -> RamWish:
    file, menu, title = _path(table, "file"), _path(table, "menu"), table.text("title")
    if file is None:
        table.fail("file", "it is missing")
    if title is not None and menu is None:
        table.fail("title", "it belongs to a menu.lst, and the table names none with menu")
    wish = RamWish(file=file, size=_size(table, MAX_DISK_SIZE), form=table.one_of("form", _RAM_FORMS) or _RAM_FORMS[0],
                   title=title, menu=menu)
    table.done()
    return wish


def _boot(table: TomlTable, systems: tuple[SystemWish, ...]) -> BootWish:
    wish = BootWish(to=table.needed_text("to"), default=table.text("default"), locale=table.text("locale"),
                    timeout=table.integer("timeout", 0, _LARGEST_TIMEOUT), grub4dos=table.text("grub4dos"),
                    firmware=table.one_of("firmware", ("bios", "uefi", "both")))
    names = [system.name for system in systems]
    if wish.default is not None and wish.default not in names:
        table.fail("default", f"{wish.default!r} is none of the systems: {', '.join(names)}")
    table.done()
    return wish


def _size(table: TomlTable, most: int) -> int:
    """A number of bytes, or a text such as "15 GB": powers of 1024, as Windows counts."""
    value = table.text_or_integer("size")
    if value is None:
        table.fail("size", "it is missing")
    if isinstance(value, str):
        try:
            value = parse_size(value)
        except BadSize as error:
            table.fail("size", f"{error}: say 15 GB, 512 MB, or a number of bytes")
    if value % _SECTOR:
        table.fail("size", f"{value:,} bytes are not whole sectors of {_SECTOR}")
    if not _SMALLEST_DISK <= value <= most:
        table.fail("size", f"{told_size(value)}; {told_size(_SMALLEST_DISK)} to {told_size(most)} are possible")
    return value


def _path(table: TomlTable, key: str, *, root: bool = False) -> FolderPath | None:
    """A path inside the folder, by names that Windows can have; `root` allows the folder itself, and a leading slash.

    Both slashes part names. Raises PlanInvalid.
    """
    text = table.text(key)
    if text is None:
        return None
    if not root and text[:1] in ("\\", "/"):
        table.fail(key, "it lies in the folder, so it begins with no slash")
    parts = split_path(text)
    if not parts and not root:
        table.fail(key, "it names no file")
    if not root and text[-1] in "\\/":
        table.fail(key, "it names a folder, and a file is wanted")
    for part in parts:
        if part in (".", ".."):
            table.fail(key, f"{part!r} leads out of the folder, or nowhere")
        if any(mark in part.lower() for mark in _OURS):
            table.fail(key, f"{part!r} is what wimboot calls files of its own")
        if (NOT_IN_NAMES & set(part) or len(encode_name(part)) > 2 * MAX_NAME_UNITS or part[-1] in ". "
                or part[0] == " " or _DEVICES.fullmatch(part)):
            table.fail(key, f"{part!r} cannot be a name on Windows")
    return parts


def _refuse_twice(tables: list[TomlTable], values: list[str], key: str) -> None:
    seen: set[str] = set()
    for table, value in zip(tables, values, strict=True):
        if fold_text(value) in seen:
            table.fail(key, f"{value!r} is there twice")
        seen.add(fold_text(value))


def _refuse_one_place(tables: list[TomlTable], store_table: TomlTable, store: StoreWish,
                      systems: tuple[SystemWish, ...]) -> None:
    """No file stands for two things, and none lies in another as if that were a folder; nor two systems on a volume."""
    taken = {_folded(store.wim): "the store"}
    if store.spare is not None:
        _take(store_table, "spare", store.spare, "the spare copy", taken)
    volumes: dict[str, str] = {}
    for table, system in zip(tables, systems, strict=True):
        if system.file is not None:
            _take(table, "file", system.file, f"system {system.name!r}", taken)
        elif system.partition is not None:
            if system.partition in volumes:
                table.fail("partition", f"{system.partition} is that of {volumes[system.partition]!r} too")
            volumes[system.partition] = system.name
        if system.ram is not None:
            _take(table, "ram", system.ram.file, f"the RAM image of {system.name!r}", taken)
            if system.ram.menu is not None and taken.get(_folded(system.ram.menu)) != _MENU:
                _take(table, "ram", system.ram.menu, _MENU, taken)


def _take(table: TomlTable, key: str, path: FolderPath, what: str, taken: dict[FolderPath, str]) -> None:
    mine = _folded(path)
    for other, whose in taken.items():
        if mine == other:
            table.fail(key, f"{'/'.join(path)} is that of {whose} too")
        short = min(len(mine), len(other))
        if mine[:short] == other[:short]:
            table.fail(key, f"{'/'.join(path)} and that of {whose} cannot be both: one lies in the other")
    taken[mine] = what


def _folded(path: FolderPath) -> FolderPath:
    return tuple(map(fold_text, path))
