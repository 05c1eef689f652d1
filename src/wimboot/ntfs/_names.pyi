from wimboot.ntfs._library import Mount

class Names(Mount):
    torn: bool
