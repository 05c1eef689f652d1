"""The judge of VHDs can object: to every byte of a structure, and to blocks out of place."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from vhd_judge import judge_vhd
from vhd_making import begin, fixed_vhd, sparse_vhd, writing

SIZE, BLOCK = 4 * 16384, 16384


@pytest.fixture
def sound(tmp_path: Path) -> bytes:
    """A dynamic VHD of two blocks."""
    path = tmp_path / "d.vhd"
    path.write_bytes(sparse_vhd(SIZE, BLOCK))
    with writing(path) as target, begin(target) as transaction:
        transaction.device.pwrite(0, b"one")
        transaction.device.pwrite(2 * BLOCK, b"two")
        transaction.commit()
    return path.read_bytes()


def test_judge_passes_what_is_sound(sound: bytes) -> None:
    """And reads what was written."""
    judged = judge_vhd(sound)
    assert (judged.kind, judged.blocks, judged.disk[:3], judged.disk[2 * BLOCK:][:3]) == (3, 2, b"one", b"two")


def test_judge_objects_to_every_changed_byte(sound: bytes) -> None:
    """Of either footer, the header, the table and the bitmaps."""
    places = [*range(1536 + 512), *range(len(sound) - 512, len(sound))]
    for entry in struct.unpack_from(">4I", sound, 1536):
        if entry != 0xFFFFFFFF:
            places += range(entry * 512, entry * 512 + 4)
    silent = []
    for place in places:
        damaged = bytearray(sound)
        damaged[place] ^= 0x41
        try:
            judge_vhd(bytes(damaged))
        except AssertionError:
            continue
        silent.append(place)
    assert not silent


@pytest.mark.parametrize("damage", ["overlap", "outside", "longer", "shorter", "parent"])
def test_judge_objects_to_what_is_out_of_place(damage: str, sound: bytes) -> None:
    """Two blocks at one place, one past the end, a gap before the footer, a file cut short, a chain that is none."""
    data, parent = bytearray(sound), None
    first = struct.unpack_from(">I", sound, 1536)[0]
    if damage == "overlap":
        struct.pack_into(">I", data, 1540, first)
    elif damage == "outside":
        struct.pack_into(">I", data, 1540, len(sound) // 512)
    elif damage == "longer":
        data[-512:] = bytes(512) + data[-512:]
    elif damage == "shorter":
        del data[-1024:-512]
    else:
        parent = judge_vhd(fixed_vhd(bytes(SIZE)))
    with pytest.raises(AssertionError):
        judge_vhd(bytes(data), parent)
