"""Ratios that say whether trtdbg is fast enough to live in: `python -m benchmarks --help`."""
