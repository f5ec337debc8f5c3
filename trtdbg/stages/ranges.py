"""Runs a lowered program once on the CPU and notes how large its values are."""

from __future__ import annotations

from collections import Counter

import torch
from torch.fx import GraphModule

from trtdbg.graphs.flat import flatten
from trtdbg.graphs.magnitudes import magnitudes
from trtdbg.graphs.replay import ProgramInputs, Replay
from trtdbg.records import ValueRange


def see_ranges(module: GraphModule, given: ProgramInputs, dtype: str) -> dict[str, ValueRange]:
    """Returns the magnitudes of each floating value of a program, by node.

    A value that PyTorch has none of on a CPU has no entry, nor has what follows from it.

    Args:
        module: a lowered graph, which is not changed.
        given: what it is run on.
        dtype: the low type that elements are said to leave, or to be subnormal in.

    Raises:
        MemoryError: the values still to be read do not fit.
    """
    flat = flatten(module)
    replay = Replay(flat, given.values, Counter(), given.seed)
    found: dict[str, ValueRange] = {}
    with torch.no_grad():
        for step in flat.steps:
            value = replay.compute(step, *replay.operands(step))
            seen = magnitudes(value, dtype)
            if seen is not None:
                found[step.node.name] = seen
            replay.keep(step.node, value)
    return found
