from wimboot.ntfs._reparse import Reparse

class ObjectIds(Reparse):
    def set_object_id(self, file_id: int, value: bytes) -> None: ...
