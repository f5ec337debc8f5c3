"""`trtdbg explain`: cause and cure of a finding."""

from __future__ import annotations

import click

from trtdbg.analysis.catalogue import CATALOGUE, explain
from trtdbg.commands.options import SectionedCommand, verbose_option
from trtdbg.commands.shell import Shell
from trtdbg.errors import ExitCode, UsageError
from trtdbg.outputs.report import read_report
from trtdbg.records import Finding, Report


@click.command(cls=SectionedCommand)
@click.argument("codes", metavar="[CODE]...", nargs=-1)
@click.option(
    "--report",
    "saved",
    metavar="FILE",
    help="Say of each finding in a report that --json saved where it is, its operator, dtypes "
    "and what helps there.",
)
@click.option("--node", metavar="NODE", help="With --report, only what was found of NODE.")
@verbose_option
@click.pass_obj
def command(
    shell: Shell, codes: tuple[str, ...], saved: str | None, node: str | None
) -> ExitCode:
    """Explain what a finding means, where it comes from and what helps.

    CODE is a code such as TD101 or a name such as needless-rejection. Without one, all codes
    are listed, or with --report those that the report holds are explained.
    """
    return run(shell, codes, saved, node)


def run(
    shell: Shell, codes: tuple[str, ...], saved: str | None = None, node: str | None = None
) -> ExitCode:
    """Explains each code, or lists all; in a saved report those of its findings."""
    # rich is imported here so that --help stays fast.
    from trtdbg.outputs import pages

    if node is not None and saved is None:
        raise UsageError("--node names a node of a report", remedy="give --report FILE too")
    entries = [explain(code) for code in codes]
    report = read_report(saved) if saved is not None else None
    found = _found(report, node) if report is not None else ()
    if report is not None and not codes:
        entries = [CATALOGUE[code] for code in dict.fromkeys(f.code for f in found)]
    elif not codes:
        shell.show(pages.catalogue(CATALOGUE.values()))
    for index, entry in enumerate(entries):
        if index:
            shell.show("")
        same = tuple(each for each in found if each.code == entry.code)
        shell.show(pages.explanation(entry, report, same))
    return ExitCode.CLEAN


def _found(report: Report, node: str | None) -> tuple[Finding, ...]:
    """Returns the findings that are asked about.

    Raises:
        UsageError: the report has none of the node.
    """
    found = tuple(f for f in report.findings if node is None or f.node == node)
    if not found:
        of = f" of {node}" if node is not None else ""
        raise UsageError(f"the report has no finding{of}", remedy="`trtdbg check` lists them")
    return tuple(each for each in found if each.code in CATALOGUE)
