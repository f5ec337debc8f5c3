"""What workers ended on while they answered one request, as their parent saw it."""

from __future__ import annotations

from collections import Counter
from typing import Final

from trtdbg.worker.messages import Lessons

DEATHS_ALONE: Final = 2
"""Times that a worker dies of a suspect, asked alone, before that is TensorRT's answer."""

MOST_CRASHES: Final = 24
"""Workers that may die of themselves for one request; each costs a start."""

_MOST_KILLS: Final = 4
_KILLS_EACH: Final = 2
"""Times that a worker is killed over a question before the question is left out."""


class History:
    """Decides what a fresh worker is told; only a death of its own makes a suspect."""

    def __init__(self) -> None:
        """Knows of no death."""
        self.asking: tuple[str, ...] = ()
        """What TensorRT is being asked now."""
        self.lessons = Lessons()
        self._suspects: dict[str, None] = {}
        self._alone: Counter[str] = Counter()
        self._killed: Counter[str] = Counter()
        self._crashes = 0
        self._kills = 0
        self._killed_how = ""

    def worker_ended(self, how: str, *, by_itself: bool) -> str | None:
        """Returns the line to log if a fresh worker is to be asked again; None if not.

        Args:
            how: it ended, like `died of SIGSEGV`.
            by_itself: whether it did, and nobody outside it ended it.
        """
        asking, self.asking = self.asking, ()
        if not asking:
            return None
        said = self._crashed(asking) if by_itself else self._was_killed(asking, how)
        if said is None:
            return None
        crashed = tuple(q for q in self._suspects if self._alone[q] >= DEATHS_ALONE)
        left_out = tuple(q for q, times in self._killed.items() if times >= _KILLS_EACH)
        self.lessons = Lessons(
            suspects=tuple(q for q in self._suspects if q not in crashed),
            crashed=crashed,
            left_out=left_out,
            why_left_out=f"each time the worker {self._killed_how}" if left_out else "",
        )
        return f"the worker {how} while TensorRT was asked about {_count(asking)}: {said}"

    def _crashed(self, asking: tuple[str, ...]) -> str | None:
        self._crashes += 1
        if self._crashes > MOST_CRASHES:
            return None
        if len(asking) == 1 and asking[0] in self._suspects:
            self._alone[asking[0]] += 1
            if self._alone[asking[0]] >= DEATHS_ALONE:
                return "that is taken for its answer"
            return "it is asked once more"
        self._suspects.update(dict.fromkeys(asking))
        return "asking again, one by one"

    def _was_killed(self, asking: tuple[str, ...], how: str) -> str | None:
        self._kills += 1
        self._killed_how = how
        self._killed.update(asking)
        if self._kills > _MOST_KILLS:
            return None
        if any(self._killed[question] >= _KILLS_EACH for question in asking):
            return "going on without"
        return "asking again"


def _count(asking: tuple[str, ...]) -> str:
    return "one node" if len(asking) == 1 else f"{len(asking)} nodes"
