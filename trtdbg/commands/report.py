"""`trtdbg report`: what happens to a model's dtypes, as tables or as records."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import click
import msgspec

from trtdbg.analysis import bisect, by_place, cause_lines, trace
from trtdbg.commands import models as shared
from trtdbg.commands.live import Live
from trtdbg.commands.options import (
    Choices,
    Command,
    SectionedOption,
    analysis_options,
    force_option,
    json_option,
    verbose_option,
)
from trtdbg.commands.recorded import as_given, models_argument, programs_of
from trtdbg.commands.redacting import Redaction, redaction_options
from trtdbg.commands.running import RunningCommand, numerics_options
from trtdbg.commands.shell import Shell
from trtdbg.commands.watching import Watcher
from trtdbg.errors import ExitCode, UsageError
from trtdbg.files import refuse_existing, write_atomically
from trtdbg.outputs.report import Entry
from trtdbg.recordings.folder import folder_of
from trtdbg.records import FailedReport, Report


def _reason_option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    return click.option(*names, cls=SectionedOption, section="Reasons", **attributes)


@dataclass(frozen=True)
class Questions:
    """What is asked about a report besides the report itself."""

    consequences: bool = False
    suggestion: bool = False
    traces: tuple[str, ...] = ()
    """Nodes whose wide dtype is followed to where it begins."""
    bisections: tuple[str, ...] = ()
    """Nodes whose passes are told."""
    cures: bool = False
    places: tuple[str, ...] = ()
    """`line`, `module`, `operator`: what is summed up."""
    block_sizes: bool = False

    def is_open(self, report: Report) -> bool:
        """Returns whether the worker has to be asked for more than the report holds."""
        return (
            (self.consequences and report.consequences is None)
            or (self.suggestion and report.suggestion is None)
            or (self.cures and cause_lines.is_open(report))
        )

    def with_places(self, report: Report) -> Report:
        """Returns a report with the sums that were asked for."""
        lines = by_place.by_line(report) if "line" in self.places else report.lines
        modules = by_place.by_module(report) if "module" in self.places else report.modules
        wanted = "operator" in self.places
        operators = by_place.by_operator(report) if wanted else report.operators
        return msgspec.structs.replace(
            report, lines=lines, modules=modules, operators=operators
        )

    def answers(self, report: Report) -> list[list[str]]:
        """Returns the lines about each node asked about.

        Raises:
            UsageError: the report has no such node, or nothing to tell about it.
        """
        traced = [trace.lines(report, name) for name in self.traces]
        return traced + [bisect.lines(report, name) for name in self.bisections]


class Format(StrEnum):
    """What a report is shown as."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    MODEL_EXPLORER = "model-explorer"
    """Node data to load into Model Explorer on top of the same .pt2."""


@dataclass(frozen=True)
class ReportPage:
    """What a report is shown as, and where."""

    kind: Format = Format.TEXT
    path: str | None = None
    """File to write; None is stdout."""

    def check(
        self, models: Sequence[str], asked: Questions, json_to: str | None, *, force: bool
    ) -> None:
        """Refuses before any work what cannot be delivered.

        Raises:
            UsageError: it does not go with what else was asked for.
            OutputError: the file exists and is kept.
        """
        if self.kind is Format.TEXT:
            if self.path is not None:
                raise UsageError(
                    "--output takes a page, and --format text is for a terminal",
                    remedy="add --format markdown, html or model-explorer",
                )
            return
        if self.kind is Format.MODEL_EXPLORER and len(models) > 1:
            raise UsageError("node data is of one model", remedy="give one at a time")
        if asked.traces or asked.bisections:
            raise UsageError(
                "--trace and --bisect are shown only as text", remedy="leave --format out"
            )
        if self.path is not None:
            refuse_existing(self.path, force=force)
        elif json_to == "-":
            raise UsageError(
                f"--format {self.kind.value} and --json - both write to stdout",
                remedy="give one of them a file",
            )

    def deliver(
        self, shell: Shell, entries: Sequence[Entry], *, all_nodes: bool, force: bool
    ) -> None:
        """Writes the page to its file, or to stdout."""
        reports = [entry for entry in entries if isinstance(entry, Report)]
        if self.kind is Format.MODEL_EXPLORER and not reports:
            return
        # Templates are imported here so that --help stays fast.
        from trtdbg.outputs import report_pages

        if self.kind is Format.MODEL_EXPLORER:
            text = _node_data(reports)
        elif self.kind is Format.HTML:
            text = report_pages.page(entries)
        else:
            text = report_pages.markdown(entries, all_nodes=all_nodes)
        if self.path is None:
            shell.write(text)
            return
        write_atomically(self.path, text.encode(), force=force)
        shell.note(f"wrote {self.path}")


