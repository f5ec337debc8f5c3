"""One file per command; they return what to print and the exit code."""
