"""Options that say where the work on many models is done: here, side by side, or elsewhere."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import click
import msgspec

from trtdbg.batch.executors import DaskCrew, LocalCrew, finished
from trtdbg.commands.options import Command, with_options
from trtdbg.commands.shell import Shell
from trtdbg.errors import TrtdbgError, UsageError
from trtdbg.worker.messages import Job, native_path, portable_path

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Where:
    """Where work is done."""

    jobs: int | None = None
    """Processes of this machine; None is one."""
    dask: str | None = None
    """Address of a Dask scheduler."""

    @property
    def chosen(self) -> bool:
        """Whether the user chose anything."""
        return self != Where()

    def work(
        self, shell: Shell, given: Sequence[Given], work: Callable[[Given], Made]
    ) -> Iterator[tuple[int, Made | TrtdbgError]]:
        """Yields the place of each thing given and what was made of it, as they are finished.

        Raises:
            UnavailableError: there is no such cluster.
        """
        if not given:
            return
        with self._crew(shell, len(given)) as crew:
            yield from finished(given, crew, work)

    def _crew(self, shell: Shell, number: int) -> LocalCrew | DaskCrew:
        if self.dask is None:
            return LocalCrew(min(self.jobs or 1, number))
        crew = DaskCrew(self.dask)
        if not crew.workers():
            shell.note(f"the Dask cluster at {self.dask} has no workers yet")
        return crew

    def path(self, path: str) -> str:
        """Returns a path as it is known where the work is done."""
        return path if self.dask is None else os.path.abspath(path)

    def job(self, job: Job) -> Job:
        """Returns a job with its files as they are known where the work is done."""
        imports = tuple(
            self.path(name) if name.endswith(".py") else name for name in job.access.imports
        )
        return msgspec.structs.replace(
            job,
            model=portable_path(self.path(native_path(job.model))),
            access=msgspec.structs.replace(job.access, imports=imports),
        )


HERE = Where()
"""In the program's one worker, or row after row."""


def crew_options(what: str) -> Callable[[Command], Command]:
    """Returns a decorator that adds `--jobs` and `--dask`; the command gets them as `where`.

    Args:
        what: what is made side by side, in the plural.
    """
    options = (
        click.option(
            "--jobs",
            type=click.IntRange(min=1),
            metavar="N",
            help=f"{what.capitalize()} at a time on this machine, each with a worker of its "
            "own; more than one slow each other's builds down.  [default: 1]",
        ),
        click.option(
            "--dask",
            metavar="ADDRESS",
            help="Work on the Dask cluster whose scheduler is there, like tcp://host:8786. "
            "Files are found under the same paths on all its machines.",
        ),
    )

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_where(*args: Any, **given: Any) -> Any:
            where = Where(given.pop("jobs"), given.pop("dask"))
            if where.jobs is not None and where.dask is not None:
                raise UsageError(
                    "--jobs is about this machine, and --dask about a cluster",
                    remedy="leave one out",
                )
            return command(*args, where=where, **given)

        return with_options(cast("Command", with_where), options)

    return decorate
