"""`trtdbg diff`: two states of one program as a picture of what happens to its dtypes."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass

import click
import msgspec

from trtdbg.analysis.changes import what_changed
from trtdbg.analysis.summary import base_name, model_name
from trtdbg.commands import models as shared
from trtdbg.commands.options import (
    MOST,
    Choices,
    FiniteRange,
    SectionedCommand,
    analysis_options,
    force_option,
    json_option,
    read_policy,
    verbose_option,
)
from trtdbg.commands.recorded import of_recording
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, UsageError
from trtdbg.files import refuse_existing, write_atomically
from trtdbg.outputs.picture import LAYOUT_SECONDS
from trtdbg.outputs.picture.sides import Side, find_pass, of_pass, of_report
from trtdbg.outputs.report import is_saved_report
from trtdbg.policy import Timing, TruncationPolicy
from trtdbg.records import Phase, Report

POLICY_FILE = ".toml"
"""How a side that is a policy in a file ends."""


@dataclass(frozen=True)
class Drawing:
    """What is drawn, and where to."""

    path: str
    """The file; its ending says the format. `-` is DOT text on stdout."""
    full: bool = False
    around: str | None = None
    depth: int = 2
    seconds: float = LAYOUT_SECONDS
    """Time that Graphviz has for one layout."""

    @property
    def kind(self) -> str:
        """The format: dot, svg, png, pdf or html."""
        return "dot" if self.path == "-" else self.path.rpartition(".")[2].lower()


@click.command(cls=SectionedCommand)
@click.argument("model", metavar="MODEL", callback=of_recording)
@click.argument("other", metavar="[OTHER]", required=False)
@analysis_options
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="What to write: .dot, .svg, .png, .pdf or .html by its ending; - is DOT text on "
    "stdout.",
)
@click.option(
    "--by",
    "by_cause",
    type=click.Choice(["cause"], case_sensitive=False),
    help="Say in place of a picture what changed from MODEL to OTHER: engines, causes gone "
    "and new, versions, nodes.",
)
@click.option(
    "--from",
    "start",
    metavar="SIDE",
    help="What is before: a timing, a policy in a .toml file, or the number or name of a "
    "pass.  [default: upstream]",
)
@click.option(
    "--to",
    "end",
    metavar="SIDE",
    help="What is after.  [default: the policy given, else late; the last pass where --from "
    "is one]",
)
@click.option("--full", is_flag=True, help="Draw every node, unchanged ones too.")
@click.option("--around", metavar="NODE", help="Draw only what is near NODE.")
@click.option(
    "--depth",
    type=click.IntRange(0, MOST),
    metavar="N",
    help="How many edges away from NODE is near.  [default: 2]",
)
@click.option(
    "--layout-seconds",
    type=FiniteRange(min=0, min_open=True),
    metavar="N",
    default=LAYOUT_SECONDS,
    help="Time for one layout; a coarser picture is drawn where it is not enough.  "
    f"[default: {LAYOUT_SECONDS:g}]",
)
@json_option
@force_option
@verbose_option
@click.pass_obj
def command(
    shell: Shell,
    model: str,
    other: str | None,
    choices: Choices,
    output: str | None,
    by_cause: str | None,
    start: str | None,
    end: str | None,
    full: bool,
    around: str | None,
    depth: int | None,
    layout_seconds: float,
    json_to: str | None,
    force: bool,
) -> ExitCode:
    """Draw what happens to the dtypes of MODEL between two policies or two passes.

    With --by cause, say what changed between MODEL and OTHER, as after an upgrade.

    With OTHER, a second .pt2 or saved report, between the two. Saved reports need no torch.
    Drawing needs Graphviz (`dot`); a .dot file does not.
    """
    if by_cause is not None:
        drawn = {"-o": output, "--from": start, "--to": end, "--around": around}
        other_option = next((name for name, value in drawn.items() if value is not None), None)
        if other_option is not None or full:
            raise UsageError(
                f"{other_option or '--full'} is of a picture, and --by cause is text",
                remedy="leave one of them out",
            )
        return by_causes(shell, model, other, choices, json_to=json_to, force=force)
    if json_to is not None:
        raise UsageError("--json goes with --by cause", remedy="add --by cause, or -o FILE")
    if output is None:
        raise UsageError(
            "nothing says what to make of the two",
            remedy="add -o FILE for a picture, or --by cause for what changed as text",
        )
    if depth is not None and around is None:
        raise UsageError("--depth says how far from a node", remedy="add --around NODE")
    if full and around is not None:
        raise UsageError("--full and --around do not go together", remedy="leave one out")
    near = 2 if depth is None else depth
    drawing = Drawing(output, full, around, near, layout_seconds)
    return run(shell, model, choices, drawing, other=other, start=start, end=end, force=force)


def by_causes(
    shell: Shell,
    model: str,
    other: str | None,
    choices: Choices,
    *,
    json_to: str | None = None,
    force: bool = False,
) -> ExitCode:
    """Says what changed between two models, saved reports or one of each.

    Raises:
        UsageError: there is only one.
    """
    if other is None:
        raise UsageError(
            "--by cause compares two", remedy="name a second .pt2 or saved report"
        )
    if json_to not in (None, "-"):
        refuse_existing(json_to, force=force)
    reports = []
    for name in (model, other):
        # A policy is only that of the .pt2, beside a report whose policy is fixed.
        fixed = dataclasses.replace(choices, given=()) if is_saved_report(name) else choices
        reports.append(_analyse(shell, name, fixed))
    changed = what_changed(reports[0], reports[1], (model, other))
    if json_to is not None:
        shared.deliver(shell, [changed], json_to, force=force)
    if json_to != "-":
        # rich is imported here so that --help stays fast.
        from trtdbg.outputs import pages

        shell.show(pages.changes(changed))
    return ExitCode.CLEAN


def run(
    shell: Shell,
    model: str,
    choices: Choices,
    drawing: Drawing,
    *,
    other: str | None = None,
    start: str | None = None,
    end: str | None = None,
    force: bool = False,
) -> ExitCode:
    """Draws the diff; returns 3 where Graphviz is missing."""
    # The graphviz package and the templates are imported here so that --help stays fast.
    from trtdbg.outputs.picture import layout, pairs
    from trtdbg.outputs.picture.picture import picture

    if drawing.kind not in layout.FORMATS:
        raise UsageError(
            f"cannot write {drawing.path}: its ending says no format",
            remedy=f"end it with one of {', '.join('.' + kind for kind in layout.FORMATS)}",
        )
    if drawing.path != "-":
        refuse_existing(drawing.path, force=force)
    if drawing.kind != "dot":
        layout.check_graphviz()
    before, after, title = _sides(shell, model, other, choices, start, end)
    diff = pairs.compare(before, after)
    asked = picture(diff, title, full=drawing.full, around=drawing.around, depth=drawing.depth)
    made = layout.drawn(diff, asked, drawing.kind, drawing.seconds)
    if made.picture.detail is not asked.detail:
        shell.note(f"{drawing.path}: {made.picture.summary[-1]}")
    if drawing.path == "-":
        shell.write(made.data.decode())
        return ExitCode.CLEAN
    write_atomically(drawing.path, made.data, force=force)
    shell.note(f"wrote {drawing.path}: {made.picture.summary[0]}")
    return ExitCode.CLEAN


def _sides(
    shell: Shell,
    model: str,
    other: str | None,
    choices: Choices,
    start: str | None,
    end: str | None,
) -> tuple[Side, Side, str]:
    """Returns what is before, what is after, and what the picture is called."""
    if other is not None:
        if start is not None or end is not None:
            raise UsageError(
                "--from and --to name two states of one model, and two are given",
                remedy=f"leave {other} out",
            )
        return _two_models(shell, (model, other), choices)
    if all(name is None or _is_policy(name) for name in (start, end)):
        return _two_policies(shell, model, choices, start, end)
    return _two_passes(shell, model, choices, start, end)


def _two_models(
    shell: Shell, models: tuple[str, str], choices: Choices
) -> tuple[Side, Side, str]:
    reports = [_analyse(shell, model, choices) for model in models]
    labels = [report.policy.timing.value for report in reports]
    if labels[0] == labels[1]:
        labels = [f"{base_name(m)}, {w}" for m, w in zip(models, labels, strict=True)]
    first, second = (of_report(*side) for side in zip(reports, labels, strict=True))
    return first, second, model_name(reports[0].model)


def _two_policies(
    shell: Shell, model: str, choices: Choices, start: str | None, end: str | None
) -> tuple[Side, Side, str]:
    if is_saved_report(model):
        raise UsageError(
            f"the saved report {model} holds only one policy",
            remedy="give a second report, or two passes with --from and --to",
        )
    if end is None and not choices.timing_named:
        end = Timing.LATE.value
    named = start or Timing.UPSTREAM.value, end
    policies = [_policy_of(name, choices.policy) for name in named]
    if policies[0] == policies[1]:
        raise UsageError(
            f"both sides are {policies[0].flags().removeprefix('--')}",
            remedy="name another one with --from or --to",
        )
    labels = [_label(name, policy) for name, policy in zip(named, policies, strict=True)]
    reports = [
        _analyse(shell, model, dataclasses.replace(choices, policy=policy))
        for policy in policies
    ]
    first, second = (of_report(*side) for side in zip(reports, labels, strict=True))
    return first, second, model_name(reports[0].model)


def _is_policy(name: str) -> bool:
    return name in set(Timing) or name.endswith(POLICY_FILE)


def _policy_of(name: str | None, given: TruncationPolicy) -> TruncationPolicy:
    if name is None:
        return given
    if name.endswith(POLICY_FILE):
        return read_policy(name)
    return msgspec.structs.replace(given, timing=Timing(name))


def _label(name: str | None, policy: TruncationPolicy) -> str:
    if name is not None and name.endswith(POLICY_FILE):
        return f"{base_name(name)}, {policy.timing.value}"
    return policy.timing.value


def _two_passes(
    shell: Shell, model: str, choices: Choices, start: str | None, end: str | None
) -> tuple[Side, Side, str]:
    report = _analyse(shell, model, choices)
    sides = [_pass(report, start, last=False), _pass(report, end, last=True)]
    if sides[0].label == sides[1].label:
        raise UsageError(f"both sides are {sides[0].label}", remedy="name two passes")
    return sides[0], sides[1], model_name(report.model)


def _pass(report: Report, text: str | None, *, last: bool) -> Side:
    """Returns the graph after a pass; the loaded program or the last lowering pass for None.

    Partition and boundary repair are not meant by default: there the engines are single calls.
    """
    if text is None:
        lowering = [p for p in report.passes if p.graph and p.phase not in _PARTITIONING]
        if not lowering:
            raise UsageError("the report holds no graphs of passes")
        return of_pass(report, lowering[-1 if last else 0])
    found = find_pass(report, text)
    if found is None:
        names = list(dict.fromkeys(record.name for record in report.passes))
        near = difflib.get_close_matches(text, names, 3)
        raise UsageError(
            f"{text!r} is neither a timing nor a pass of {report.model.path}",
            remedy=f"did you mean {' or '.join(near)}?"
            if near
            else f"name a pass by its number, 0 to {len(report.passes) - 1}, or by its name",
        )
    return of_pass(report, found)


_PARTITIONING = (Phase.PARTITION, Phase.BOUNDARY)


def _analyse(shell: Shell, model: str, choices: Choices) -> Report:
    shell.working_on(model)
    return shared.analyse(shell, model, choices)
