"""The smallest part of an engine that TensorRT refuses, as a .pt2 and a Python file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from trtdbg.analysis.sentence import SUBSTITUTIONS, gist
from trtdbg.analysis.summary import count, environment_line, model_name
from trtdbg.outputs.html import render
from trtdbg.outputs.repro import reproducer
from trtdbg.plain import one_line
from trtdbg.policy import converters_truncate
from trtdbg.records import Report


@dataclass(frozen=True, kw_only=True)
class SmallestPart:
    """What is known of the smallest part that fails as the whole does."""

    operators: tuple[str, ...]
    """Of the part, in graph order."""
    graph: tuple[str, ...]
    """The same as lines to read."""
    whole: int
    """How many operators the engine, or the program, has."""
    sentence: str
    """TensorRT's about the part, that of the exception, or how the process ended."""
    crashed: bool = False
    """What is tried ends the process."""
    complete: bool = True
    """None of the operators can be left out; else the search was ended before its end."""


@dataclass(frozen=True, kw_only=True)
class Reduced(SmallestPart):
    """The smallest part of an engine that TensorRT refuses."""

    code: str
    """TD503, or TD102 where the sentence names a node."""
    engine: int


def title(reduced: Reduced) -> str:
    """Returns what the part shows, as a bug report's title."""
    number = count(len(reduced.operators), "operator")
    if reduced.crashed:
        return f"TensorRT crashes on {number}"
    return f"TensorRT refuses {number} that every validator accepts"


def script(report: Report, reduced: Reduced, stem: str) -> str:
    """Returns the Python file that builds `stem`.pt2; it will be called `stem`.py."""
    return render(
        "reduced.py.txt",
        heading=_heading(report, reduced),
        name=f"{stem}.py",
        program=f"{stem}.pt2",
        program_name=repr(f"{stem}.pt2"),
        graph=[line for text in reduced.graph for line in folded(text)],
        crashed=reduced.crashed,
        settings=reproducer.changed_settings(report.settings),
        truncate_double=converters_truncate(report.policy, report.settings),
        substitutions=[(f'r"{p}"', repr(w)) for p, w in SUBSTITUTIONS],
        sentence=[repr(part) for part in parts(gist(reduced.sentence))],
    )


def folded(text: str) -> list[str]:
    """Returns a line of a graph as lines that fit a comment."""
    return wrap(one_line(text), 90, subsequent_indent="        ") or [""]


def parts(sentence: str) -> list[str]:
    """Returns a sentence in parts that fit a line; joined they are the sentence."""
    return [sentence[start : start + 80] for start in range(0, len(sentence), 80)]


def issue(report: Report, reduced: Reduced, code: str, printed: str) -> str:
    """Returns a Markdown bug report with the file's text and what it printed."""
    program = f"{file_stem(reduced)}.pt2"
    return reproducer.bug_report(
        report, title(reduced), _message(reduced), code, printed, program=program
    )


def file_stem(reduced: Reduced) -> str:
    """Returns the base name of both files: `td503_engine_0`."""
    return f"{reduced.code.lower()}_engine_{reduced.engine}"


def _message(reduced: Reduced) -> str:
    return f"{reduced.code}: engine {reduced.engine} does not build: {reduced.sentence}"


def _heading(report: Report, reduced: Reduced) -> list[str]:
    few = "The search was ended before its end: fewer may do."
    return heading(
        report,
        reduced,
        (f"{title(reduced)}.", _message(reduced)),
        f"where that engine has {count(reduced.whole, 'operator')} under timing "
        f"{report.policy.timing.value}",
        few,
    )


def heading(
    report: Report, part: SmallestPart, said: Sequence[str], whole: str, ended: str
) -> list[str]:
    """Returns the lines at the head of a file that shows the smallest part.

    Args:
        report: what the part was cut out of.
        part: see there.
        said: what the part shows.
        whole: how large the whole is, as a clause.
        ended: what is said of a part that a search did not find to its end.
    """
    few = "None of them can be left out." if part.complete else ended
    told = [
        *said,
        f"Cut by trtdbg {report.environment.trtdbg} out of {model_name(report.model)}, "
        f"{whole}. {few}",
        f"Seen with {environment_line(report.environment)}.",
    ]
    return [line for text in told for line in wrap(one_line(text), 92)]
