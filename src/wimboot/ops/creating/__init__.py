"""What creating a disk consists of."""
