"""Trees, changes and options become a plan; nothing is read or written here."""
