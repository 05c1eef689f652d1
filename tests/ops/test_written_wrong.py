"""What a disk or a memory makes of what is written: a wrong byte in a WIM's tables leaves all as it was."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from converted import Converted
from judges import sound_wim
from mounting import mounted
from running import NO_PLACE, done, refused, wimboot
from snapshots import snapshot
from wim_bytes import read_wim
from wimboot.formats.reparse import WimPointer
from wimboot.storage.host import HostFile

ROW = 50
WOF_TAG = b"\x17\x00\x00\x80"


def _new_file(volume: Path) -> None:
    with mounted(volume, write=True) as root:
        (root / "Windows/new.dll").write_bytes(random.Random(0).randbytes(1 << 16))


def _one_wrong(monkeypatch: pytest.MonkeyPatch, wim: Path, number: int) -> list[int]:
    """Let one bit of write `number` to the WIM go wrong, in its middle; the sizes of its writes."""
    plain, sizes = HostFile.pwrite, list[int]()

    def pwrite(file: HostFile, offset: int, data: bytes | bytearray | memoryview) -> None:
        if Path(f"/proc/self/fd/{file.fileno()}").readlink() == wim:
            sizes.append(len(data))
            if len(sizes) == number:
                wrong = bytearray(data)
                wrong[len(wrong) // 2] ^= 1
                data = wrong
        plain(file, offset, data)

    monkeypatch.setattr(HostFile, "pwrite", pwrite)
    return sizes


@pytest.mark.parametrize("verb", ["update", "capture", "convert"])
def test_one_wrong_bit_in_any_write_is_found(verb: str, converted: Converted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of data, an image's list, the table, the XML and the header. A capture gives no file up, so it does not read back
    the data, which is its first write.
    """
    _new_file(converted.volume)
    more = () if verb == "update" else ("--wim", converted.wim, *(NO_PLACE if verb == "convert" else ()))
    before = converted.wim.read_bytes(), converted.volume.read_bytes()
    number = int(verb == "capture")
    while True:
        number += 1
        with monkeypatch.context() as patch:
            sizes = _one_wrong(patch, converted.wim, number)
            told = wimboot(verb, converted.volume, *more)
        if len(sizes) < number:     # there is no such write
            break
        assert told.code == 1, f"write {number} of {sizes}: {told.err}"
        if number in (3, 4):    # table and XML: WrittenWrong
            assert "do not read back as what was written" in told.err
        if number == 5:
            assert "its header does not read back" in told.err
        assert (converted.wim.read_bytes(), converted.volume.read_bytes()) == before
    assert (number, told.code) == (6, 0), told.err
    sound_wim(converted.wim)


def _move_one(wim: Path) -> bytes:
    """Flip a bit of one row of the table; the hash of the blob whose place is wrong now."""
    found = max(read_wim(wim).blobs.items(), key=lambda pair: pair[1].stored_size)
    with wim.open("r+b") as file:
        head = file.read(208)
        size = struct.unpack_from("<Q", head, 0x30)[0] & (1 << 56) - 1
        offset = struct.unpack_from("<Q", head, 0x38)[0]
        file.seek(offset)
        table = bytearray(file.read(size))
        row = next(at for at in range(0, size, ROW) if table[at + 30:at + ROW] == found[0])
        table[row + 8] ^= 0x10
        file.seek(offset)
        file.write(table)
    return found[0]


def _leads_to(volume: Path, sha1: bytes) -> set[tuple[int, int]]:
    """Offset and size in the WIM, as the pointers to that blob have them."""
    pointers = [WimPointer.parse(facts.reparse) for facts in snapshot(volume).values()
                if facts.reparse[:4] == WOF_TAG]
    found = {(pointer.offset, pointer.size_in_wim) for pointer in pointers if pointer.hash == sha1}
    assert found
    return found


def test_a_right_pointer_is_not_led_astray_by_a_damaged_table(converted: Converted) -> None:
    """Neither by `relocate` nor by `update`, which refuse; `verify --repair` leaves it, and a spare copy mends all."""
    _new_file(converted.volume)
    spare = converted.wim.with_name("spare.wim")
    sound = converted.wim.read_bytes()
    moved = _move_one(converted.wim)
    watching = (converted.volume, converted.wim)
    for error, code, verb in (("pointers-astray", 1, "relocate --as later"), ("image-moved", 4, "update")):
        run = refused(error, code, *verb.split(), converted.volume, "--wim", converted.wim, watching=watching)
        assert "--repair" in run.err
    leads = _leads_to(converted.volume, moved)
    assert wimboot("verify", converted.volume, "--wim", converted.wim, "--repair").code in (1, 3)
    assert _leads_to(converted.volume, moved) == leads
    spare.write_bytes(sound)
    done("verify", converted.volume, "--wim", converted.wim, "--repair", "--spare", spare)
    done("verify", converted.volume, "--wim", converted.wim)
    sound_wim(converted.wim)
