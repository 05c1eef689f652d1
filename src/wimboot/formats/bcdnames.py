"""Where boot configuration stores lie; what bcdedit calls objects, elements and the numbers in them.

Sources: Microsoft's "BCDEdit" and "Boot Configuration Data" references, and listings that bcdedit printed. An element
without a name there is shown as custom:XXXXXXXX, its type.
"""

from __future__ import annotations

from typing import Final

from wimboot.formats.bcd import ObjectType, element_class

__all__ = ["ALIASES", "BIOS_FOLDER", "UEFI_FOLDER", "Ids", "element_name", "heading", "integer_text", "listing_rank"]

BIOS_FOLDER: Final = "\\Boot"
UEFI_FOLDER: Final = "\\EFI\\Microsoft\\Boot"
"""The folders of the boot environment on a system partition; the store in them is called BCD."""


class Ids:
    """Objects that have the same id in every store."""

    BOOT_MANAGER: Final = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
    FIRMWARE_MANAGER: Final = "{a5a30fa2-3d06-4e9f-b5f4-a01df9d1fcba}"
    MEMORY_TESTER: Final = "{b2721d73-1db4-4c62-bf78-c548a880142d}"
    GLOBAL: Final = "{7ea2e1ac-2e61-4728-aaa3-896d9d0a9f0e}"
    DEBUGGER: Final = "{4636856e-540f-4170-a130-a84776f4c654}"
    EMS: Final = "{0ce4991b-e6b3-4b16-b23c-5e0d9250e5d9}"
    BAD_MEMORY: Final = "{5189b25c-5558-4bf2-bca4-289b11bd29e2}"
    LOADER: Final = "{6efb52bf-1766-41db-a6b3-0ee5eff72bd7}"
    HYPERVISOR: Final = "{7ff607e0-4395-11db-b0de-0800200c9a66}"
    RESUME: Final = "{1afa9c49-16ab-4a5c-901b-212802da9460}"
    LEGACY_LOADER: Final = "{466f5a88-0af2-4f76-9038-095b170dc21c}"
    LOADER_TEMPLATE_BIOS: Final = "{a1943bbc-ea85-487c-97c7-c9ede908a38a}"
    LOADER_TEMPLATE_UEFI: Final = "{b012b84d-c47c-4ed5-b722-c0c42163e569}"


_RAMDISK_OPTIONS: Final = "{ae5534e0-a924-466c-b836-758539a3ee3a}"

ALIASES: Final = {
    Ids.BOOT_MANAGER: "{bootmgr}", Ids.FIRMWARE_MANAGER: "{fwbootmgr}", Ids.MEMORY_TESTER: "{memdiag}",
    Ids.GLOBAL: "{globalsettings}", Ids.DEBUGGER: "{dbgsettings}", Ids.EMS: "{emssettings}",
    Ids.BAD_MEMORY: "{badmemory}", Ids.LOADER: "{bootloadersettings}", Ids.HYPERVISOR: "{hypervisorsettings}",
    Ids.RESUME: "{resumeloadersettings}", Ids.LEGACY_LOADER: "{ntldr}", _RAMDISK_OPTIONS: "{ramdiskoptions}",
}
"""Names that bcdedit takes and shows, without /v, in the place of an id."""

_HEADINGS_BY_ID: Final = {
    Ids.EMS: "EMS Settings", Ids.DEBUGGER: "Debugger Settings", Ids.BAD_MEMORY: "RAM Defects",
    Ids.GLOBAL: "Global Settings", Ids.LOADER: "Boot Loader Settings", Ids.HYPERVISOR: "Hypervisor Settings",
    Ids.RESUME: "Resume Loader Settings", _RAMDISK_OPTIONS: "Setup Ramdisk Options",
}
_HEADINGS: Final[dict[int, str]] = {
    ObjectType.FIRMWARE_MANAGER: "Firmware Boot Manager", ObjectType.BOOT_MANAGER: "Windows Boot Manager",
    ObjectType.FIRMWARE_APPLICATION: "Firmware Application (101fffff)", ObjectType.OS_LOADER: "Windows Boot Loader",
    ObjectType.RESUME: "Resume from Hibernate", ObjectType.MEMORY_TESTER: "Windows Memory Tester",
    ObjectType.LEGACY_LOADER: "Windows Legacy OS Loader", ObjectType.BOOT_SECTOR: "Real-mode Boot Sector",
    ObjectType.DEVICE_OPTIONS: "Device options",
}
_KINDS: Final = {1: "Application", 2: "Settings", 3: "Device options"}


def heading(type_: int, id_: str) -> str:
    """The line above an object."""
    known = _HEADINGS_BY_ID.get(id_) or _HEADINGS.get(type_)
    return known or f"{_KINDS.get(type_ >> 28, 'Object')} ({type_:08x})"


