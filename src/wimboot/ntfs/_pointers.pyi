from wimboot.ntfs._objectids import ObjectIds

class Pointers(ObjectIds):
    def point(self, file_id: int, reparse: bytes, size: int) -> None: ...
    def create_pointer(
        self, parent: int, name: bytes, short_name: bytes, attributes: int, times: tuple[int, int, int], security: int,
        size: int, reparse: bytes,
    ) -> int: ...
    def create_file(
        self, parent: int, name: bytes, short_name: bytes, attributes: int, times: tuple[int, int, int], security: int,
        data: bytes = b"",
    ) -> int: ...
    def create_folder(
        self, parent: int, name: bytes, short_name: bytes, attributes: int, times: tuple[int, int, int], security: int,
    ) -> int: ...
