r"""The data sources of a volume: which WIM each pointer's id means, and the bytes that register another.

The table lies on the volume of the pointers. Windows writes it in this order, and reads it as said:

    1. WimOverlay.new complete, synced       missing .dat: Windows renames .new to .dat
    2. .new renamed over WimOverlay.dat      a .dat that is not sound: no pointer of the volume works
    3. WimOverlay.backup, the same bytes     never read by Windows; for people, and for `verify --repair`

Inside a transaction these are one step; both files get the same bytes.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final

from wimboot.errors import Damaged, FormatError, advice
from wimboot.formats.overlaydat import DataSource, Overlay
from wimboot.frozen import Frozen
from wimboot.windows.wimplace import WimPlace

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BACKUP_PATH", "DAT_PATH", "FOLDER_PATH", "NEW_PATH", "OverlayDamaged", "Registration", "Sources", "how_to_mend",
    "read_sources",
]

FOLDER_PATH: Final = "\\System Volume Information"
DAT_PATH: Final = FOLDER_PATH + "\\WimOverlay.dat"
NEW_PATH: Final = FOLDER_PATH + "\\WimOverlay.new"
BACKUP_PATH: Final = FOLDER_PATH + "\\WimOverlay.backup"


class OverlayDamaged(Damaged):
    """The table of data sources is there and not sound: Windows would resolve no pointer of this volume."""

    id = "overlay-damaged"
    sentence = "{path} is damaged: {why}"
    advice = "{repair}"


class Registration(Frozen):
    """The outcome of registering a WIM: the id for its pointers, and the table with it."""

    data_source_id: int
    sources: Sources
    changed: bool


class Sources(Frozen):
    """The data sources of one volume, with their places."""

    overlay: Overlay = field(default_factory=Overlay)

    def pack(self) -> bytes:
        """The bytes of WimOverlay.dat, and of WimOverlay.backup. Raises OverlayFull."""
        return self.overlay.pack()

    @property
    def all(self) -> tuple[DataSource, ...]:
        """Every data source."""
        return self.overlay.sources

    def get(self, data_source_id: int) -> DataSource | None:
        """The data source that a pointer names."""
        return self.overlay.get(data_source_id)

    def place(self, data_source_id: int) -> WimPlace | None:
        """Where its WIM lies; None where the id, or the form of its location, is not known."""
        source = self.get(data_source_id)
        return None if source is None else WimPlace.of_device(source.location)

    def of_wim(self, wim_guid: bytes) -> tuple[DataSource, ...]:
        """Every data source of the WIM with that GUID, wherever it is said to lie."""
        return tuple(source for source in self.all if source.wim_guid == wim_guid)

    @property
    def waiting(self) -> tuple[DataSource, ...]:
        """The data sources whose place is "later": such a system does not start before `relocate`."""
        return tuple(source for source in self.all if _is_later(source))

    def register(self, *, wim_guid: bytes, place: WimPlace, wim_index: int) -> Registration:
        """Find or make the data source of a WIM at a place.

        The same WIM at the same place keeps its id. One of this WIM whose place was "later" gets the place.
        Any other place is another data source, for pointers may still need the first. Raises OverlayFull.
        """
        known = self.overlay.find(wim_guid, place.device)
        if known is not None:
            return self._keep(known, wim_index)
        waiting = next((source for source in self.of_wim(wim_guid) if _is_later(source)), None)
        if waiting is not None:
            moved = self.overlay.replace(waiting.data_source_id, location=place.device, wim_index=wim_index)
            return self._changed(moved, waiting.data_source_id)
        grown, number = self.overlay.add(wim_guid=wim_guid, location=place.device, wim_index=wim_index)
        return self._changed(grown, number)

    def relocate(self, data_source_id: int, place: WimPlace) -> Registration:
        """Tell the new place of a WIM that moved; its pointers stay as they are. Raises KeyError."""
        moved = self.overlay.replace(data_source_id, location=place.device)
        return self._changed(moved, data_source_id)

    def stand_on(self, data_source_id: int, wim_index: int) -> Sources:
        """The same WIM at the same place, another image of it. Raises KeyError."""
        return Sources(overlay=self.overlay.replace(data_source_id, wim_index=wim_index))

    def without(self, data_source_id: int) -> Sources:
        """Without a data source that no pointer uses. Raises KeyError."""
        return Sources(overlay=self.overlay.remove(data_source_id))

    def _keep(self, known: DataSource, wim_index: int) -> Registration:
        if known.wim_index == wim_index:
            return Registration(data_source_id=known.data_source_id, sources=self, changed=False)
        number = known.data_source_id
        return self._changed(self.overlay.replace(number, wim_index=wim_index), number)

    def _changed(self, overlay: Overlay, data_source_id: int) -> Registration:
        overlay.pack()
        return Registration(data_source_id=data_source_id, sources=Sources(overlay=overlay),
                            changed=overlay != self.overlay)


def _is_later(source: DataSource) -> bool:
    place = WimPlace.of_device(source.location)
    return place is not None and place.is_later


def read_sources(read: Callable[[str], bytes | None], *, where: str = "TARGET") -> Sources:
    """The data sources of a volume, none where it has no table.

    `read` gives the content of a file by its path, None where there is none; `where` is what the user calls the volume.
    Raises OverlayDamaged.
    """
    for path in (DAT_PATH, NEW_PATH):
        data = read(path)
        if data is not None:
            try:
                return Sources(overlay=Overlay.parse(data))
            except FormatError as error:
                raise OverlayDamaged(path=path, why=str(error), repair=how_to_mend(read(BACKUP_PATH), where)) from error
    return Sources()


def how_to_mend(backup: bytes | None, where: str) -> str:
    """The command that makes the table of a volume anew, given the content of its backup, None where there is none."""
    try:
        count = len(Overlay.parse(backup or b"").sources)
    except FormatError:
        return advice("There is no sound backup of it. `wimboot verify {where} --repair --wim WIM` builds it anew from "
                      "the pointers; --wim-place says where Windows finds the WIM.", where=where)
    return advice("`wimboot verify {where} --repair` takes it from {backup}, which is sound and holds {count} data "
                  "sources.", where=where, backup=BACKUP_PATH, count=count)
