"""The list of findings, and the explanation of one code."""

from __future__ import annotations

from trtdbg.outputs.explain import CATALOGUE
from trtdbg.records import Finding
from trtdbg_ui.render.signs import LEVEL_SIGN
from trtdbg_ui.render.text import BLANK, Line, Tone, fit_middle, line, wrap


def finding_line(finding: Finding, size: int) -> Line:
    """Returns a finding as one line: level, code, node and message."""
    sign, tone = LEVEL_SIGN[finding.level]
    node = fit_middle(finding.node or "-", 18 if size > 100 else 12)
    where = f"{finding.source}  " if finding.source and size > 100 else ""
    return line(
        (f" {sign} {finding.code} ", tone),
        (f"{node}  ", Tone.STRONG),
        (where, Tone.DIM),
        finding.message,
    )


def code_and_name(code: str) -> str:
    """Returns `TD101 needless-rejection`; a code of a newer trtdbg stands alone."""
    entry = CATALOGUE.get(code)
    return f"{code} {entry.name}" if entry else code


def explanation(findings: tuple[Finding, ...], size: int) -> list[Line]:
    """Returns message, cause and cure of each finding; what one code means is said once."""
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
        for finding in same:
            where = f"  {finding.source}" if finding.source else ""
            text = line(f"  {finding.message}", (where, Tone.DIM))
            lines += [BLANK, *wrap(text, size, indent=2)]
        if entry is not None:
            lines += [BLANK, line(("Cause", Tone.HEAD)), *wrap(line(entry.cause), size)]
            lines += [BLANK, line(("Cure", Tone.HEAD)), *wrap(line(entry.cure), size)]
    return lines