def listing_rank(type_: int, id_: str) -> tuple[int, int, str]:
    """What an object is sorted by in a listing."""
    by_type, by_id = list(_HEADINGS), list(_HEADINGS_BY_ID)
    if id_ in by_id:
        return len(by_type) + 1, by_id.index(id_), id_
    if type_ == ObjectType.DEVICE_OPTIONS:      # before those with a name
        return len(by_type) + 1, by_id.index(_RAMDISK_OPTIONS) - 1, id_
    return by_type.index(type_) if type_ in by_type else len(by_type), 0, id_


_LIBRARY: Final = {
    0x11000001: "device", 0x12000002: "path", 0x12000004: "description", 0x12000005: "locale", 0x14000006: "inherit",
    0x15000007: "truncatememory", 0x14000008: "recoverysequence", 0x16000009: "recoveryenabled",
    0x1700000A: "badmemorylist", 0x1600000B: "badmemoryaccess", 0x1500000C: "firstmegabytepolicy",
    0x1500000D: "relocatephysical", 0x1500000E: "avoidlowmemory", 0x1600000F: "traditionalksegmappings",
    0x16000010: "bootdebug", 0x15000011: "debugtype", 0x15000012: "debugaddress", 0x15000013: "debugport",
    0x15000014: "baudrate", 0x15000015: "channel", 0x12000016: "targetname", 0x16000017: "noumex",
    0x15000018: "debugstart", 0x12000019: "busparams", 0x1500001A: "hostip", 0x1500001B: "port", 0x1600001C: "dhcp",
    0x1200001D: "key", 0x16000020: "bootems", 0x15000022: "emsport", 0x15000023: "emsbaudrate",
    0x12000030: "loadoptions", 0x16000040: "advancedoptions", 0x16000041: "optionsedit",
    0x16000046: "graphicsmodedisabled", 0x15000047: "configaccesspolicy", 0x16000048: "nointegritychecks",
    0x16000049: "testsigning", 0x1200004A: "fontpath", 0x16000050: "extendedinput", 0x15000051: "initialconsoleinput",
    0x15000052: "graphicsresolution", 0x16000053: "restartonfailure", 0x16000054: "highestmode",
    0x16000060: "isolatedcontext", 0x15000065: "displaymessage", 0x15000066: "displaymessageoverride",
    0x1600006C: "bootuxdisabled", 0x16000072: "nokeyboard", 0x16000074: "bootshutdowndisabled",
    0x17000077: "allowedinmemorysettings", 0x1600007A: "mobilegraphics", 0x1600007B: "forcefipscrypto",
    0x1500007D: "booterrorux", 0x1600007E: "flightsigning",
}
_MANAGER: Final = {
    0x24000001: "displayorder", 0x24000002: "bootsequence", 0x23000003: "default", 0x25000004: "timeout",
    0x26000005: "resume", 0x23000006: "resumeobject", 0x24000010: "toolsdisplayorder", 0x26000020: "displaybootmenu",
    0x26000021: "noerrordisplay", 0x21000022: "bcddevice", 0x22000023: "bcdfilepath", 0x26000028: (
        "processcustomactionsfirst"), 0x27000030: "customactions", 0x26000031: "persistbootsequence",
}
_LOADER: Final = {
    0x21000001: "osdevice", 0x22000002: "systemroot", 0x23000003: "resumeobject", 0x26000004: "stampdisks",
    0x26000010: "detecthal", 0x22000011: "kernel", 0x22000012: "hal", 0x22000013: "dbgtransport", 0x25000020: "nx",
    0x25000021: "pae", 0x26000022: "winpe", 0x26000024: "nocrashautoreboot", 0x26000025: "lastknowngood",
    0x26000030: "nolowmem", 0x25000031: "removememory", 0x25000032: "increaseuserva", 0x25000033: "perfmem",
    0x26000040: "vga", 0x26000041: "quietboot", 0x26000042: "novesa", 0x26000043: "novga",
    0x25000050: "clustermodeaddressing", 0x26000051: "usephysicaldestination", 0x25000052: "restrictapicluster",
    0x22000053: "evstore", 0x26000054: "uselegacyapicmode", 0x26000060: "onecpu", 0x25000061: "numproc",
    0x26000062: "maxproc", 0x25000063: "configflags", 0x26000064: "maxgroup", 0x26000065: "groupaware",
    0x25000066: "groupsize", 0x26000070: "usefirmwarepcisettings", 0x25000071: "msi", 0x25000072: "pciexpress",
    0x25000080: "safeboot", 0x26000081: "safebootalternateshell", 0x26000090: "bootlog", 0x26000091: "sos",
    0x260000A0: "debug", 0x260000A1: "halbreakpoint", 0x260000A2: "useplatformclock",
    0x260000A3: "forcelegacyplatform", 0x260000A4: "useplatformtick", 0x260000A5: "disabledynamictick",
    0x250000A6: "tscsyncpolicy", 0x260000B0: "ems", 0x250000C1: "driverloadfailurepolicy",
    0x250000C2: "bootmenupolicy", 0x260000C3: "onetimeadvancedoptions", 0x250000E0: "bootstatuspolicy",
    0x260000E1: "disableelamdrivers", 0x250000F0: "hypervisorlaunchtype", 0x220000F1: "hypervisorpath",
    0x260000F2: "hypervisordebug", 0x250000F3: "hypervisordebugtype", 0x250000F4: "hypervisordebugport",
    0x250000F5: "hypervisorbaudrate", 0x250000F6: "hypervisorchannel", 0x250000F7: "bootux",
    0x220000F9: "hypervisorbusparams", 0x250000FA: "hypervisornumproc", 0x250000FB: "hypervisorrootprocpernode",
    0x260000FC: "hypervisoruselargevtlb", 0x250000FD: "hypervisorhostip", 0x250000FE: "hypervisorhostport",
    0x25000100: "tpmbootentropy", 0x22000110: "hypervisorusekey", 0x25000113: "hypervisorrootproc",
    0x26000114: "hypervisordhcp", 0x25000115: "hypervisoriommupolicy", 0x26000116: "hypervisorusevapic",
    0x22000117: "hypervisorloadoptions", 0x25000120: "xsavepolicy", 0x2500012B: "xsavedisable",
}
_RESUME: Final = {
    0x21000001: "filedevice", 0x22000002: "filepath", 0x26000003: "customsettings", 0x26000004: "pae",
    0x21000005: "associatedosdevice", 0x26000006: "debugoptionenabled", 0x25000007: "bootux",
    0x25000008: "bootmenupolicy",
}
_MEMORY_TESTER: Final = {
    0x25000001: "passcount", 0x25000002: "testmix", 0x25000003: "failurecount", 0x26000003: "cacheenable",
    0x25000004: "testtofail", 0x26000005: "cacheenable",
}
_LEGACY: Final = {0x22000001: "bpbstring"}
_DEVICE_OPTIONS: Final = {
    0x35000001: "ramdiskimageoffset", 0x35000002: "ramdisktftpclientport", 0x31000003: "ramdisksdidevice",
    0x32000004: "ramdisksdipath", 0x35000005: "ramdiskimagelength", 0x36000006: "exportascd",
    0x35000007: "ramdisktftpblocksize", 0x35000008: "ramdisktftpwindowsize", 0x36000009: "ramdiskmcenabled",
    0x3600000A: "ramdiskmctftpfallback",
}
_BY_APPLICATION: Final[dict[int, dict[int, str]]] = {
    ObjectType.FIRMWARE_MANAGER: _MANAGER, ObjectType.BOOT_MANAGER: _MANAGER, ObjectType.OS_LOADER: _LOADER,
    ObjectType.LOADER_SETTINGS: _LOADER, ObjectType.RESUME: _RESUME, ObjectType.RESUME_SETTINGS: _RESUME,
    ObjectType.MEMORY_TESTER: _MEMORY_TESTER, ObjectType.LEGACY_LOADER: _LEGACY,
}

