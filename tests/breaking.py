"""A worker whose engine is refused, crashes or hangs for the operators that its model names.

The model is called like `refuse:3,7` or `crash:5`; its engine has 40 operators.
"""

from __future__ import annotations

import os
import signal
import time

from trtdbg.records import BuildRecord, BuildStatus
from trtdbg.worker.messages import Attempt, Attempted

OPERATORS = 40


class Breaking:
    def __init__(self, emit):
        self.emit = emit

    def refusal(self, request):
        return None

    def prepare(self):
        pass

    def handle(self, request):
        assert isinstance(request, Attempt)
        how, _, places = request.job.model.partition(":")
        kept = tuple(range(OPERATORS)) if request.kept is None else request.kept
        if request.save is not None:
            with open(request.save, "w") as file:
                file.write(f"{kept}")
        log = os.environ.get("TRTDBG_TEST_ATTEMPTS")
        if log is not None:
            with open(log, "a") as file:
                file.write(f"{request.kept}\n")
        if how == "slow" and request.build:
            time.sleep(0.3)
        error = None
        if request.build and set(map(int, places.split(","))) <= set(kept):
            error = getattr(self, how)(request, kept)
        failed = BuildStatus.FAILED if error else BuildStatus.BUILT
        return Attempted(
            operators=tuple(f"aten.op{place}" for place in kept),
            graph=tuple(f"v{place} = aten.op{place}()" for place in kept),
            build=BuildRecord(status=failed, error=error),
        )

    def refuse(self, request, kept):
        return f"no kernel for layer_{len(kept)} of {len(kept)} bytes"

    def crash(self, request, kept):
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)

    def outputs(self, request, kept):
        """Refuses what returns all that the engine returns, and nothing else."""
        return "no kernel" if request.kept is None or request.outputs else None

    def slow(self, request, kept):
        """Refuses, and takes a while whatever the answer."""
        return "no kernel"

    def whole(self, request, kept):
        """Refuses the engine as it is, and no copy of its graph."""
        return "no kernel" if request.kept is None else None

    def hang(self, request, kept):
        """Refuses the whole, and hangs where half of it is left."""
        if len(kept) < OPERATORS // 2:
            time.sleep(60)
        return "no kernel"
