"""Starting a system: the partition that the firmware starts from, and what is written there."""
