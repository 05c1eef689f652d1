"""The sample system of `wimboot demo`."""
