"""One verb a file: load, plan, run. Prints nothing. What several verbs share lies in the folders."""
