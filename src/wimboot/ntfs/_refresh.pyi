from array import array

from wimboot.ntfs._contents import Contents

class Refresh(Contents):
    def refresh(self, file_ids: array[int], values: bytes) -> int: ...
