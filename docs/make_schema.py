"""Writes docs/report.schema.json anew from the records."""

from __future__ import annotations

from pathlib import Path

from trtdbg.outputs.schema import PUBLISHED, report_schema

if __name__ == "__main__":
    Path(__file__).parents[1].joinpath(PUBLISHED).write_bytes(report_schema())
