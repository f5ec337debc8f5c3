"""Findings as GitHub workflow commands, which become annotations beside the source lines.

Source: GitHub's documentation of workflow commands, and `toolkit/packages/core/src/command.ts`
of actions/toolkit for the escapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trtdbg.analysis.checked import (
    CheckedModel,
    Result,
    cures_of,
    sentence,
    summary,
    title,
    why_of,
)
from trtdbg.analysis.levels import by_severity
from trtdbg.analysis.summary import model_place
from trtdbg.outputs.ci.checkout import is_outside, place_in
from trtdbg.plain import one_line
from trtdbg.records import FailedReport, Finding, Level

_COMMANDS = {Level.NOTE: "notice", Level.WARNING: "warning", Level.ERROR: "error"}


def render(results: Sequence[Result], root: Path) -> str:
    """Returns one command a finding, the worst first, and a closing line for the log.

    GitHub shows the first ten of each level and step.

    Args:
        results: What was found in each model.
        root: The checkout, which paths are made relative to.
    """
    failed = [_failed(each) for each in results if isinstance(each, FailedReport)]
    found = [
        (finding, each)
        for each in results
        if isinstance(each, CheckedModel)
        for finding in each.findings
    ]
    found.sort(key=lambda pair: by_severity(pair[0].level))
    commands = [_command(finding, each, root) for finding, each in found]
    return "\n".join((*failed, *commands, _escaped(summary(list(results))), ""))


def _command(finding: Finding, checked: CheckedModel, root: Path) -> str:
    properties = {}
    model = checked.model
    path = model.path
    if finding.source is not None and finding.source.file is not None:
        properties["file"] = place_in(finding.source.file, root)
        if is_outside(finding.source.file, root) and not is_outside(path, root):
            # Beside a library's file no annotation is shown.
            properties["file"] = place_in(path, root)
        elif finding.source.line is not None:
            properties["line"] = str(finding.source.line)
    properties["title"] = title(finding)
    message = f"{model_place(model)}: {sentence(finding)}"
    why = why_of(checked, finding)
    if why is not None and why not in finding.message:
        message = f"{message}; why: {why}"
    tried = cures_of(checked, finding)
    if tried:
        # The best one; an annotation is read in a line.
        message = f"{message}; tried here: {tried[0]}"
    return _line(_COMMANDS[finding.level], properties, message)


def _failed(failed: FailedReport) -> str:
    message = f"{model_place(failed.model)}: {failed.error}"
    return _line("error", {"title": "trtdbg could not check a model"}, message)


def _line(command: str, properties: dict[str, str], message: str) -> str:
    words = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{command} {words}::{_escaped(message)}"


def _escaped(text: str) -> str:
    # One line and no control characters: carriage returns and newlines need no escape then.
    return one_line(text).replace("%", "%25")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
