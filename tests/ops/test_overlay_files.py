"""WimOverlay.dat, its backup and its .new in any state: what is wrong with them, and the table that they give."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from wimboot.formats.overlaydat import Overlay
from wimboot.ops.checking.overlayfiles import read_overlay_files
from wimboot.windows.sources import BACKUP_PATH, DAT_PATH, NEW_PATH
from wimboot.windows.wimplace import WimPlace


def _table(ids: frozenset[int]) -> bytes:
    """A sound table with these data sources."""
    place = WimPlace.parse("mbr:5cbea03e:1048576:\\store.wim").device
    overlay = Overlay()
    for _ in range(max(ids, default=-1) + 1):
        overlay, _ = overlay.add(wim_guid=bytes(16), location=place, wim_index=1)
    for number in range(overlay.next_id):
        if number not in ids:
            overlay = overlay.remove(number)
    return overlay.pack()


IDS = st.frozensets(st.integers(0, 4))
FILES = st.one_of(st.none(), st.binary(max_size=80), IDS.map(_table),
                  st.tuples(IDS.map(_table), st.integers(0, 200)).map(lambda cut: cut[0][:cut[1]]))


@given(dat=FILES, new=FILES, backup=FILES, ids=IDS)
@example(dat=_table(frozenset({0})), new=None, backup=_table(frozenset({0})), ids=frozenset({0}))
@settings(max_examples=200, deadline=None)
def test_any_three_files_give_a_table_or_a_flaw(
        dat: bytes | None, new: bytes | None, backup: bytes | None, ids: frozenset[int]) -> None:
    """Once the mended table is written to .dat and the backup, and .new is gone, nothing is wrong any more."""
    content = {DAT_PATH: dat, NEW_PATH: new, BACKUP_PATH: backup}
    files = read_overlay_files(content.get)
    tables = [file.table for file in (files.dat, files.new, files.backup) if file.table is not None]
    flaws, mended = files.flaws(ids, "disk.img"), files.mended(ids)
    assert all(flaw.text and flaw.advice for flaw in flaws)
    assert (mended is None) == (not tables)
    if mended is None:
        assert bool(flaws) == bool(ids or dat is not None or new is not None)
        return
    known = {source.data_source_id for source in mended.sources}
    assert known >= {source.data_source_id for source in tables[0].sources}
    assert ids & known == {number for number in ids if any(table.get(number) for table in tables)}
    data = mended.pack()
    after = read_overlay_files({DAT_PATH: data, BACKUP_PATH: data}.get)
    assert after.dat.table == mended
    assert not after.flaws(ids & known, "disk.img")


def test_a_table_that_windows_goes_by_is_told_from_one_that_is_left_over() -> None:
    """.new counts where there is no .dat, and only there."""
    one, two = _table(frozenset({0})), _table(frozenset({0, 1}))
    assert read_overlay_files({DAT_PATH: one, NEW_PATH: two}.get).in_force.data == one
    assert read_overlay_files({NEW_PATH: two}.get).in_force.data == two
    assert read_overlay_files({DAT_PATH: b"", NEW_PATH: two}.get).in_force.table is None
