"""Pointers on a volume, and what Windows needs to follow them: where the WIM will lie, the driver."""
