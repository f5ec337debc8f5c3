"""What the UI can ask of the worker, and what an answer depends on."""

from __future__ import annotations

from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.worker.messages import Analyze, Build, Measure, Reproduce, Weigh

Ask = Analyze | Build | Measure | Reproduce | Weigh


Choice = tuple[Settings, TruncationPolicy]
"""What a report depends on, for one program."""


def choice_of(request: Ask) -> Choice:
    """Returns what the answer to a request depends on."""
    return request.job.settings, request.policy
