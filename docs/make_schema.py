"""Writes docs/report.schema.json, docs/records.md and docs/versions.md anew."""

from __future__ import annotations

from pathlib import Path

import make_records
import make_versions

from trtdbg.outputs.schema import PUBLISHED, report_schema

if __name__ == "__main__":
    Path(__file__).parents[1].joinpath(PUBLISHED).write_bytes(report_schema())
    make_records.PAGE.write_text(make_records.page(), encoding="utf-8")
    make_versions.PAGE.write_text(make_versions.page(), encoding="utf-8")
