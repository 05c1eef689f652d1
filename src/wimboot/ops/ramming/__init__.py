"""What building a disk image for memory consists of."""
