"""The working tree: one offline NTFS volume, opened with every check that has to come before it is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from wimboot.ntfs._refresh import Refresh
from wimboot.ntfs.refusals import Hibernated, LogNotClean, NotNtfs

if TYPE_CHECKING:
    from types import TracebackType

    from wimboot.storage import Device

__all__ = ["ROOT", "Volume"]

ROOT: Final = 5 | 5 << 48
"""The root folder: record 5, whose sequence number never changes."""

_HIBERNATED: Final = (b"hibr", b"HIBR")
_BOOT_SIZE: Final = 512


class Volume(Refresh):
    """An NTFS volume. One thread owns it.

    Opening raises NotNtfs, Hibernated, LogNotClean, VersionUnsupported, VolumeDamaged, and, to write, VolumeDirty.
    A volume that is only looked at (`inspect`) is opened whatever state Windows left it in; `state` tells it.
    Changes are handed to the device by `close`; until then nobody else may use it.
    """

    def __init__(self, device: Device, *, write: bool, where: str, inspect: bool = False) -> None:
        del write, where    # `Mount` took them
        self._check_boot(device)
        self.mount()
        try:
            problem = self._left_by_windows()
        except BaseException:
            self.unmount(discard=True)
            raise
        self.state = problem.id if problem is not None else None
        if problem is not None and not inspect:
            self.unmount(discard=True)
            raise problem

    def _check_boot(self, device: Device) -> None:
        boot = device.pread(0, _BOOT_SIZE)
        if len(boot) < _BOOT_SIZE or boot[3:11] != b"NTFS    ":
            raise NotNtfs(where=self.where, why="its boot sector does not say so")
        if boot[510:512] != b"\x55\xaa":
            raise NotNtfs(where=self.where, why="its boot sector has no end mark")
        sector_size = int.from_bytes(boot[11:13], "little")
        sectors = int.from_bytes(boot[40:48], "little")
        if sector_size not in (256, 512, 1024, 2048, 4096) or sectors == 0:
            raise NotNtfs(where=self.where, why="its boot sector names impossible sizes")
        if sectors * sector_size > device.size():
            why = f"it says {sectors * sector_size:,} bytes where only {device.size():,} are"
            raise NotNtfs(where=self.where, why=why)
        self.serial = int.from_bytes(boot[72:80], "little")

    def _left_by_windows(self) -> Hibernated | LogNotClean | None:
        clean, kept = self.log_state()
        if kept or self._sleeps():
            return Hibernated(where=self.where)
        return None if clean else LogNotClean(where=self.where)

    def _sleeps(self) -> bool:
        """Whether hiberfil.sys holds a sleeping Windows; the mount for writing looks, the one for reading does not."""
        header = self.read_path("hiberfil.sys", 4)
        return header is not None and header[:4] in _HIBERNATED

    def close(self) -> None:
        """Write what is left and unmount; a second call does nothing. When it raises, nothing may be committed."""
        self.unmount()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self.unmount(discard=error is not None)

    def open_path(self, path: str) -> int | None:
        r"""The file at a path of this volume, in whatever case, or None. Parts are set off by \ or /."""
        file_id = ROOT
        for part in path.replace("/", "\\").split("\\"):
            if part:
                if not self.is_folder(file_id):
                    return None
                found = self.lookup(file_id, part.encode("utf-16-le", "surrogatepass"))
                if found is None:
                    return None
                file_id = found
        return file_id

    def read_path(self, path: str, limit: int) -> bytes | None:
        """The first `limit` bytes of the file at a path, None where there is none. Raises as `read` does."""
        file_id = self.open_path(path)
        return None if file_id is None else self.read(file_id, b"", 0, limit)
