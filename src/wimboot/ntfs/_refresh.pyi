from array import array

from wimboot.ntfs._changes import Changes

class Refresh(Changes):
    def refresh(self, file_ids: array[int], values: bytes) -> int: ...
