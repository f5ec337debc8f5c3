"""Searches the smallest part of an engine that TensorRT still refuses alike. Free of torch.

Every attempt is a request to a worker: one that crashes or hangs is an answer like any other.
What was answered is kept, so that a search which was ended goes on from there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Final

import msgspec

from trtdbg.analysis.sentence import gist
from trtdbg.batch.ddmin import Kept, shrink
from trtdbg.batch.identity import key_of
from trtdbg.batch.kept_lines import KeptLines
from trtdbg.closing import Closing
from trtdbg.errors import StageError, WorkerError
from trtdbg.worker.deadline import Conversation, OutOfTimeError
from trtdbg.worker.messages import Attempt, Attempted

SCHEMA: Final = "trtdbg.repro.journal/1"

_SLOWER: Final = 4
_LEAST_SECONDS: Final = 60.0
"""An attempt may take this many times what the first one took, which loaded and lowered the
program too, and at least these seconds: what takes longer hangs."""


class AttemptOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended."""

    error: str | None = None
    """TensorRT's sentence, or how the worker ended; None if the engine was built."""
    node: str | None = None
    """Node of the lowered graph that the sentence names."""
    crashed: bool = False
    """The worker died of it."""
    operators: tuple[str, ...] = ()
    graph: tuple[str, ...] = ()
    """As lines to read; both are empty where the worker died before it answered."""

    def alike(self, other: AttemptOutcome) -> bool:
        """Returns whether both failed for the same reason, as far as the words say."""
        if self.error is None or other.error is None:
            return False
        return self.crashed == other.crashed and gist(self.error) == gist(other.error)


