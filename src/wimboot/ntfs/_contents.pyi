from collections.abc import Iterable

from wimboot.ntfs._changes import Changes
from wimboot.storage import Data

class Contents(Changes):
    def write_data(
        self, file_id: int, name: bytes, parts: Iterable[Data], size: int, *, sparse: bool = False,
        compressed: bool = False, as_before: bool = False,
    ) -> None: ...
    def remove_stream(self, file_id: int, name: bytes) -> None: ...
