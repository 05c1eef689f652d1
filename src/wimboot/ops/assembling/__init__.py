"""A folder of systems as a plan declares it: what is there of it, and working on several of them side by side."""
