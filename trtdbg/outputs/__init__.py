"""Records in, text out; no torch."""
