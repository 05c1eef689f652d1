"""What Windows needs inside a system."""
