from collections.abc import Sequence

from wimboot.disk._overlay import Overlay

def index_of(overlay: Overlay, last: Sequence[int]) -> bytes: ...
