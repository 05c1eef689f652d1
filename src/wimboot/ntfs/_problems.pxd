"""What may be wrong with a record of $MFT; `problems.py` has the words."""

cdef enum Problem:
    BAD_SIGNATURE = 1
    BAD_USE
    BAD_FIXUP
    BAD_HEADER
    BAD_ATTRIBUTE
    BAD_INFORMATION
    BAD_NAME
    BAD_RUNS
    BAD_SIZES
    BAD_EXTENTS
    SAME_ATTRIBUTE
    BAD_REPARSE
    BAD_WOF
    NO_NAME
    NO_PARENT
    NO_FOLDER
    FOLDER_NAMES
    FOLDER_CIRCLE
    NO_BASE
    BAD_LIST
    NO_PARTNER
    NO_SECURITY
    BAD_VALUE
