r"""WimOverlay.dat with its backup and its .new: what is wrong with them, and which table they give together. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.errors import FormatError, advice
from wimboot.formats.overlaydat import Overlay
from wimboot.frozen import Frozen
from wimboot.windows.sources import BACKUP_PATH, DAT_PATH, NEW_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["OverlayFile", "OverlayFiles", "OverlayFlaw", "read_overlay_files"]


class OverlayFile(Frozen):
    """One of the three: its bytes, None where it is missing; the table in it, or why there is none."""

    path: str
    data: bytes | None
    table: Overlay | None
    why: str


class OverlayFlaw(Frozen):
    """One thing wrong with them."""

    id: str
    text: str
    advice: str


class OverlayFiles(Frozen):
    """All three, as they are on a volume."""

    dat: OverlayFile
    new: OverlayFile
    backup: OverlayFile

    @property
    def in_force(self) -> OverlayFile:
        """The one that Windows reads: .dat, or .new where there is no .dat, for Windows renames that."""
        return self.new if self.dat.data is None and self.new.data is not None else self.dat

    def mended(self, ids: Collection[int]) -> Overlay | None:
        """The table that .dat should hold: the first sound one, with what it lacks of `ids` from the others."""
        tables = [file.table for file in (self.dat, self.new, self.backup) if file.table is not None]
        if not tables:
            return None
        whole = tables[0]
        for other in tables[1:]:
            lost = [source for source in other.sources
                    if source.data_source_id in ids and whole.get(source.data_source_id) is None]
            if lost:
                whole = replace(whole, sources=(*whole.sources, *lost), next_id=max(whole.next_id, other.next_id))
        return whole

    def flaws(self, ids: Collection[int], volume: str) -> list[OverlayFlaw]:
        """What is wrong, where pointers name these data sources. `volume` is what the user calls the target."""
        repair = advice("`wimboot verify {volume} --repair`", volume=volume)
        table = self.in_force.table
        if table is None:
            flaw = self._without_table(ids, repair, volume)
            return [] if flaw is None else [flaw]
        flaws = []
        if self.new.data is not None:
            flaws.append(OverlayFlaw(
                id="overlay-new",
                text=f"{NEW_PATH} is left over from an interrupted change; "
                     + (f"Windows makes it {DAT_PATH}, which is missing" if self.dat.data is None else
                        f"Windows goes by {DAT_PATH}, which is sound"),
                advice=f"{repair} puts it right."))
        if self.dat.data is not None and table.sources and self.backup.data != self.dat.data:
            flaws.append(OverlayFlaw(
                id="overlay-backup", text=f"{BACKUP_PATH} is not the copy of WimOverlay.dat that it should be",
                advice=f"Windows does not read it. {repair} writes it anew."))
        return flaws

    def _without_table(self, ids: Collection[int], repair: str, volume: str) -> OverlayFlaw | None:
        sound = next((file for file in (self.new, self.backup) if file.table is not None), None)
        from_other = f"{repair} takes it from {sound.path}, which is sound." if sound is not None else advice(
            "`wimboot verify {volume} --repair --wim WIM` builds it anew from the pointers; --wim-place says where "
            "Windows finds the WIM.", volume=volume)
        if self.in_force.data is not None:
            return OverlayFlaw(
                id="overlay-damaged",
                text=f"{self.in_force.path} is damaged: {self.in_force.why}; Windows resolves no pointer of the volume",
                advice=from_other)
        if not ids:
            return None
        return OverlayFlaw(
            id="overlay-missing", text=f"{DAT_PATH} is missing: Windows resolves no pointer of the volume",
            advice=from_other)


def read_overlay_files(read: Callable[[str], bytes | None]) -> OverlayFiles:
    """Look at all three; `read` gives the content of a file by its path, None where there is none."""
    return OverlayFiles(dat=_look_at(DAT_PATH, read), new=_look_at(NEW_PATH, read), backup=_look_at(BACKUP_PATH, read))


def _look_at(path: str, read: Callable[[str], bytes | None]) -> OverlayFile:
    data = read(path)
    if data is None:
        return OverlayFile(path=path, data=None, table=None, why="it is missing")
    try:
        return OverlayFile(path=path, data=data, table=Overlay.parse(data), why="")
    except FormatError as error:
        return OverlayFile(path=path, data=data, table=None, why=str(error))
