"""What a verb has open: disks, volumes, WIMs, the bytes behind a volume's files."""
