"""Is imported by a script beside it."""

FACTOR = 3
