"""The list of findings, and the explanation of one code."""

from __future__ import annotations

from trtdbg.outputs.explain import CATALOGUE
from trtdbg.records import Finding
from trtdbg_ui.render.signs import LEVEL_SIGN
from trtdbg_ui.render.text import BLANK, Line, Tone, line, width, wrap


def finding_line(finding: Finding, size: int) -> Line:
    """Returns a finding as one line: level, code, name if there is room, and message."""
    sign, tone = LEVEL_SIGN[finding.level]
    name = code_and_name(finding.code) if size > 100 else finding.code
    return line((f" {sign} {name}  ", tone), finding.message)


def finding_lines(finding: Finding, size: int) -> list[Line]:
    """Returns the same in full, on as many lines as it takes."""
    told = finding_line(finding, size)
    return wrap(told, size, indent=width(told[:1]))


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
            lines += [BLANK, *wrap(line(f"  {finding.message}"), size, indent=2)]
        if entry is not None:
            lines += [BLANK, line(("Cause", Tone.HEAD)), *wrap(line(entry.cause), size)]
            lines += [BLANK, line(("Cure", Tone.HEAD)), *wrap(line(entry.cure), size)]
    return lines
