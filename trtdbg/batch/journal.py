"""Rows of a comparison kept in a file as they finish, for a run that was interrupted.

A row is known by what it was made of, so that a file of another run, another version or a
changed model gives nothing wrong. Free of torch.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trtdbg.analysis.comparison import Row
from trtdbg.batch.identity import key_of
from trtdbg.batch.kept_lines import KeptLines
from trtdbg.batch.rows import Task
from trtdbg.closing import Closing

SCHEMA: Final = "trtdbg.compare.journal/1"


class _JournalLine(msgspec.Struct, frozen=True):
    key: str
    row: Row


class Journal(Closing):
    """An open file of finished rows, as a context manager."""

    def __init__(self, path: str) -> None:
        """Opens the file, which is made if there is none; rows of other versions count not.

        Raises:
            OutputError: it cannot be opened, is in use, or is something else.
        """
        self._kept = KeptLines(path, SCHEMA, "compare --resume")
        self._keys: dict[Task, str] = {}
        self._rows = {line.key: line.row for line in self._kept.read(_JournalLine)}

    def close(self) -> None:
        """Closes the file."""
        self._kept.close()

    def find(self, task: Task) -> Row | None:
        """Returns the row of the same task, called as the task calls it; None if unknown."""
        # Before it runs: what a file holds afterwards may be something else.
        self._keys[task] = key(task)
        row = self._rows.get(self._keys[task])
        if row is None:
            return None
        return msgspec.structs.replace(row, model=task.model, name=task.name)

    def keep(self, task: Task, row: Row) -> None:
        """Writes the finished row of a task that `find` was asked for and did not have.

        One that ended in an error is not written, and so tried again the next time.

        Raises:
            OutputError: it cannot be written.
        """
        if row.error is None:
            self._kept.add(_JournalLine(self._keys[task], row))


def key(task: Task) -> str:
    """Returns a hash of all that a row is made of: files by content, versions, options."""
    numbers, files = task.numbers, tuple[str, ...]()
    if numbers is not None and numbers.inputs is not None:
        files = (numbers.inputs,)
        numbers = msgspec.structs.replace(numbers, inputs="")
    return key_of(task.job, task.policy, task.build, task.cache, numbers, files=files)
