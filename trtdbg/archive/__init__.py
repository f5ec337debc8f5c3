"""Opening a .pt2 that a stranger made: container, vetting, loading."""
