"""Driver files for tests: small PE files with version resources, signed by osslsigncode with a certificate of ours."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

__all__ = ["SVBUS_GUID", "SVBUS_INF", "driver_file", "signed", "signed_driver", "wofadk"]

MACHINES = {"x86": 0x14C, "amd64": 0x8664, "arm64": 0xAA64}
NATIVE, WINDOWED, DRIVER = 1, 2, 3
WOFADK_STRINGS = (("CompanyName", "Microsoft Corporation"), ("FileDescription", "Windows Overlay Filter"),
                  ("OriginalFilename", "wofadk.sys"), ("ProductName", "Microsoft\u00ae Windows\u00ae Operating System"))

SVBUS_GUID = "{4D36E97B-E325-11CE-BFC1-08002BE10318}"

SVBUS_INF = f"""[Version]
Signature="$Windows NT$"
Class=SCSIAdapter
ClassGUID={SVBUS_GUID}
Provider=%Maker%
[Manufacturer]
%Maker%=Bus,,NTamd64
[Bus]
%Device%=Bus.x86,root\\svbusx86
[Bus.NTamd64]
%Device%=Bus.x64,root\\svbusx64
[Bus.x86.Services]
AddService=svbusx86,2,Service.x86
[Bus.x64.Services]
AddService=svbusx64,2,Service.x64
[Service.x86]
ServiceType=1
StartType=0
ErrorControl=1
ServiceBinary=%12%\\svbusx86.sys
[Service.x64]
DisplayName=%Device%
ServiceType=0x1
StartType=3
ErrorControl=1
ServiceBinary=%12%\\svbusx64.sys
LoadOrderGroup=SCSI Miniport
AddReg=Parameters
[Parameters]
HKR,Parameters,BusType,0x00010001,15
HKR,,Start,0x10001,3
HKR,,Note,,text
[Strings]
Maker="Kai Schtrom"
Device="Virtual bus"
"""
"""The form of SVBus' own, with parts that only others have."""


def driver_file(*, machine: str = "amd64", version: tuple[int, int, int, int] | None = (10, 0, 10240, 16384),
                strings: tuple[tuple[str, str], ...] = WOFADK_STRINGS, subsystem: int = NATIVE, kind: int = DRIVER,
                body: bytes = b"\xcc" * 700) -> bytes:
    """An unsigned driver: headers, code, resources; the version resource is laid out as rc.exe does."""
    wide = machine != "x86"
    resource = b"" if version is None else _resource(version, kind, strings)
    sections = [(b".text", body, 0x60000020), (b".rsrc", resource, 0x40000040)]
    headers, raw, address, table = 0x400, 0x400, 0x1000, b""
    places = []
    for name, content, flags in sections:
        size = -(-len(content) // 512) * 512
        table += struct.pack("<8sIIIIIIHHI", name, len(content) or 1, address, size, raw, 0, 0, 0, 0, flags)
        places.append((address, content.ljust(size, b"\0")))
        raw, address = raw + size, address + 0x2000
    optional = struct.pack("<HBBIIIII", 0x20B if wide else 0x10B, 14, 0, 512, 512, 0, 0x1000, 0x1000)
    optional += struct.pack("<Q", 0x10000) if wide else struct.pack("<II", 0x3000, 0x10000)
    optional += struct.pack("<II6HIIIIHH", 0x1000, 512, 6, 1, 10, 0, 6, 1, 0, address, headers, 0, subsystem, 0)
    optional += struct.pack("<4Q" if wide else "<4I", 0x40000, 0x1000, 0x100000, 0x1000) + struct.pack("<II", 0, 16)
    directories = [(0, 0)] * 16
    if resource:
        directories[2] = (places[1][0], len(resource))
    optional += b"".join(struct.pack("<II", *entry) for entry in directories)
    coff = struct.pack("<HHIIIHH", MACHINES[machine], 2, 0x559F0000, 0, 0, len(optional), 0x22 if wide else 0x102)
    head = b"MZ" + bytes(58) + struct.pack("<I", 0x80) + bytes(64) + b"PE\0\0" + coff + optional + table
    return head.ljust(headers, b"\0") + b"".join(content for _, content in places)


def _resource(version: tuple[int, int, int, int], kind: int, strings: tuple[tuple[str, str], ...]) -> bytes:
    major, minor, build, revision = version
    numbers = (major << 16 | minor, build << 16 | revision)
    fixed = struct.pack("<13I", 0xFEEF04BD, 0x10000, *numbers, *numbers, 0x3F, 0, 0x40004, kind, 7, 0, 0)
    texts = b"".join(_padded(_block(name, (text + "\0").encode("utf-16-le"), 1, len(text) + 1))
                     for name, text in strings)
    table = _block("040904B0", b"", 1, 0, texts)
    info = _block("VS_VERSION_INFO", fixed, 0, len(fixed), _padded(_block("StringFileInfo", b"", 1, 0, table)))
    levels = b"".join(struct.pack("<IIHHHHII", 0, 0, 0, 0, 0, 1, name, target) for name, target in
                      ((16, 24 | 1 << 31), (1, 48 | 1 << 31), (0x409, 72)))
    return levels + struct.pack("<IIII", 0x3000 + 88, len(info), 1200, 0) + info


def _block(key: str, value: bytes, kind: int, size: int, below: bytes = b"") -> bytes:
    head = struct.pack("<HHH", 0, size, kind) + (key + "\0").encode("utf-16-le")
    whole = _padded(_padded(head) + value) + below if below else _padded(head) + value
    return struct.pack("<H", len(whole)) + whole[2:]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


@cache
def signed(data: bytes, algorithm: str = "sha256") -> bytes:
    """The same with a signature by somebody whom nobody trusts, made by osslsigncode."""
    if shutil.which("osslsigncode") is None:
        pytest.skip("osslsigncode is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.sys").write_bytes(data)
        key, certificate = _certificate()
        (folder / "key.pem").write_bytes(key)
        (folder / "cert.pem").write_bytes(certificate)
        subprocess.run(["osslsigncode", "sign", "-certs", folder / "cert.pem", "-key", folder / "key.pem",
                        "-h", algorithm, "-in", folder / "in.sys", "-out", folder / "out.sys"],
                       check=True, capture_output=True)
        return (folder / "out.sys").read_bytes()


@cache
def _certificate() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as name:
        key, certificate = Path(name, "key.pem"), Path(name, "cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                        "-days", "30", "-subj", "/CN=Test of drivers", "-addext", "extendedKeyUsage=codeSigning"],
                       check=True, capture_output=True)
        return key.read_bytes(), certificate.read_bytes()


def signed_driver(folder: Path, name: str, machine: str = "amd64", strings: tuple[tuple[str, str], ...] = ()) -> Path:
    """A signed driver in a file."""
    path = folder / name
    path.write_bytes(signed(driver_file(machine=machine, strings=strings, version=(1, 2, 0, 0))))
    return path


def wofadk(folder: Path, machine: str = "amd64", name: str = "wofadk.sys") -> Path:
    """A file that is what is known of wofadk.sys."""
    path = folder / name
    path.write_bytes(signed(driver_file(machine=machine)))
    return path
