"""SOFTWARE and SYSTEM hives of made-up systems, made by our own code from nothing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from wimboot.registry import Hive, RegistryValue, new_hive

__all__ = ["PRODUCTS", "by_hivexml", "edited", "sample_hives"]

PRODUCTS = {
    "6.1": ("Windows 7 Ultimate", "Ultimate", 7601, 17514, "Service Pack 1"),
    "6.1-embedded": ("Windows Embedded Standard", "Embedded", 7601, 17514, "Service Pack 1"),
    "6.2": ("Windows 8 Pro", "Professional", 9200, 16384, ""),
    "6.3": ("Windows 8.1 Pro", "Professional", 9600, 17031, ""),
    "10.0": ("Windows 10 Pro", "Professional", 19045, 2965, ""),
    "11": ("Windows 10 Pro", "Professional", 22631, 3007, ""),
}
INSTALLED = 1_431_259_200   # 2015-05-10 12:00 UTC, seconds since 1970

Keys = dict[str, dict[str, RegistryValue]]

sz, dword, multi_sz = RegistryValue.sz, RegistryValue.dword, RegistryValue.multi_sz


def edited(data: bytes, keys: Keys) -> bytes:
    """The hive with these values set, keys made where they are missing."""
    with Hive(data) as hive:
        for path, values in keys.items():
            key = hive.root.ensure(path)
            for name, value in values.items():
                key.set(name, value)
        return hive.commit()


def sample_hives(version: str, *, architecture: str = "AMD64", wof: str | None = None,
                 control_sets: tuple[int, ...] = (1,)) -> dict[str, bytes]:
    """The bytes of "SOFTWARE" and "SYSTEM"; `wof` names the overlay driver's service, if there is one."""
    return {"SOFTWARE": edited(new_hive(name="emRoot\\System32\\Config\\SOFTWARE"), _software(version, architecture)),
            "SYSTEM": edited(new_hive(name="SYSTEM"), _system(version, architecture, wof, control_sets))}


def _software(version: str, architecture: str) -> Keys:
    product, edition, build, revision, pack = PRODUCTS[version]
    number = "6.3" if version in {"10.0", "11"} else version[:3]
    values = {"ProductName": sz(product), "EditionID": sz(edition), "InstallationType": sz("Client"),
              "CurrentVersion": sz(number), "CurrentBuild": sz(str(build)), "CurrentBuildNumber": sz(str(build)),
              "SystemRoot": sz("C:\\Windows"), "InstallDate": dword(INSTALLED),
              "BuildLabEx": sz(f"{build}.{revision}.{architecture.lower()}fre.release.150510-1200")}
    if pack:
        values["CSDVersion"] = sz(pack)
    if version in {"10.0", "11"}:
        values |= {"CurrentMajorVersionNumber": dword(10), "CurrentMinorVersionNumber": dword(0),
                   "UBR": dword(revision)}
    return {"Microsoft\\Windows NT\\CurrentVersion": values}


def _system(version: str, architecture: str, wof: str | None, control_sets: tuple[int, ...]) -> Keys:
    pack = bool(PRODUCTS[version][4])
    keys: Keys = {
        "Select": {"Current": dword(control_sets[0]), "Default": dword(control_sets[0]), "Failed": dword(0),
                   "LastKnownGood": dword(control_sets[-1])},
        "Setup": {"SystemSetupInProgress": dword(0), "SetupType": dword(0), "OsLoaderPath": sz("\\")},
    }
    for control_set in control_sets:
        at = f"ControlSet{control_set:03d}"
        keys |= {
            f"{at}\\Control\\Windows": {"CSDVersion": dword(0x100 * pack), "CSDBuildNumber": dword(17514 * pack)},
            f"{at}\\Control\\ProductOptions": {"ProductType": sz("WinNT"), "ProductSuite": multi_sz("Terminal Server")},
            f"{at}\\Control\\Session Manager\\Environment": {"PROCESSOR_ARCHITECTURE": sz(architecture)},
            f"{at}\\Control\\Nls\\Language": {"InstallLanguage": sz("0804"), "Default": sz("0804")},
            f"{at}\\Control\\MUI\\UILanguages\\en-US": {"LCID": dword(0x409)},
            f"{at}\\Control\\MUI\\UILanguages\\zh-CN": {"LCID": dword(0x804)},
        }
        if wof:
            keys[f"{at}\\services\\{wof}"] = {"Start": dword(0), "Type": dword(2), "ErrorControl": dword(1)}
    return keys


def by_hivexml(path: Path) -> dict[str, bytes]:
    """Every key as hivexml prints it: path in lower case -> its values and times."""
    printed = subprocess.run(["hivexml", str(path)], check=True, capture_output=True).stdout
    found: dict[str, bytes] = {}
    names: list[str] = []
    for tag, rest in re.findall(rb"(<node name=\"[^\"]*\"|</node>)([^<]*(?:<(?!node |/node>)[^<]*)*)", printed):
        if tag == b"</node>":
            names.pop()
        else:
            names.append(tag[12:-1].decode().lower())
            found["\\".join(names[1:])] = rest
    assert not names
    return found
