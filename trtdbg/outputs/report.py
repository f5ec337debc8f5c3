"""Saved reports: the records as JSON, written and read back with validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from trtdbg.errors import ModelError
from trtdbg.files import read_bounded
from trtdbg.plain import escaped_json
from trtdbg.records import SCHEMA, FailedReport, Report

Entry = Report | FailedReport
"""What a command knows about one model: its report, or why there is none."""


_MOST_MIB: Final = 512


class _Header(msgspec.Struct):
    schema: str | None = None
    error: str | None = None


def encode(entries: Sequence[msgspec.Struct]) -> bytes:
    """Returns JSON: one model's record as an object, those of several as a list in order."""
    body = entries[0] if len(entries) == 1 else list(entries)
    return escaped_json(msgspec.json.encode(body)) + b"\n"


def is_saved_report(path: str | Path) -> bool:
    """Tells by its name whether a path means a saved report rather than a model."""
    return str(path).lower().endswith(".json")


def read_report(path: str | Path) -> Report:
    """Reads a report that `trtdbg report --json FILE` saved.

    Raises:
        ModelError: it cannot be read, is no report, is of another version, or is damaged.
    """
    try:
        data = read_bounded(path, _MOST_MIB)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    return decode(data, str(path))


def decode(data: bytes, name: str) -> Report:
    """Returns the report in `data`; `name` says in errors where the bytes come from.

    Raises:
        ModelError: it is no report, is of another version, or is damaged.
    """
    if data.lstrip()[:1] == b"[":
        raise ModelError(
            f"{name} holds a list of reports", remedy="save one report a file to open it"
        )
    try:
        header = msgspec.json.decode(data, type=_Header)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ModelError(f"{name} is not a saved report: {error}") from error
    if header.schema is None:
        raise ModelError(f"{name} is not a saved report: it names no schema")
    if not header.schema.startswith(SCHEMA.partition("/")[0] + "/"):
        raise ModelError(
            f"{name} is not a saved report: its schema is {header.schema!r}",
            remedy="name a .pt2 file, or a report that `report --json` saved",
        )
    if header.schema != SCHEMA:
        raise ModelError(
            f"{name} has the schema {header.schema!r}, this trtdbg reads {SCHEMA!r}",
            remedy="make the report again with this version, or open it with the other one",
        )
    if header.error is not None:
        raise ModelError(f"{name} records a failed analysis: {header.error}")
    try:
        report = msgspec.json.decode(data, type=Report)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ModelError(f"{name} is a damaged report: {error}") from error
    problem = _broken_reference(report)
    if problem is not None:
        raise ModelError(f"{name} is a damaged report: {problem}")
    return report


def _broken_reference(report: Report) -> str | None:
    """Returns the first index or name that points nowhere, which typed decoding cannot see."""
    pool = len(report.graph_nodes)
    for record in report.passes:
        wrong = next((index for index in record.graph if not 0 <= index < pool), None)
        if wrong is not None:
            return f"pass {record.index} shows graph node {wrong}, there are {pool}"
    engines = [engine.index for engine in report.engines]
    if len(set(engines)) != len(engines):
        return "two engines have the same index"
    names = {node.name for node in report.nodes}
    if len(names) != len(report.nodes):
        return "two nodes have the same name"
    for node in report.nodes:
        if node.engine is not None and node.engine not in engines:
            return f"node {node.name!r} is in engine {node.engine}, which is not listed"
    return None
