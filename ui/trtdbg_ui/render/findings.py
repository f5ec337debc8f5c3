"""The list of findings, and the explanation of one code."""

from __future__ import annotations

from trtdbg.analysis.alike import alike
from trtdbg.analysis.catalogue import CATALOGUE
from trtdbg.analysis.explained import cure_of, here
from trtdbg.records import Finding, Report
from trtdbg_ui.render.signs import LEVEL_SIGN
from trtdbg_ui.text import BLANK, Line, Tone, line, width, wrap


def finding_line(finding: Finding, size: int, times: int = 1, *, opened: bool = False) -> Line:
    """Returns a finding as one line: level, code, name if there is room, and message.

    Args:
        finding: The finding, or the first of those that are alike.
        size: Cells of the pane.
        times: How many it stands for.
        opened: Whether the others are listed below.
    """
    sign, tone = LEVEL_SIGN[finding.level]
    name = code_and_name(finding.code) if size > 100 else finding.code
    head = (f" {sign} {name}  ", tone)
    if times == 1:
        return line(head, finding.message)
    return line(head, (f"{_OPEN if opened else _CLOSED} {times}× ", _TIMES), finding.message)


_CLOSED, _OPEN = "▸", "▾"
_TIMES = Tone.KEY
"""As keys and links: the number can be clicked."""


def times_at(spans: Line) -> range:
    """Returns the cells in which the line of a finding says how many it stands for."""
    if len(spans) < 2 or spans[1][1] is not _TIMES:
        return range(0)
    start = width(spans[:1])
    return range(start, start + width(spans[1:2]))


def member_line(finding: Finding, head: Line) -> Line:
    """Returns a finding as it is listed below the first that it is like."""
    indent = width(head[:1]) + 2
    return line((" " * indent, Tone.PLAIN), (finding.message, Tone.DIM))


def finding_lines(
    finding: Finding, size: int, times: int = 1, *, opened: bool = False
) -> list[Line]:
    """Returns the same in full, on as many lines as it takes."""
    told = finding_line(finding, size, times, opened=opened)
    return wrap(told, size, indent=width(told[:1]))


def code_and_name(code: str) -> str:
    """Returns `TD101 needless-rejection`; a code of a newer trtdbg stands alone."""
    entry = CATALOGUE.get(code)
    return f"{code} {entry.name}" if entry else code


def explanation(report: Report, findings: tuple[Finding, ...], size: int) -> list[Line]:
    """Returns message, cause and cure of findings, with operator, dtypes and line.

    What they share is said once.
    """
    rows = {node.name: node for node in report.nodes}
    lines: list[Line] = []
    for code in dict.fromkeys(finding.code for finding in findings):
        entry = CATALOGUE.get(code)
        same = [finding for finding in findings if finding.code == code]
        sign, tone = LEVEL_SIGN[same[0].level]
        lines += [BLANK, BLANK] if lines else []
        level = (f"  {same[0].level.value}", Tone.DIM)
        lines += [line((f"{sign} {code_and_name(code)}", tone), level)]
        if entry is not None:
            lines += [BLANK, *wrap(line((entry.what, Tone.STRONG)), size)]
        for group in alike(same).values():
            lines += [BLANK, *wrap(line(f"  {group[0].message}"), size, indent=2)]
            for text in here(report, group[0]):
                lines += wrap(line((f"  {text}", Tone.DIM)), size, indent=4)
            if len(group) > 1:
                more = f"  and {len(group) - 1} alike: {_places(group[1:])}"
                lines += wrap(line((more, Tone.DIM)), size, indent=2)
        named = {finding.node for finding in same}
        node = rows.get(same[0].node or "") if len(named) == 1 else None
        if entry is not None:
            lines += [BLANK, line(("Cause", Tone.HEAD)), *wrap(line(entry.cause), size)]
            lines += [
                BLANK,
                line(("Cure", Tone.HEAD)),
                *wrap(line(cure_of(entry, node)), size),
            ]
    return lines


def _places(findings: tuple[Finding, ...]) -> str:
    """Returns where findings are: their nodes, or the engines of those without."""
    engines = ("" if f.engine is None else f"engine {f.engine}" for f in findings)
    named = [f.node or where for f, where in zip(findings, engines, strict=True)]
    return ", ".join(dict.fromkeys(named))
