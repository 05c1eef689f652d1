"""What verify looks at, and what it finds."""
