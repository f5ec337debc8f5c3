"""What the export dialog can write, by the ending of the file's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trtdbg.analysis.checked import check, result
from trtdbg.errors import OutputError
from trtdbg.outputs.policy_file import policy_toml
from trtdbg.outputs.report import encode
from trtdbg.records import Level, Report


@dataclass(frozen=True)
class ExportKind:
    """One form in which what is shown can be written."""

    ending: str
    words: str
    """What is written, and for whom."""
    make: Callable[[Report], bytes]


def _sarif(report: Report) -> bytes:
    from trtdbg.outputs.ci import sarif

    checked = result(report, check(report, select=(), ignore=()), frozenset())
    return sarif.render([checked], Path.cwd(), baseline=False).encode()


def _junit(report: Report) -> bytes:
    from trtdbg.outputs.ci import junit

    checked = result(report, check(report, select=(), ignore=()), frozenset())
    return junit.render([checked], Path.cwd(), Level.WARNING).encode()


def _html(report: Report) -> bytes:
    from trtdbg.outputs import report_pages

    return report_pages.page([report]).encode()


def _markdown(report: Report) -> bytes:
    from trtdbg.outputs import report_pages

    return report_pages.markdown([report]).encode()


KINDS: tuple[ExportKind, ...] = (
    ExportKind(
        ".json", "the whole report; trtdbg opens it, without torch", lambda r: encode([r])
    ),
    ExportKind(".html", "the report as one page, to read or send", _html),
    ExportKind(".md", "the report as Markdown, for an issue", _markdown),
    ExportKind(
        ".toml", "the policy, for --policy FILE", lambda r: policy_toml(r.policy).encode()
    ),
    ExportKind(".sarif", "the findings, for code scanning", _sarif),
    ExportKind(".xml", "the findings as JUnit tests", _junit),
)


def kind_of(path: str) -> ExportKind:
    """Returns the form that a file's name asks for.

    Raises:
        OutputError: none has that ending.
    """
    for kind in KINDS:
        if path.lower().endswith(kind.ending):
            return kind
    endings = ", ".join(kind.ending for kind in KINDS)
    raise OutputError(f"What is written follows from the name's ending: {endings}")


def with_next_ending(path: str, step: int) -> str:
    """Returns the path with the ending of the next form, or with the first if it has none."""
    endings = [kind.ending for kind in KINDS]
    for index, ending in enumerate(endings):
        if path.lower().endswith(ending):
            return path[: -len(ending)] + endings[(index + step) % len(endings)]
    return path + endings[0]


def suggested_name(report: Report) -> str:
    """Returns a name for the file, made of the model's and the timing."""
    stem = Path(report.model.path.replace("\\", "/")).name.removesuffix(".pt2")
    safe = "".join(char if char.isalnum() or char in "._- " else "_" for char in stem)
    return f"{safe.strip('. ') or 'model'}-{report.policy.timing.value}.json"