def _node_data(reports: Sequence[Report]) -> str:
    from trtdbg.outputs.node_data import node_data

    return node_data(reports[0]).decode()


@click.command(cls=RunningCommand)
@models_argument
@analysis_options
@click.option("--all-nodes", is_flag=True, help="Show all nodes, not only those that matter.")
@click.option(
    "--format",
    "kind",
    type=click.Choice([kind.value for kind in Format], case_sensitive=False),
    default=Format.TEXT.value,
    help="Tables for this terminal, Markdown for an issue, one HTML page, or node data to lay "
    "over the same .pt2 in Model Explorer.  [default: text]",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write what --format makes to FILE instead of stdout.",
)
@click.option(
    "--by",
    "places",
    type=click.Choice(["line", "module", "operator"], case_sensitive=False),
    multiple=True,
    help="Show what became of each source line, module or operator in place of the tables: "
    "operators, engines, refusals, casts, dtypes, and with --numerics the share of the error.",
)
@redaction_options()
@click.option(
    "--watch",
    is_flag=True,
    help="Analyse again whenever MODEL changes, and say what changed, until Ctrl-C.",
)
@numerics_options
@_reason_option(
    "--advice",
    "cures",
    is_flag=True,
    help="Try what could help against each cause in this model, and show what does.",
)
@_reason_option(
    "--consequences",
    is_flag=True,
    help="Say what each refused operator costs: engines and operators if it were accepted.",
)
@_reason_option(
    "--suggest",
    is_flag=True,
    help="Search the least truncation under which the most operators are accepted.",
)
@_reason_option(
    "--block-sizes",
    is_flag=True,
    help="Partition with other minimum block sizes too, and say what each brings and hides.",
)
@_reason_option(
    "--trace",
    "traces",
    metavar="NODE",
    multiple=True,
    help="Show, instead of the tables, what gave NODE its dtype.",
)
@_reason_option(
    "--bisect",
    "bisections",
    metavar="NODE",
    multiple=True,
    help="Show, instead of the tables, which passes brought NODE, its dtype, its refusal.",
)
@json_option
@force_option
@verbose_option
@click.pass_obj
def command(
    shell: Shell,
    models: tuple[str, ...],
    choices: Choices,
    all_nodes: bool,
    kind: str,
    output: str | None,
    places: tuple[str, ...],
    redact: bool,
    redact_names: bool,
    watch: bool,
    measured: shared.Run | None,
    cures: bool,
    consequences: bool,
    suggest: bool,
    block_sizes: bool,
    traces: tuple[str, ...],
    bisections: tuple[str, ...],
    json_to: str | None,
    force: bool,
) -> ExitCode:
    """Show engines, dtypes, verdicts and findings of each MODEL.

    MODEL is a .pt2 file that torch.export saved, or a report that --json saved. With --json
    and one model the records are an object, with several a list in the order given. Of a
    file that holds several programs each is reported on, unless --program names one.
    """
    return run(
        shell,
        models,
        choices,
        all_nodes=all_nodes,
        measured=measured,
        questions=Questions(
            consequences, suggest, traces, bisections, cures, places, block_sizes
        ),
        page=ReportPage(Format(kind), output),
        json_to=json_to,
        force=force,
        watch=watch,
        redaction=Redaction(redact or redact_names, redact_names),
        words=as_given(models),
    )


