"""What `trtdbg check` knows of each model: findings, which are known already, which fail."""

from __future__ import annotations

import re
from collections import Counter
from hashlib import sha256

import msgspec

from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.analysis.cause_lines import cure_text
from trtdbg.analysis.headline import headline
from trtdbg.analysis.summary import base_name, count, model_name
from trtdbg.plain import one_line
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import (
    BuildStatus,
    Cause,
    FailedReport,
    Finding,
    Level,
    ModelPath,
    NodeRecord,
    Record,
    Report,
)

CHECK_SCHEMA = "trtdbg.check/1"

LEVELS = tuple(Level)
"""Mildest first, as the enum lists them."""


class Fingerprint(Record, frozen=True, kw_only=True):
    """What stays of a finding when lines move and lowering numbers its nodes anew."""

    model: str
    """Name of the model's file, without its folder, and of its program if it holds several."""
    code: str
    target: str | None
    """The node's operator, or the name of a constant without the number at its end."""
    file: str | None
    """Name of the source file, without its folder."""
    module: str | None
    ordinal: int
    """From 1, among findings of which all the rest is equal, in graph order."""

    def digest(self) -> str:
        """Returns it as a hexadecimal hash."""
        return sha256(msgspec.json.encode(self)).hexdigest()[:32]


class Checked(Record, frozen=True, kw_only=True):
    """A selected finding with what identifies it from run to run."""

    finding: Finding
    fingerprint: Fingerprint


class CheckedModel(Record, frozen=True, kw_only=True):
    """The selected findings of one model, as `--format json` writes them."""

    schema: str = CHECK_SCHEMA
    model: ModelPath
    policy: TruncationPolicy
    settings: Settings
    findings: tuple[Finding, ...]
    """All of them, or the new ones where there is a baseline."""
    known: tuple[Finding, ...] = ()
    """Those that the baseline holds."""
    fingerprints: tuple[str, ...] = ()
    """One per finding, then one per known finding."""
    causes: tuple[Cause, ...] = ()
    """All causes of the model, whatever findings are selected."""
    built: bool = True
    """Whether TensorRT was asked to build every engine; True where there is none."""
    headline: str = ""
    """The answer in one line: engines and operators in PyTorch, today and under `late`."""


Result = CheckedModel | FailedReport
"""What a check ends with for one model."""


def check(
    report: Report, *, select: tuple[str, ...], ignore: tuple[str, ...]
) -> list[Checked]:
    """Returns the findings whose codes begin as in `select` (all if empty), less `ignore`."""
    nodes = {node.name: node for node in report.nodes}
    seen: Counter[tuple[str | None, ...]] = Counter()
    kept = []
    for finding in report.findings:
        # Numbered before the selection, which must not change what a finding is known by.
        place = _place(report, finding, nodes.get(finding.node or ""))
        seen[place] += 1
        if select and not finding.code.startswith(select):
            continue
        if ignore and finding.code.startswith(ignore):
            continue
        model, target, file, module = place[0], *place[2:]
        fingerprint = Fingerprint(
            model=model or "",
            code=finding.code,
            target=target,
            file=file,
            module=module,
            ordinal=seen[place],
        )
        kept.append(Checked(finding=finding, fingerprint=fingerprint))
    return kept


def _place(
    report: Report, finding: Finding, node: NodeRecord | None
) -> tuple[str | None, ...]:
    source = finding.source
    target = None
    if node is not None:
        called = node.op.startswith("call_")
        target = node.target if called else re.sub(r"_?\d+$", "", node.target)
    return (
        model_name(report.model),
        finding.code,
        target,
        base_name(source.file) if source is not None and source.file else None,
        source.module if source is not None else None,
    )


def result(
    report: Report,
    found: list[Checked],
    known: frozenset[Fingerprint],
    *,
    known_as: list[Checked] | None = None,
) -> CheckedModel:
    """Returns the findings of a model, those apart that a baseline knows.

    Args:
        report: what is shown of the model.
        found: its selected findings.
        known: what the baseline holds.
        known_as: the same findings as the baseline knows them, where the report is redacted.
    """
    pairs = list(zip(found, known_as or found, strict=True))
    new = [each for each, real in pairs if real.fingerprint not in known]
    old = [each for each, real in pairs if real.fingerprint in known]
    return CheckedModel(
        model=ModelPath(path=report.model.path, program=report.model.program),
        policy=report.policy,
        settings=report.settings,
        findings=tuple(each.finding for each in new),
        known=tuple(each.finding for each in old),
        fingerprints=tuple(each.fingerprint.digest() for each in (*new, *old)),
        causes=report.causes,
        built=all(e.build.status is not BuildStatus.NOT_BUILT for e in report.engines),
        headline=headline(report),
    )


