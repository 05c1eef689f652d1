"""One verb a file: load, plan, run. Prints nothing."""
