"""Reproducers and bug reports as text."""
