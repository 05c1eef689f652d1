"""`python -m wimboot`."""

from wimboot.cli.main import run

run()
