"""FAT volumes: system partitions that firmware reads."""
