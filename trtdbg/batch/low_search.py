"""Searches the fewest operators that must stay in float32. Free of torch.

Every evaluation is a request to a worker. What was answered is kept, so that a search which
was ended goes on from there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from trtdbg.batch.identity import key_of
from trtdbg.batch.kept_lines import KeptLines
from trtdbg.closing import Closing
from trtdbg.records.precision import LowCandidate, LowTrial, Point
from trtdbg.worker.messages import TryLow, native_path

SCHEMA: Final = "trtdbg.precision.journal/1"

MOST_SMALLER: Final = 64
"""Smaller sets that are tried to show that there is none."""

Kept = frozenset[str]


class SearchOverError(Exception):
    """The time of the search is over."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a search came to."""

    keep: tuple[str, ...]
    """In graph order."""
    trial: LowTrial | None
    """Of that set; None where none was tried within the tolerance."""
    without: dict[str, LowTrial]
    """Of the set less one operator, by that operator."""
    evaluations: int
    minimal: bool
    smallest: bool
    possible: bool
    """Keeping every operator is within the tolerance."""
    finished: bool
    curve: tuple[Point, ...]


class LowSearch:
    """Searches by evaluations that somebody else makes.

    1. Nothing kept. If that is within the tolerance, nothing has to be.
    2. Everything kept. If that is not, no set is.
    3. The operators are ordered: first those whose values leave the low type, then by the
       error that each makes by itself. The shortest beginning that is within the tolerance is
       found by doubling and halving.
    4. Of that, halves are left out, and their halves, as long as the rest is within it
       (QuickXplain, which keeps what stands earlier); then each operator by itself.
    5. Whether a smaller set can be: an operator without which even everything else is not
       enough is in every set. If that holds of all, the set is the smallest. Otherwise
       smaller sets around the needed ones are tried, if they are few.
    """

    def __init__(
        self,
        candidates: Sequence[LowCandidate],
        evaluate: Callable[[Kept], LowTrial],
        told: Callable[[int, int, int], None] = lambda kept, total, evaluations: None,
    ) -> None:
        """Prepares a search.

        Args:
            candidates: the operators, in graph order.
            evaluate: says how the outputs come out with a set kept; may raise SearchOverError.
            told: called after each evaluation with the size of the best set, of all, and the
                number of evaluations.
        """
        self._names = [each.name for each in candidates]
        self._ranked = [each.name for each in sorted(candidates, key=_urgency)]
        self._evaluate, self._told = evaluate, told
        self._known: dict[Kept, LowTrial] = {}
        self._best: Kept | None = None
        self._minimal = self._smallest = False

    def run(self) -> Found:
        """Returns the smallest set that was found before the time was over."""
        finished, possible = False, True
        try:
            possible = self._search()
            finished = True
        except SearchOverError:
            pass
        keep = self._best if self._best is not None else frozenset(self._names)
        return Found(
            keep=self._ordered(keep),
            trial=self._known.get(keep),
            without={
                name: self._known[keep - {name}]
                for name in keep
                if keep - {name} in self._known
            },
            evaluations=len(self._known),
            minimal=self._minimal,
            smallest=self._smallest,
            possible=possible,
            finished=finished,
            curve=tuple(self._point(kept, trial) for kept, trial in self._known.items()),
        )

    def _search(self) -> bool:
        if self._passes(()):
            self._minimal = self._smallest = True
            return True
        if not self._passes(self._names):
            return False
        prefix = self._shortest_prefix()
        kept = frozenset(self._reduced(frozenset(), False, prefix))
        if not self._passes(kept):
            # Keeping more hurt on the way: the beginning itself is within the tolerance.
            kept = frozenset(prefix)
        kept = self._without_any(kept)
        self._minimal = True
        self._prove(kept)
        return True

    def _passes(self, kept: Iterable[str]) -> bool:
        chosen = frozenset(kept)
        trial = self._known.get(chosen)
        if trial is None:
            trial = self._known[chosen] = self._evaluate(chosen)
            if trial.passes and (self._best is None or len(chosen) < len(self._best)):
                self._best = chosen
            best = len(self._names if self._best is None else self._best)
            self._told(best, len(self._names), len(self._known))
        return trial.passes

    def _shortest_prefix(self) -> list[str]:
        ranked = self._ranked
        fails, passes = 0, len(ranked)
        size = 1
        while size < passes:
            if self._passes(ranked[:size]):
                passes = size
                break
            fails, size = size, size * 2
        while passes - fails > 1:
            middle = (fails + passes) // 2
            if self._passes(ranked[:middle]):
                passes = middle
            else:
                fails = middle
        return ranked[:passes]

    def _reduced(self, rest: Kept, changed: bool, names: Sequence[str]) -> list[str]:
        """Returns the names that have to be kept besides the rest, which is kept."""
        if changed and self._passes(rest):
            return []
        if len(names) <= 1:
            return list(names)
        half = (len(names) + 1) // 2
        first, second = names[:half], names[half:]
        later = self._reduced(rest | set(first), bool(first), second)
        earlier = self._reduced(rest | set(later), bool(later), first)
        return [*earlier, *later]

    def _without_any(self, kept: Kept) -> Kept:
        """Returns what is left once no single operator can be left out."""
        for name in sorted(kept, key=self._ranked.index, reverse=True):
            if self._passes(kept - {name}):
                kept = kept - {name}
        # What was needed may not be any more once another one is gone.
        again = [name for name in kept if self._passes(kept - {name})]
        return self._without_any(kept) if again else kept

    def _prove(self, kept: Kept) -> None:
        everything = frozenset(self._names)
        needed = {name for name in kept if not self._passes(everything - {name})}
        if needed == kept:
            self._smallest = True
            return
        others = [name for name in self._ranked if name not in needed]
        more = len(kept) - len(needed) - 1
        if sum(math.comb(len(others), size) for size in range(more + 1)) > MOST_SMALLER:
            return
        for size in range(more + 1):
            for extra in itertools.combinations(others, size):
                if self._passes(needed | set(extra)):
                    self._smallest = True
                    return
        self._smallest = True

    def _ordered(self, kept: Kept) -> tuple[str, ...]:
        return tuple(name for name in self._names if name in kept)

    def _point(self, kept: Kept, trial: LowTrial) -> Point:
        total = len(self._names)
        share = (total - len(kept)) / total if total else 0.0
        return Point(kept=len(kept), share_low=share, error=trial.error)


