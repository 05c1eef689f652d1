"""Registry hives for sample systems, written by hivexsh from an empty hive; none of our own code is in them."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

__all__ = ["PRODUCTS", "Values", "empty_hive", "software", "system", "write_hive"]

Values = dict[str, dict[str, str]]
"""Key path (with backslashes) -> value name -> hivexsh's `type:value`."""

PRODUCTS = {
    "6.1": ("Windows 7 Ultimate", "Ultimate", 7601, 17514),
    "6.3": ("Windows 8.1 Pro", "Professional", 9600, 17031),
    "10.0": ("Windows 10 Pro", "Professional", 19045, 2965),
}
ARCHITECTURES = {"x86": ("x86", "x86fre"), "amd64": ("AMD64", "amd64fre"), "arm64": ("ARM64", "arm64fre")}


def empty_hive() -> bytes:
    """A hive with a root key and one security cell: base block, one 4 KiB bin, the rest of it free."""
    descriptor = struct.pack("<BBHIIII", 1, 0, 0x8004, 20, 36, 0, 52)
    descriptor += bytes.fromhex("01020000000000052000000020020000") * 2
    descriptor += bytes.fromhex("02001c00010000000000140019000200010100000000000100000000")
    name = b"ROOT"
    root_cell, security_cell = 0x20, 0x20 + 0x60
    root = struct.pack("<2sHQIIIIIIIIIIIIIIIHH", b"nk", 0x2C, 0x01D0_0000_0000_0000, 0, 0xFFFFFFFF, 0, 0, 0xFFFFFFFF,
                       0xFFFFFFFF, 0, 0xFFFFFFFF, security_cell, 0xFFFFFFFF, 0, 0, 0, 0, 0, len(name), 0) + name
    cells = struct.pack("<i", -0x60) + root.ljust(0x5C, b"\0")
    security = struct.pack("<2sHIIII", b"sk", 0, security_cell, security_cell, 1, len(descriptor)) + descriptor
    size = -(-(len(security) + 4) // 8) * 8
    cells += struct.pack("<i", -size) + security.ljust(size - 4, b"\0")
    cells += struct.pack("<i", 0x1000 - 0x20 - len(cells))
    page = struct.pack("<4sIIQQI", b"hbin", 0, 0x1000, 0, 0x01D0_0000_0000_0000, 0) + cells
    head = struct.pack("<4sIIQIIIIIII", b"regf", 1, 1, 0x01D0_0000_0000_0000, 1, 5, 0, 1, root_cell, 0x1000, 1)
    head = head.ljust(508, b"\0")
    checksum = 0
    for (word,) in struct.iter_unpack("<I", head):
        checksum ^= word
    return (head + struct.pack("<I", checksum)).ljust(0x1000, b"\0") + page.ljust(0x1000, b"\0")


def write_hive(path: Path, values: Values) -> None:
    """Make the hive `path` hold `values`."""
    path.write_bytes(empty_hive())
    made: set[str] = set()
    script: list[str] = []
    for key, entries in values.items():
        parts = key.split("\\")
        for depth, part in enumerate(parts):
            parent, whole = "\\".join(parts[:depth]), "\\".join(parts[:depth + 1])
            if whole not in made:
                made.add(whole)
                script += [f"cd \\{parent}", f"add {part}"]
        script += [f"cd \\{key}", f"setval {len(entries)}"]
        for name, value in entries.items():
            script += [name, value]
    script.append("commit")
    subprocess.run(["hivexsh", "-w", str(path)], input="\n".join(script) + "\n", text=True, check=True,
                   stdout=subprocess.DEVNULL)


def software(version: str, architecture: str) -> Values:
    """What a SOFTWARE hive tells of the product."""
    product, edition, build, revision = PRODUCTS[version]
    entries = {
        "ProductName": f"string:{product}", "EditionID": f"string:{edition}", "InstallationType": "string:Client",
        "CurrentVersion": "string:6.1" if version == "6.1" else "string:6.3", "CurrentBuild": f"string:{build}",
        "CurrentBuildNumber": f"string:{build}", "SystemRoot": "string:C:\\Windows",
        "BuildLabEx": f"string:{build}.{revision}.{ARCHITECTURES[architecture][1]}.release.101119-1850",
    }
    if version == "6.1":
        entries["CSDVersion"] = "string:Service Pack 1"
    if version == "10.0":
        entries |= {"CurrentMajorVersionNumber": "dword:10", "CurrentMinorVersionNumber": "dword:0",
                    "UBR": f"dword:{revision}"}
    return {"Microsoft\\Windows NT\\CurrentVersion": entries}


def system(version: str, architecture: str, mounted_device: bytes = b"") -> Values:
    """What a SYSTEM hive tells the loader; `mounted_device` is the value of \\DosDevices\\C:."""
    control = "ControlSet001\\Control"
    suite = "Terminal Server\0\0".encode("utf-16-le").hex(",")
    values: Values = {
        "Select": {"Current": "dword:1", "Default": "dword:1", "Failed": "dword:0", "LastKnownGood": "dword:1"},
        "Setup": {"SetupType": "dword:0", "SystemSetupInProgress": "dword:0", "OsLoaderPath": "string:\\"},
        f"{control}\\ProductOptions": {"ProductType": "string:WinNT", "ProductSuite": f"hex:7:{suite}"},
        f"{control}\\Windows": {"CSDVersion": f"dword:{0x100 if version == '6.1' else 0}",
                                "CSDBuildNumber": f"dword:{17514 if version == '6.1' else 0}"},
        f"{control}\\Session Manager\\Environment":
            {"PROCESSOR_ARCHITECTURE": f"string:{ARCHITECTURES[architecture][0]}"},
        f"{control}\\Nls\\Language": {"InstallLanguage": "string:0409", "Default": "string:0409"},
        f"{control}\\Nls\\CodePage": {"OEMHAL": "string:vgaoem.fon"},
        f"{control}\\MUI\\UILanguages\\en-US": {"Type": "dword:0x111"},
        "ControlSet001\\services\\FsDepends": {"Type": "dword:2", "Start": "dword:3", "ErrorControl": "dword:3"},
        "ControlSet001\\services\\vhdmp": {"Type": "dword:1", "Start": "dword:3", "ErrorControl": "dword:1"},
        "ControlSet001\\services\\Ntfs": {"Type": "dword:2", "Start": "dword:0", "ErrorControl": "dword:1"},
    }
    if version != "6.1":
        wof = "ControlSet001\\services\\Wof"
        values[wof] = {"Type": "dword:2", "Start": "dword:0", "ErrorControl": "dword:1",
                       "Group": "string:FSFilter Compression"}
        values[f"{wof}\\Instances"] = {"DefaultInstance": "string:Wof Instance"}
        values[f"{wof}\\Instances\\Wof Instance"] = {"Altitude": "string:40700", "Flags": "dword:0"}
    if mounted_device:
        values["MountedDevices"] = {"\\DosDevices\\C:": f"hex:3:{mounted_device.hex(',')}"}
    return values
