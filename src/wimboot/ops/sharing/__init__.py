"""Volumes that stand on one WIM: who they are, and what becomes of the others when it changes."""
