"""Findings as JUnit XML, which CI systems show as test results.

One suite a model. Its first case says whether the analysis went through, so that no suite is
empty; every finding is a case after it, failed if it is at or above the level that fails.
Elements and attributes are those that pytest and PHPUnit write, which readers are made for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.analysis.checked import (
    CheckedModel,
    Result,
    cures_of,
    fails,
    sentence,
    target_of,
    title,
    why_of,
)
from trtdbg.analysis.explained import filled
from trtdbg.analysis.summary import model_place
from trtdbg.outputs.ci.checkout import place_in
from trtdbg.plain import one_line, visible, without_commands
from trtdbg.records import FailedReport, Finding, Level


def render(results: Sequence[Result], root: Path, fail_on: Level) -> str:
    """Returns a JUnit document with a suite a model.

    Args:
        results: What was found in each model.
        root: The checkout, which paths are made relative to.
        fail_on: The mildest level whose findings are failures.
    """
    suites = Element("testsuites", name="trtdbg")
    for each in results:
        suites.append(_suite(each, root, fail_on))
    for name in ("tests", "failures", "errors"):
        suites.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    ElementTree.indent(suites)
    # XML has no character references for most control characters.
    text = without_commands(visible(ElementTree.tostring(suites, encoding="unicode")))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(result: Result, root: Path, fail_on: Level) -> Element:
    model = one_line(model_place(result.model))
    suite = Element("testsuite", name=model)
    analysis = SubElement(suite, "testcase", classname=model, name="analysis")
    if isinstance(result, FailedReport):
        error = SubElement(analysis, "error", type=f"exit code {result.exit_code}")
        error.set("message", one_line(result.error))
    else:
        _cases(suite, model, result, root, fail_on)
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("skipped", "0")
    return suite


def _cases(
    suite: Element, model: str, result: CheckedModel, root: Path, fail_on: Level
) -> None:
    names: Counter[str] = Counter()
    for finding in result.findings:
        name = title(finding) + (f": {one_line(finding.node)}" if finding.node else "")
        names[name] += 1
        if names[name] > 1:
            # Readers tell cases apart by their names.
            name = f"{name} ({names[name]})"
        case = SubElement(suite, "testcase", classname=model, name=name)
        _set_place(case, finding, root)
        message = sentence(finding)
        if not fails(finding, fail_on):
            SubElement(case, "system-out").text = f"{finding.level.value}: {message}"
            continue
        failure = SubElement(case, "failure", type=finding.code, message=message)
        failure.text = _explained(result, finding, message)


def _explained(result: CheckedModel, finding: Finding, message: str) -> str:
    """Returns the message, what is known of its code, and why it is so in this model."""
    parts = [message]
    known = CATALOGUE.get(finding.code)
    if known is not None:
        cure = filled(known.cure, finding.node, target_of(result, finding))
        parts += [f"Cause: {known.cause}", f"Cure: {cure}"]
    why = why_of(result, finding)
    if why is not None:
        parts.append(f"Why here: {one_line(why)}")
    parts += [f"Tried here: {tried}" for tried in cures_of(result, finding)]
    return "\n\n".join(parts)


def _set_place(case: Element, finding: Finding, root: Path) -> None:
    source = finding.source
    if source is None or source.file is None:
        return
    case.set("file", one_line(place_in(source.file, root)))
    if source.line is not None:
        case.set("line", str(source.line))
