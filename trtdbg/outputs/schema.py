"""The JSON Schema of a saved report, made from the records themselves."""

from __future__ import annotations

import msgspec

from trtdbg.records import SCHEMA, Report

PUBLISHED = "docs/report.schema.json"
"""Where the schema of this version stands in the repository."""


def report_schema() -> bytes:
    """Returns the JSON Schema (2020-12) of the report of one model, as indented JSON.

    Keys may be added in later versions, so it forbids none.
    """
    made = msgspec.json.schema(Report)
    named = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A report of trtdbg ({SCHEMA})",
    }
    return msgspec.json.format(msgspec.json.encode(named | made), indent=2) + b"\n"