class Smallest(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest part that was found."""

    part: Attempt
    """What builds it."""
    outcome: AttemptOutcome
    whole: int
    """How many operators the engine has."""
    attempts: int
    """How many were made, with those that were known."""
    complete: bool
    """Nothing more can be left out; else the time was over first."""


class Search:
    """Attempts on one engine, by a worker of its own.

    `told` is called after each attempt with the fewest operators so far,
    those of the engine, and the number of attempts.
    """

    def __init__(
        self,
        worker: Conversation,
        tried: Tried,
        told: Callable[[int, int, int], None],
    ) -> None:
        """Remembers whom to ask, what is known already, and whom to tell."""
        self._worker = worker
        self._tried = tried
        self._told = told
        self._seconds: float | None = None

    def whole(self, attempt: Attempt) -> AttemptOutcome:
        """Returns how an engine as it is ends.

        Raises:
            OutOfTimeError: the time is over.
            TrtdbgError: it cannot be tried at all.
        """
        return self._outcome(attempt)

    def smallest(self, attempt: Attempt, whole: AttemptOutcome) -> Smallest:
        """Returns the smallest part of an engine that fails as the whole does.

        Args:
            attempt: asks for the engine as it is.
            whole: how that ended; it failed.

        Raises:
            StageError: only the engine as it is fails so.
        """
        count = len(whole.operators) or len(self._of(attempt).operators)
        best: tuple[Attempt, AttemptOutcome] | None = None
        attempts = 0

        def fails(kept: Kept, *, outputs: bool) -> bool:
            nonlocal best, attempts
            part = msgspec.structs.replace(attempt, kept=kept, outputs=outputs)
            attempts += 1
            outcome = self._outcome(part)
            alike = outcome.alike(whole)
            if alike and (best is None or len(kept) < len(best[0].kept or ())):
                best = (part, outcome)
            self._told(len(best[0].kept or ()) if best is not None else count, count, attempts)
            return alike

        complete = False
        with contextlib.suppress(OutOfTimeError):
            everything = tuple(range(count))
            # What the engine returned inside of it may be what TensorRT stumbles over.
            outputs = not fails(everything, outputs=False)
            if outputs and not fails(everything, outputs=True):
                raise StageError(
                    "it is refused only as the whole engine, and not as a copy of its graph"
                )
            shrink(everything, lambda kept: fails(kept, outputs=outputs))
            complete = True
        if best is None:
            raise StageError(
                "the time was over before any part of it was refused",
                remedy="raise --time-limit; with --resume FILE nothing is tried twice",
            )
        part, outcome = best
        if not outcome.operators:
            answer = self._of(part)
            outcome = msgspec.structs.replace(
                outcome, operators=answer.operators, graph=answer.graph
            )
        return Smallest(
            part=part, outcome=outcome, whole=count, attempts=attempts, complete=complete
        )

    def uncut(self, attempt: Attempt, whole: AttemptOutcome) -> Smallest:
        """Returns what failed as it is, where no part of it fails alike."""
        answer = self._of(attempt)
        outcome = msgspec.structs.replace(
            whole, operators=answer.operators, graph=answer.graph
        )
        return Smallest(
            part=attempt,
            outcome=outcome,
            whole=len(answer.operators),
            attempts=len(self._tried),
            complete=False,
        )

    def save(self, part: Attempt, path: str) -> None:
        """Writes a part to a .pt2, however little time is left.

        Raises:
            TrtdbgError: it cannot be written down.
        """
        self._of(msgspec.structs.replace(part, save=path))

    def _outcome(self, attempt: Attempt) -> AttemptOutcome:
        known = self._tried.find(attempt)
        if known is not None:
            return known
        try:
            answer = self._ask(attempt)
        except OutOfTimeError:
            raise
        except WorkerError as error:
            outcome = AttemptOutcome(error=error.message, crashed=True)
        except TimeoutError:
            outcome = AttemptOutcome(error=f"it took longer than {self._seconds:.0f} seconds")
        except StageError as error:
            if attempt.kept is None:
                raise
            outcome = AttemptOutcome(error=f"it cannot be cut out: {error.message}")
        else:
            build = answer.build
            outcome = AttemptOutcome(
                error=build.error,
                node=build.node,
                operators=answer.operators,
                graph=answer.graph if attempt.kept is not None else (),
            )
        self._tried.keep(attempt, outcome)
        return outcome

    def _of(self, attempt: Attempt) -> Attempted:
        """Returns what is known of a part without its build, however little time is left."""
        request = msgspec.structs.replace(attempt, build=False)
        answer = self._worker.ask(request, unlimited=True)
        assert isinstance(answer, Attempted)
        return answer

    def _ask(self, attempt: Attempt) -> Attempted:
        began = time.monotonic()
        try:
            answer = self._worker.ask(attempt, self._seconds)
        finally:
            if self._seconds is None:
                self._seconds = max(_LEAST_SECONDS, _SLOWER * (time.monotonic() - began))
        assert isinstance(answer, Attempted)
        return answer


class _Line(msgspec.Struct, frozen=True):
    key: str
    outcome: AttemptOutcome


class Tried(Closing):
    """What attempts ended in, in memory and, if there is a path, in a file too."""

    def __init__(self, path: str | None = None) -> None:
        """Opens the file, which is made if there is none.

        Raises:
            OutputError: it cannot be opened, is in use, or is something else.
        """
        self._kept = KeptLines(path, SCHEMA, "repro --resume")
        self._outcomes = {line.key: line.outcome for line in self._kept.read(_Line)}
        self._jobs: dict[tuple[object, ...], str] = {}

    def close(self) -> None:
        """Closes the file."""
        self._kept.close()

    def __len__(self) -> int:
        return len(self._outcomes)

    def find(self, attempt: Attempt) -> AttemptOutcome | None:
        """Returns what an attempt ended in; None if it was not made yet."""
        return self._outcomes.get(self._key(attempt))

    def keep(self, attempt: Attempt, outcome: AttemptOutcome) -> None:
        """Remembers what an attempt ended in.

        Raises:
            OutputError: it cannot be written.
        """
        key = self._key(attempt)
        self._outcomes[key] = outcome
        self._kept.add(_Line(key, outcome))

    def _key(self, attempt: Attempt) -> str:
        about = (attempt.job, attempt.policy, attempt.engine, attempt.outputs)
        if about not in self._jobs:
            # The model's file is read for it, and that once.
            self._jobs[about] = key_of(*about)
        kept = "all" if attempt.kept is None else ",".join(map(str, attempt.kept))
        return f"{self._jobs[about]} {kept}"
