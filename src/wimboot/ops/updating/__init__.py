"""What `update` does with a volume that is open; imported while that is scanned."""
