"""Files of a volume, in every form that they can have there, as the source of data that a WIM lost."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from converted import unpacked
from judges import sound_wim
from snapshots import snapshot
from wimboot.events import Counter, silent
from wimboot.ops.mending.soundblobs import RealFiles, bring, find_sound
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.options import TargetOptions
from wimboot.storage import HostFolder
from wimboot.wim import Append, CreateOptions, open_store

FORMS = {"ordinary": "Windows/explorer.exe", "compressed": "Features/compressed/compressible.txt",
         "sparse": "Features/sparse/holes.bin", "resident": "Features/resident/400 bytes.txt"}


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def test_every_form_of_a_real_file_serves(pristine_volume: Path, tmp_path: Path) -> None:
    """Each is found by size and SHA-1 and stored; what no file has is lacking."""
    seen = snapshot(pristine_volume)
    wanted = {bytes.fromhex(seen[path].streams[""][1]): seen[path].streams[""][0] for path in FORMS.values()}
    compact = next(path for path in sorted(seen) if seen[path].reparse[8:16] == b"\1\0\0\0\2\0\0\0")
    data = unpacked(pristine_volume, compact)
    wanted[_sha1(data)] = len(data)
    nowhere = _sha1(b"nobody has this")
    wim = tmp_path / "found.wim"
    with (
        open_volume(TargetOptions(place=str(pristine_volume)), silent, write=False) as opened,
        Append(HostFolder(tmp_path), wim.name, create=CreateOptions(), where=str(wim)) as append,
    ):
        volume = RealFiles(tree=opened.tree, contents=Contents(opened.tree, opened.device, opened.volume), where="it")
        offers = find_sound(wanted | {nowhere: len(data)}, [], volume, silent, threads=1)
        assert (offers.hashes, offers.lacking, offers.size) == (set(wanted), {nowhere}, sum(wanted.values()))
        assert offers.told == [("it", len(wanted))]
        bring(offers, append, Counter(), threads=1)
        append.keep(dict.fromkeys(offers.hashes, 1))
        append.finish()
    sound_wim(wim)
    with open_store(wim) as store:
        assert {sha1: len(store.read(sha1)) for sha1 in store.hashes()} == wanted


@pytest.mark.parametrize("size", [0, 5])
def test_a_copy_whose_data_has_another_size_is_no_help(size: int, tmp_path: Path) -> None:
    """The size that pointers name is held against it."""
    wim = tmp_path / "spare.wim"
    with Append(HostFolder(tmp_path), wim.name, create=CreateOptions(), where=str(wim)) as append:
        sha1 = append.add_blob(b"four")
        append.keep({sha1: 1})
        append.finish()
    with open_store(wim) as store:
        offers = find_sound({sha1: size}, [store], None, silent, threads=1)
        assert offers.lacking == {sha1}
        assert find_sound({sha1: None}, [store], None, silent, threads=1).hashes == {sha1}
