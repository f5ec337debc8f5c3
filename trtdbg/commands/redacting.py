"""`--redact` and `--redact-names`: what a report says when it leaves the house."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import click

from trtdbg.analysis.redaction import redacted, redacted_failure
from trtdbg.commands.options import Command
from trtdbg.records import FailedReport, Report


def redaction_options(kept: str = "") -> Callable[[Command], Command]:
    """Returns a decorator that adds `--redact` and `--redact-names`.

    Args:
        kept: what else the help says.
    """

    def add(command: Command) -> Command:
        names = click.option(
            "--redact-names",
            is_flag=True,
            help="The same, and names of modules become numbers.",
        )
        plain = click.option(
            "--redact",
            is_flag=True,
            help="Leave out source text, paths and values of constants, in every output."
            + kept,
        )
        return plain(names(command))

    return add


@dataclass(frozen=True)
class Redaction:
    """Whether a report may leave the house."""

    on: bool = False
    names: bool = False
    """Whether names of modules become numbers."""

    def applied(self, report: Report) -> Report:
        """Returns a report with what is to be left out left out."""
        return redacted(report, modules=self.names) if self.on else report

    def failure(self, entry: FailedReport) -> FailedReport:
        """Returns why there is no report, without what is to be left out."""
        return redacted_failure(entry) if self.on else entry
