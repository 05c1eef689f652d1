"""What verify --repair does about it."""