_DEBUG_TYPES: Final = ("Serial", "1394", "USB", "Net", "Local")
_POLICIES: Final = ("Legacy", "Standard")
_MESSAGES: Final = ("Default", "Resume", "HyperV", "Recovery", "StartupRepair", "SystemImageRecovery", "CommandPrompt",
                    "SystemRestore", "PushButtonReset")
_SWITCH: Final = ("Default", "ForceDisable")
_NUMBERS: Final[dict[str, tuple[str, ...]]] = {
    "nx": ("OptIn", "OptOut", "AlwaysOff", "AlwaysOn"), "pae": ("Default", "ForceEnable", "ForceDisable"),
    "bootmenupolicy": _POLICIES, "debugtype": _DEBUG_TYPES, "hypervisordebugtype": _DEBUG_TYPES,
    "displaymessage": _MESSAGES, "displaymessageoverride": _MESSAGES, "safeboot": ("Minimal", "Network", "DsRepair"),
    "bootux": ("Disabled", "Basic", "Standard"), "hypervisorlaunchtype": ("Off", "Auto"), "msi": _SWITCH,
    "pciexpress": _SWITCH, "graphicsresolution": ("1024x768", "800x600", "1024x600"),
    "bootstatuspolicy": ("DisplayAllFailures", "IgnoreAllFailures", "IgnoreShutdownFailures", "IgnoreBootFailures",
                         "IgnoreCheckpointFailures", "DisplayShutdownFailures", "DisplayBootFailures",
                         "DisplayCheckpointFailures"),
    "debugstart": ("Active", "AutoEnable", "Disable"), "driverloadfailurepolicy": ("Fatal", "UseErrorControl"),
    "tscsyncpolicy": ("Default", "Legacy", "Enhanced"),
}


def element_name(object_type: int, type_: int) -> str:
    """What bcdedit calls an element of an object of that type."""
    names: dict[int, str] = {}
    if element_class(type_) == 1:
        names = _LIBRARY
    elif element_class(type_) == 2:
        names = _BY_APPLICATION.get(object_type, {})
    elif element_class(type_) == 3:
        names = _DEVICE_OPTIONS
    return names.get(type_) or f"custom:{type_:08x}"


def integer_text(name: str, number: int) -> str:
    """What bcdedit shows for a number."""
    words = _NUMBERS.get(name, ())
    return words[number] if number < len(words) else str(number)
