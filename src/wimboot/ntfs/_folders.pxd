"""Names to links: every file under its folder, the volume's own files left out."""

from wimboot.ntfs._records cimport Pass


cdef place_links(Pass done)