def _urgency(candidate: LowCandidate) -> tuple[bool, float, float]:
    error = math.inf if candidate.local_error is None else candidate.local_error
    return not candidate.leaves, -error, -candidate.largest


class _TrialLine(msgspec.Struct, frozen=True):
    key: str
    keep: tuple[str, ...]
    trial: LowTrial


class Evaluated(Closing):
    """The evaluations that a file holds from an earlier search, as a context manager."""

    def __init__(self, path: str | None, asked: TryLow) -> None:
        """Opens the file; without a path nothing is kept.

        Args:
            path: where it is; made if there is none.
            asked: an evaluation, whose model, policy, inputs and tolerance count.

        Raises:
            OutputError: it cannot be opened, is in use, or is something else.
        """
        files = tuple(native_path(each) for each in asked.inputs)
        how = ("low",) if asked.accumulate_low else ()
        about = (asked.policy, asked.rtol, asked.atol, *how)
        self._key = key_of(asked.job, *about, files=files) if path else ""
        self._kept = KeptLines(path or None, SCHEMA, "precision --resume")
        lines = self._kept.read(_TrialLine)
        self._known = {frozenset(e.keep): e.trial for e in lines if e.key == self._key}

    def __len__(self) -> int:
        return len(self._known)

    def close(self) -> None:
        """Closes the file."""
        self._kept.close()

    def find(self, keep: Kept) -> LowTrial | None:
        """Returns what an earlier search saw of a set; None if nothing."""
        return self._known.get(keep)

    def keep(self, keep: Kept, trial: LowTrial) -> None:
        """Writes what was seen of a set.

        Raises:
            OutputError: it cannot be written.
        """
        self._kept.add(_TrialLine(self._key, tuple(sorted(keep)), trial))
