"""The command line: parse, show, confirm, exit codes. No logic."""
