"""A request answered by a worker process of its own, wherever an executor runs it."""

from __future__ import annotations

import multiprocessing

from trtdbg.records import Report
from trtdbg.worker.client import Client
from trtdbg.worker.messages import Analyze, Build, Measure


def answered(request: Analyze | Build | Measure) -> Report:
    """Returns the report that was asked for; no process is left of making it.

    Raises:
        TrtdbgError: there is none, or the worker died.
    """
    allow_children()
    with Client() as client:
        report = client.submit(request).result()
    assert isinstance(report, Report)
    return report


def allow_children() -> None:
    """Lets this process start others: Dask's workers may be daemons, which must not."""
    multiprocessing.current_process().daemon = False
