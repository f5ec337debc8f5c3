"""Results of a check that every format has to render."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tests import canned
from trtdbg.analysis import checked
from trtdbg.analysis.checked import Result
from trtdbg.records import FailedReport, ModelPath, Report, Source

GOLDEN = Path(__file__).parents[3] / "golden"

ROOT = Path("/checkout")
"""A checkout in which there is no file."""

FAILED = FailedReport(
    model=ModelPath(path="models/odd.pt2"), error="not a .pt2; export it again", exit_code=2
)


def result(report: Report, *, known: tuple[str, ...] = ()) -> Result:
    """Returns the findings of a report, those of some codes known."""
    found = checked.check(report, select=(), ignore=())
    fingerprints = {each.fingerprint for each in found if each.finding.code in known}
    return checked.result(report, found, frozenset(fingerprints))


RESULTS: list[Result] = [
    result(canned.UPSTREAM),
    FAILED,
    result(canned.LATE),
    result(canned.CLEAN),
    result(canned.LOWERING_FAILED),
]
"""Errors, warnings and notes, with a source and without, a failure and nothing at all."""

NASTY = "a:b,c%d\nsecond\x1b[2J line <&\"'>\x00\u202e end ]]>"

NASTY_REPORT = msgspec.structs.replace(
    canned.UPSTREAM,
    model=msgspec.structs.replace(canned.UPSTREAM.model, path=f"models/{NASTY}.pt2"),
    findings=(
        msgspec.structs.replace(
            canned.UPSTREAM.findings[0],
            node=NASTY,
            message=NASTY,
            source=Source(file=f"net/{NASTY}.py", line=3, module=NASTY, code=NASTY),
        ),
    ),
)
"""Names and messages that mean something in every format."""


def golden(name: str, text: str) -> str:
    """Returns the golden text; `UPDATE_GOLDEN=1 pytest` writes it anew."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8")
