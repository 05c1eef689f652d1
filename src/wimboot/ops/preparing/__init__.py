"""What a system is given so that it starts from pointers: marks in its registry, a driver, its drive letter."""
