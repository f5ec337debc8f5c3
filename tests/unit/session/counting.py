"""Prints what the analysis of one model counts, as JSON: `python counting.py MODEL.pt2`.

A process of its own: torch keeps what it once dispatched on fake tensors for the life of the
process, and a count after other analyses would be lower.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from torch._subclasses.fake_tensor import FakeTensorMode

from trtdbg.compat import host
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.session.session import Session
from trtdbg.worker.messages import Job


def counted(
    function: Callable[..., Any], counts: Counter[str], what: str
) -> Callable[..., Any]:
    """Returns `function`, which now counts its calls as `what`."""

    def call(*args: Any, **kwargs: Any) -> Any:
        counts[what] += 1
        return function(*args, **kwargs)

    return call


def count_validators(counts: Counter[str]) -> None:
    """Has every validator of torch_tensorrt's converters counted."""
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    supports = {
        id(support): support
        for registry in DYNAMO_CONVERTERS.registries
        for entry in registry.values()
        for support in (entry if isinstance(entry, (list, tuple)) else ())
    }
    for support in supports.values():
        # The entries are frozen; the registry holds these very objects.
        validator = counted(support.capability_validator, counts, "validators")
        object.__setattr__(support, "capability_validator", validator)


def count_records(counts: Counter[str]) -> None:
    """Has every record of a node in a snapshot counted."""
    from trtdbg.stages import capture

    capture.graph_node = counted(capture.graph_node, counts, "records")


def count_fetches(counts: Counter[str]) -> None:
    """Has it counted how often torch fetches all of its composite operators."""
    from torch._export import utils

    name = "_materialize_cpp_cia_ops"
    setattr(utils, name, counted(getattr(utils, name), counts, "fetches"))


def count_partitions(counts: Counter[str]) -> None:
    """Has every run of one of torch_tensorrt's partitioners counted."""
    from torch_tensorrt.dynamo import partitioning

    for name in ("fast_partition", "global_partition"):
        setattr(partitioning, name, counted(getattr(partitioning, name), counts, "partitions"))


COUNTS = ("dispatches", "validators", "records", "partitions", "fetches")


def main(model: str) -> None:
    """Counts loading, the first analysis, a switch, switching back, and a headline."""
    counts: Counter[str] = Counter()
    dispatch = counted(FakeTensorMode.dispatch, counts, "dispatches")
    FakeTensorMode.dispatch = dispatch  # type: ignore[method-assign]
    host.prepare()
    count_validators(counts)
    count_records(counts)
    count_partitions(counts)
    count_fetches(counts)
    spent: dict[str, list[int]] = {}

    def note(step: str) -> None:
        spent[step] = [counts[each] for each in COUNTS]
        counts.clear()

    job = Job(model=model, settings=Settings(), probe_seconds=0.0)
    session = Session(job, lambda _: None)
    note("load")
    late, off = TruncationPolicy(), TruncationPolicy(timing=Timing.OFF)
    for step, policy in (("late", late), ("off", off), ("again", late)):
        session.analyze(policy)
        note(step)
    upstream = TruncationPolicy(timing=Timing.UPSTREAM)
    for step in ("headline", "headline again"):
        session.analyze(upstream, headline=True)
        note(step)
    sys.stdout.write(json.dumps(spent) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
