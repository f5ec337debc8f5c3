"""Findings as SARIF 2.1.0, for code scanning and editors.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) 2.1.0, errata 01; and
GitHub's documentation of the properties that its code scanning reads.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from trtdbg import __version__
from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.analysis.checked import (
    MOST,
    CheckedModel,
    Result,
    alike,
    cures_of,
    why_of,
)
from trtdbg.analysis.codes import Explanation
from trtdbg.analysis.summary import model_place
from trtdbg.outputs.ci.checkout import is_outside, place_in
from trtdbg.plain import escaped_json, one_line
from trtdbg.records import FailedReport, Finding, Level, Source

SCHEMA_URI = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/"
    "sarif-schema-2.1.0.json"
)

_RULE_INDEX = {code: index for index, code in enumerate(CATALOGUE)}


class _Object(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of the objects of SARIF that trtdbg writes; names as in the standard."""


class _Text(_Object, frozen=True):
    text: str
    markdown: str | None = None


class _Configuration(_Object, frozen=True):
    level: str


class _Rule(_Object, frozen=True, kw_only=True):
    id: str
    name: str
    short_description: _Text
    full_description: _Text
    help: _Text
    help_uri: str | None = None
    default_configuration: _Configuration
    properties: dict[str, list[str] | str]


class _Driver(_Object, frozen=True, kw_only=True):
    name: str
    semantic_version: str
    information_uri: str | None = None
    rules: list[_Rule]


class _Tool(_Object, frozen=True):
    driver: _Driver


class _Artifact(_Object, frozen=True):
    uri: str
    uri_base_id: str | None = None


class _Region(_Object, frozen=True):
    start_line: int
    snippet: _Text | None = None


class _PhysicalLocation(_Object, frozen=True):
    artifact_location: _Artifact
    region: _Region | None = None


class _LogicalLocation(_Object, frozen=True):
    fully_qualified_name: str
    kind: str


class _Location(_Object, frozen=True):
    physical_location: _PhysicalLocation
    logical_locations: list[_LogicalLocation] | None = None
    message: _Text | None = None


class _SarifResult(_Object, frozen=True, kw_only=True):
    rule_id: str
    rule_index: int | None = None
    level: str
    message: _Text
    locations: list[_Location]
    related_locations: list[_Location] | None = None
    partial_fingerprints: dict[str, str]
    baseline_state: str | None = None
    properties: dict[str, str | int | list[str]]


class _Notification(_Object, frozen=True):
    level: str
    message: _Text
    locations: list[_Location]


class _Invocation(_Object, frozen=True):
    execution_successful: bool
    tool_execution_notifications: list[_Notification] | None = None


class _AutomationDetails(_Object, frozen=True):
    id: str


class _Run(_Object, frozen=True):
    tool: _Tool
    automation_details: _AutomationDetails
    invocations: list[_Invocation]
    column_kind: str
    results: list[_SarifResult]


class _Log(_Object, frozen=True):
    schema: str = msgspec.field(name="$schema")
    version: str
    runs: list[_Run]


def render(results: Sequence[Result], root: Path, *, baseline: bool) -> str:
    """Returns a SARIF log with one run over all models.

    Args:
        results: What was found in each model.
        root: The checkout, which paths are made relative to.
        baseline: Whether there is a baseline to tell new findings from known ones.
    """
    failed = [_notification(each, root) for each in results if isinstance(each, FailedReport)]
    run = _Run(
        tool=_Tool(
            driver=_Driver(
                name="trtdbg",
                semantic_version=__version__,
                information_uri=project_url("homepage"),
                rules=[_rule(entry) for entry in CATALOGUE.values()],
            )
        ),
        automation_details=_AutomationDetails(id=_category(results)),
        invocations=[
            _Invocation(
                execution_successful=not failed,
                tool_execution_notifications=failed or None,
            )
        ],
        column_kind="unicodeCodePoints",
        results=[
            result
            for each in results
            if isinstance(each, CheckedModel)
            for result in _results(each, root, baseline)
        ],
    )
    log = _Log(schema=SCHEMA_URI, version="2.1.0", runs=[run])
    text = msgspec.json.format(msgspec.json.encode(log), indent=2)
    return escaped_json(text).decode() + "\n"


def _category(results: Sequence[Result]) -> str:
    """Returns what GitHub tells analyses of one commit apart by; it ends with a slash.

    Analyses under two timings stand side by side, where the later would replace the earlier.
    """
    timings = {each.policy.timing.value for each in results if isinstance(each, CheckedModel)}
    return f"trtdbg/{timings.pop()}/" if len(timings) == 1 else "trtdbg/"


@functools.cache
def project_url(label: str) -> str | None:
    """Returns an address of the project by its label in the package's own metadata.

    None if the metadata have none, and the log then has none either.
    """
    try:
        known = importlib.metadata.metadata("trtdbg").get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for entry in known:
        name, _, url = entry.partition(",")
        if name.strip().lower() == label and url.strip().startswith("https://"):
            return str(url.strip())
    return None


_MEASURED = "TD4"
"""Findings of these codes hold on the inputs that were run."""