def run(
    shell: Shell,
    models: tuple[str, ...],
    choices: Choices,
    *,
    all_nodes: bool = False,
    measured: shared.Run | None = None,
    questions: Questions | None = None,
    page: ReportPage | None = None,
    json_to: str | None = None,
    force: bool = False,
    watch: bool = False,
    redaction: Redaction | None = None,
    words: tuple[str, ...] = (),
) -> ExitCode:
    """Reports on each model, run too if `measured` says how.

    Returns 4 where lowering or partitioning failed.
    """
    asked = questions or Questions()
    hidden = redaction or Redaction()
    choices = shared.calibrated(choices, measured)
    if hidden.on and (asked.traces or asked.bisections):
        raise UsageError("--trace and --bisect quote the source", remedy="leave --redact out")
    shown = page or ReportPage()
    shown.check(models, asked, json_to, force=force)
    if json_to == "-" and (asked.traces or asked.bisections):
        raise UsageError(
            "--trace and --bisect are text, and --json - leaves no room for it",
            remedy="give --json a file",
        )
    if watch and (json_to is not None or shown.kind is not Format.TEXT):
        raise UsageError("--watch shows text", remedy="leave --json and --format out")
    if json_to not in (None, "-"):
        refuse_existing(json_to, force=force)
    watcher = Watcher(words or models) if watch else None
    entries: list[Entry] = []
    answers: list[list[str]] = []

    def analyse(model: str, choices: Choices) -> Report:
        report = shared.analyse(shell, model, choices, measured)
        if asked.is_open(report):
            weighed = shared.weigh(
                shell,
                model,
                choices,
                consequences=asked.consequences,
                suggestion=asked.suggestion,
                cures=asked.cures,
            )
            report = msgspec.structs.replace(weighed, headline=report.headline)
        if asked.cures and (untried := cause_lines.untried(report)):
            shell.note(untried)
        if asked.block_sizes:
            report = shared.try_block_sizes(shell, model, choices, report)
        answers[:] = asked.answers(report)
        report = asked.with_places(report) if asked.places else report
        return hidden.applied(report)

    live: Live[_Place] = Live(shell)

    def entries_of(model: str) -> Iterator[tuple[_Place, Entry]]:
        for entry in shared.each_program(shell, (model,), choices, analyse):
            told = hidden.failure(entry) if isinstance(entry, FailedReport) else entry
            yield (model, entry.model.program), told

    for place, entry in itertools.chain.from_iterable(map(entries_of, models)):
        text = shown.kind is Format.TEXT and json_to != "-"
        if text and isinstance(entry, Report):
            _show(shell, entry, answers, all_nodes=all_nodes, first=not entries)
        entries.append(entry)
        if shared.is_good(entry):
            live.good[place] = entry
    if watcher is not None:
        _watch(shell, watcher, entries_of, live, choices.access.program)
    if shown.kind is not Format.TEXT:
        shown.deliver(shell, entries, all_nodes=all_nodes, force=force)
    if json_to is not None:
        shared.deliver(shell, entries, json_to, force=force)
    return shared.worst(shared.analysis_code(entry) for entry in entries)


_Place = tuple[str, str | None]
"""A model, and which program of it."""


def _watch(
    shell: Shell,
    watcher: Watcher,
    entries_of: Callable[[str], Iterator[tuple[_Place, Entry]]],
    live: Live[_Place],
    program: str | None,
) -> None:
    """Says what changed each time that a model changes on disk; ends with Ctrl-C.

    Args:
        shell: where it is said.
        watcher: waits for changes.
        entries_of: analyses the programs of a model.
        live: the last good analyses.
        program: which one of a recording is meant; None is all of them.
    """
    shell.note("watching; Ctrl-C ends")
    for word in watcher.changes():
        try:
            models = programs_of(word, program)
        except UsageError as error:
            shell.fail(error, word)
            continue
        places: set[_Place] = set()
        for place, entry in itertools.chain.from_iterable(map(entries_of, models)):
            places.add(place)
            live.tell(place, entry)
        folder = str(folder_of(word) or "")
        live.missing(
            places,
            [(p, n) for p, n in live.good if p == word or (folder and _is_in(p, folder))],
        )


def _is_in(path: str, folder: str) -> bool:
    return os.path.dirname(path) == folder


def _show(
    shell: Shell,
    report: Report,
    answers: Sequence[Sequence[str]],
    *,
    all_nodes: bool,
    first: bool,
) -> None:
    # rich is imported here so that --help stays fast.
    from trtdbg.outputs import pages

    if not first:
        shell.show("")
    if answers:
        shell.show(pages.paragraphs(answers))
    else:
        shell.show(pages.report(report, all_nodes=all_nodes))
