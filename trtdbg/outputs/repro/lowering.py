"""The smallest part of a program that a lowering pass raises on, as a .pt2 and a script."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from trtdbg.analysis.sentence import SUBSTITUTIONS, gist
from trtdbg.analysis.summary import count
from trtdbg.outputs.html import render
from trtdbg.outputs.repro import reproducer
from trtdbg.outputs.repro.reduced import SmallestPart, folded, heading, parts
from trtdbg.policy import Settings, truncates_double
from trtdbg.records import Report

STEM: Final = "td501_lowering"
"""Base name of both files."""

_PLACE: Final = re.compile(r" \(raised in [^()]*\)$")


@dataclass(frozen=True, kw_only=True)
class RaisingPart(SmallestPart):
    """The smallest part of a program that a lowering pass raises on."""

    pass_name: str
    """Which of the lowering passes raises."""


def title(part: RaisingPart) -> str:
    """Returns what the part shows, as a bug report's title."""
    number = count(len(part.operators), "operator")
    verb = "crashes" if part.crashed else "raises"
    return f"lowering pass {part.pass_name} {verb} on {number}"


def script(report: Report, part: RaisingPart) -> str:
    """Returns the Python file that lowers the .pt2 beside it as torch_tensorrt does."""
    settings = report.settings
    decompositions = (
        settings.enable_experimental_decompositions,
        settings.decompose_attention,
        settings.use_distributed_mode_trace,
    )
    return render(
        "lowering.py.txt",
        heading=_heading(report, part),
        name=f"{STEM}.py",
        program=f"{STEM}.pt2",
        program_name=repr(f"{STEM}.pt2"),
        graph=[line for text in part.graph for line in folded(text)],
        crashed=part.crashed,
        settings=_settings(settings),
        decompositions=", ".join(map(repr, decompositions)),
        truncate_double=truncates_double(report.policy, settings),
        substitutions=[(f'r"{p}"', repr(w)) for p, w in SUBSTITUTIONS],
        sentence=[repr(each) for each in parts(gist(_PLACE.sub("", part.sentence)))],
    )


def issue(report: Report, part: RaisingPart, code: str, printed: str) -> str:
    """Returns a Markdown bug report with the file's text and what it printed."""
    return reproducer.bug_report(
        report, title(part), _message(part), code, printed, program=f"{STEM}.pt2"
    )


def _settings(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Returns what is set otherwise than usual, without autocast, which TD603 is about."""
    changed = reproducer.changed_settings(settings)
    return tuple((name, value) for name, value in changed if "autocast" not in name)


def _message(part: RaisingPart) -> str:
    return f"TD501: lowering pass {part.pass_name} raised {part.sentence}"


def _heading(report: Report, part: RaisingPart) -> list[str]:
    return heading(
        report,
        part,
        (f"{title(part)}.", _message(part)),
        f"which has {count(part.whole, 'operator')}",
        "No smaller part was found: fewer may do.",
    )