_SEVERITIES = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "recommendation"}


def _rule(entry: Explanation) -> _Rule:
    precision = "high" if entry.code.startswith(_MEASURED) else "very-high"
    return _Rule(
        help_uri=project_url("documentation"),
        id=entry.code,
        name=entry.name,
        short_description=_Text(text=entry.what),
        full_description=_Text(text=entry.cause),
        help=_Text(
            text=f"{entry.cause}\n\nCure: {entry.cure}",
            markdown=f"{entry.cause}\n\n**Cure:** {entry.cure}",
        ),
        default_configuration=_Configuration(level=entry.level.value),
        properties={
            "tags": ["dtype", "tensorrt"],
            "precision": precision,
            "problem.severity": _SEVERITIES[entry.level],
        },
    )


def _results(checked: CheckedModel, root: Path, baseline: bool) -> list[_SarifResult]:
    related = {
        (each.code, each.node): [other for other in group if other is not each]
        for group in alike(checked)
        for each in group
        if len(group) > 1
    }
    states = ["new"] * len(checked.findings) + ["unchanged"] * len(checked.known)
    return [
        _result(
            checked,
            finding,
            fingerprint,
            state if baseline else None,
            root,
            related.get((finding.code, finding.node), [])[:MOST],
        )
        for finding, fingerprint, state in zip(
            (*checked.findings, *checked.known), checked.fingerprints, states, strict=True
        )
    ]


def _result(
    checked: CheckedModel,
    finding: Finding,
    fingerprint: str,
    state: str | None,
    root: Path,
    related: Sequence[Finding],
) -> _SarifResult:
    properties: dict[str, str | int | list[str]] = {
        "model": model_place(checked.model),
        "policy": checked.policy.flags(),
    }
    if finding.node is not None:
        properties["node"] = finding.node
    if finding.engine is not None:
        properties["engine"] = finding.engine
    tried = cures_of(checked, finding)
    if tried:
        properties["cures"] = tried
    return _SarifResult(
        rule_id=finding.code,
        rule_index=_RULE_INDEX.get(finding.code),
        level=finding.level.value,
        message=_Text(text=_message(checked, finding)),
        locations=[_location(checked.model.path, finding, root)],
        related_locations=[
            *_real_place(checked.model.path, finding, root),
            *(
                msgspec.structs.replace(
                    _location(checked.model.path, other, root),
                    message=_Text(text=f"the same of {other.node}"),
                )
                for other in related
            ),
        ]
        or None,
        # GitHub's code scanning reads only this name.
        partial_fingerprints={"primaryLocationLineHash": fingerprint},
        baseline_state=state,
        properties=properties,
    )


def _message(checked: CheckedModel, finding: Finding) -> str:
    """Returns what was found, and the sentence of its cause where it does not say so."""
    why = why_of(checked, finding)
    if why is None or why in finding.message:
        return one_line(finding.message)
    return one_line(f"{finding.message}; why: {why}")


def _location(model: str, finding: Finding, root: Path) -> _Location:
    """Returns the source line, or the model's file where no line of the checkout is meant.

    A line of a library is outside of the checkout, and a code scanning shows nothing there.
    """
    source = finding.source
    module = source.module if source is not None else None
    logical = (
        [_LogicalLocation(fully_qualified_name=module, kind="module")] if module else None
    )
    if source is None or source.file is None or _falls_back(model, source.file, root):
        region = _Region(start_line=1)
        physical = _PhysicalLocation(artifact_location=_artifact(model, root), region=region)
        return _Location(physical_location=physical, logical_locations=logical)
    return _Location(physical_location=_at(source, root), logical_locations=logical)


def _at(source: Source, root: Path) -> _PhysicalLocation:
    region = None
    if source.line is not None and source.line >= 1:
        snippet = _Text(text=source.code) if source.code else None
        region = _Region(start_line=source.line, snippet=snippet)
    return _PhysicalLocation(
        artifact_location=_artifact(source.file or "", root), region=region
    )


def _falls_back(model: str, file: str, root: Path) -> bool:
    """Returns whether a file is outside of the checkout and the model is not."""
    return is_outside(file, root) and not is_outside(model, root)


def _real_place(model: str, finding: Finding, root: Path) -> list[_Location]:
    """Returns the line of a library that a finding at the model's file is about."""
    source = finding.source
    if source is None or source.file is None or not _falls_back(model, source.file, root):
        return []
    return [_Location(physical_location=_at(source, root), message=_Text(text="the line"))]


def _artifact(path: str, root: Path) -> _Artifact:
    place = place_in(path, root)
    if place.startswith("/"):
        return _Artifact(uri=f"file://{quote(place)}")
    if place[1:3] == ":/":
        return _Artifact(uri=f"file:///{quote(place, safe='/:')}")
    return _Artifact(uri=quote(place), uri_base_id="%SRCROOT%")


def _notification(failed: FailedReport, root: Path) -> _Notification:
    physical = _PhysicalLocation(artifact_location=_artifact(failed.model.path, root))
    return _Notification(
        level="error",
        message=_Text(text=one_line(failed.error)),
        locations=[_Location(physical_location=physical)],
    )
