"""What the files of the sample system hold: real programs, text, noise, hives; the same for the same seed."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from wimboot.registry import Hive, RegistryValue, new_hive

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Stock", "boot_store", "plain_hive", "software_hive", "system_hive"]

BUILD = 19045
REVISION = 2965


class Stock:
    """Contents by the piece. Programs are the launchers that pip and setuptools carry: real PE files for Windows."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)  # noqa: S311 - has to be repeatable, not secret
        packages = Path(sysconfig.get_path("purelib"))
        found = {path.read_bytes() for path in packages.rglob("*.exe")}
        self.programs = sorted(found, key=len) or [b"MZ" + self.text(40_000)]

    def text(self, size: int) -> bytes:
        """As compressible as a configuration file."""
        words = [
            bytes(self.chance.choices(b"abcdefghijklmnopqrstuvwxyz", k=self.chance.randint(3, 9))) for _ in range(64)
        ]
        parts: list[bytes] = []
        made = 0
        while made < size:
            parts.append(b" = ".join(self.chance.choices(words, k=6)) + b"\r\n")
            made += len(parts[-1])
        return b"".join(parts)[:size]

    def noise(self, size: int) -> bytes:
        """What no codec makes smaller: pictures, archives."""
        return self.chance.randbytes(size)

    def program(self, size: int = 0) -> bytes:
        """A program that no other file equals, at least `size` bytes long."""
        whole = self.chance.choice(self.programs) + self.text(64)
        while len(whole) < size:
            part = self.chance.choice(self.programs)
            place = self.chance.randrange(len(part) // 2)
            whole += part[place:] + self.text(self.chance.randint(100, 3000))
        return whole


def _hive(name: str, keys: Mapping[str, Mapping[str, RegistryValue]], *, minor: int = 5) -> bytes:
    with Hive(new_hive(name=name, minor=minor)) as hive:
        for path, values in keys.items():
            key = hive.root.ensure(path)
            for value_name, value in values.items():
                key.set(value_name, value)
        return hive.commit()


def software_hive() -> bytes:
    """SOFTWARE of a Windows 10 Pro."""
    text = RegistryValue.sz
    return _hive(
        "SOFTWARE",
        {
            r"Microsoft\Windows NT\CurrentVersion": {
                "ProductName": text("Windows 10 Pro"),
                "EditionID": text("Professional"),
                "InstallationType": text("Client"),
                "CurrentVersion": text("6.3"),
                "CurrentBuild": text(str(BUILD)),
                "CurrentBuildNumber": text(str(BUILD)),
                "CurrentMajorVersionNumber": RegistryValue.dword(10),
                "CurrentMinorVersionNumber": RegistryValue.dword(0),
                "UBR": RegistryValue.dword(REVISION),
                "SystemRoot": text("C:\\Windows"),
                "BuildLabEx": text(f"{BUILD}.{REVISION}.amd64fre.release.191206-1406"),
            }
        },
    )


def system_hive(disk_signature: int, partition_offset: int) -> bytes:
    """SYSTEM of the same, with the overlay driver and C: at the partition given."""
    number, text = RegistryValue.dword, RegistryValue.sz
    services, control = r"ControlSet001\Services", r"ControlSet001\Control"
    place = disk_signature.to_bytes(4, "little") + partition_offset.to_bytes(8, "little")
    driver = {"Type": number(2), "Start": number(0), "ErrorControl": number(1)}
    return _hive(
        "SYSTEM",
        {
            "Select": {"Current": number(1), "Default": number(1), "Failed": number(0), "LastKnownGood": number(1)},
            "Setup": {"SetupType": number(0), "SystemSetupInProgress": number(0), "OsLoaderPath": text("\\")},
            rf"{control}\ProductOptions": {
                "ProductType": text("WinNT"),
                "ProductSuite": RegistryValue.multi_sz("Terminal Server"),
            },
            rf"{control}\Windows": {"CSDVersion": number(0), "CSDBuildNumber": number(0x2D0)},
            rf"{control}\Session Manager\Environment": {"PROCESSOR_ARCHITECTURE": text("AMD64")},
            rf"{control}\Nls\Language": {"InstallLanguage": text("0804"), "Default": text("0804")},
            rf"{control}\Nls\CodePage": {"OEMHAL": text("vgaoem.fon")},
            rf"{control}\MUI\UILanguages\zh-CN": {"Type": number(0x111)},
            rf"{services}\Ntfs": driver,
            rf"{services}\vhdmp": {**driver, "Type": number(1), "Start": number(3)},
            rf"{services}\Wof": {**driver, "Group": text("FSFilter Compression"), "SupportedFeatures": number(7)},
            rf"{services}\Wof\Instances": {"DefaultInstance": text("Wof Instance")},
            rf"{services}\Wof\Instances\Wof Instance": {"Altitude": text("40700"), "Flags": number(0)},
            "MountedDevices": {"\\DosDevices\\C:": RegistryValue.binary(place)},
        },
    )


def boot_store() -> bytes:
    r"""An empty \Boot\BCD."""
    return _hive("BCD", {"Description": {"KeyName": RegistryValue.sz("BCD00000000")}, "Objects": {}}, minor=3)


def plain_hive(name: str) -> bytes:
    """A hive that nobody reads here."""
    return _hive(name, {"Software": {"Demo": RegistryValue.sz(name)}})
