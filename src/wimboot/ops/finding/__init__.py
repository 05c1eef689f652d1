"""Which WIM backs a volume, and where it lies."""
