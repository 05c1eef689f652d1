from wimboot.ntfs._library import Mount

__all__ = ["list_folder"]

def list_folder(volume: Mount, file_id: int, limit: int) -> tuple[list[tuple[bytes, int]], bool]: ...