def alike(checked: CheckedModel) -> list[tuple[Finding, ...]]:
    """Returns the new findings, those of one code and one cause together, in their order.

    What stands in no cause, or is told by another code than its cause, stands by itself.
    """
    cause_of = {
        (cause.code, node): index
        for index, cause in enumerate(checked.causes)
        for node in cause.nodes
    }
    groups: dict[tuple[str, int], list[Finding]] = {}
    for index, finding in enumerate(checked.findings):
        cause = cause_of.get((finding.code, finding.node or ""))
        key = ("cause", cause) if cause is not None else ("finding", index)
        groups.setdefault(key, []).append(finding)
    return [tuple(group) for group in groups.values()]


def why_of(checked: CheckedModel, finding: Finding) -> str | None:
    """Returns the sentence of a finding's cause; None if it has none.

    That of its node, or of its engine or of the whole graph where it has no node. What is told
    of a node by a code that is not of refusals (TD1xx) has another reason than its cause.
    """
    cause = cause_of(checked, finding)
    return cause.reason if cause is not None else None


def target_of(checked: CheckedModel, finding: Finding) -> str | None:
    """Returns the operator of a finding, None where no cause names it."""
    cause = cause_of(checked, finding)
    return cause.target if cause is not None else None


def cures_of(checked: CheckedModel, finding: Finding) -> list[str]:
    """Returns what was tried against a finding, or against its cause, a sentence each."""
    cause = cause_of(checked, finding)
    tried = finding.cures or (cause.cures if cause is not None else ())
    return [one_line(cure_text(cure)) for cure in tried]


def cause_of(checked: CheckedModel, finding: Finding) -> Cause | None:
    """Returns the cause that a finding is about, None if there is none."""
    for cause in checked.causes:
        alike = cause.code == finding.code
        if finding.node is not None:
            found = finding.node in cause.nodes and (alike or finding.code.startswith("TD1"))
        elif finding.engine is not None:
            found = alike and finding.engine in cause.engines
        else:
            found = alike and not cause.engines
        if found:
            return cause
    return None


def grouped(checked: CheckedModel) -> list[Finding]:
    """Returns one finding for those of one code and cause, its message with all places."""
    found = []
    for first, *rest in alike(checked):
        if not rest:
            found.append(first)
            continue
        also = ", ".join(f"{each.node} ({each.source or 'no line'})" for each in rest[:MOST])
        more = f" and {len(rest) - MOST} more" if len(rest) > MOST else ""
        message = f"{first.message}; {count(len(rest), 'place')} more: {also}{more}"
        found.append(msgspec.structs.replace(first, message=message))
    return found


MOST = 50
"""Places of one cause that are named before the rest is only counted."""


def fails(finding: Finding, fail_on: Level) -> bool:
    """Returns whether a finding is at or above a level."""
    return LEVELS.index(finding.level) >= LEVELS.index(fail_on)


def title(finding: Finding) -> str:
    """Returns code and name, like `TD101 needless-rejection`."""
    known = CATALOGUE.get(finding.code)
    return f"{finding.code} {known.name}" if known else finding.code


def sentence(finding: Finding) -> str:
    """Returns the message as one line, with the text of the source line where it is known."""
    code = finding.source.code if finding.source is not None else None
    text = one_line(finding.message)
    return f"{text} | {one_line(code)}" if code else text


def summary(results: list[Result]) -> str:
    """Returns how many findings there are, of which levels, in how many models."""
    checked = [result for result in results if isinstance(result, CheckedModel)]
    found = [finding for result in checked for finding in result.findings]
    levels = [
        count(number, level.value)
        for level in reversed(LEVELS)
        if (number := sum(finding.level is level for finding in found))
    ]
    detail = f" ({', '.join(levels)})" if levels else ""
    text = f"{count(len(found), 'finding')}{detail} in {count(len(checked), 'model')}"
    known = sum(len(result.known) for result in checked)
    if known:
        text = f"{text}; {known} in the baseline"
    failed = len(results) - len(checked)
    if failed:
        text = f"{text}; {count(failed, 'model')} could not be checked"
    if any(not result.built for result in checked):
        return f"{text}; engines were not built: --build says whether TensorRT takes them"
    return text
