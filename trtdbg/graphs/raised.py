"""What an exception of torch or of a lowering pass says beyond its first line.

This is ground for the stages that run what can raise, not a stage.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Container

from torch.fx import Node

from trtdbg.graphs.graph import first_line

_EXECUTING = re.compile(r"While executing %(?P<node>\w+) ")
"""torch 2.13, `torch/fx/interpreter.py` run: what an interpreter adds to an exception."""

_NO_KERNEL = re.compile(
    r"Could not run '(?P<name>[^']+)' with arguments from the '(?P<backend>\w+)' backend"
)
"""torch 2.13, `aten/src/ATen/core/dispatch/OperatorEntry.cpp` reportError."""

_DECOMPOSING = re.compile(
    r"(?:^|/)(?P<path>(?:torch/(?:_decomp|_refs|_prims|_inductor|_meta_registrations)"
    r"|torch_tensorrt/dynamo/lowering)\b[\w./]*\.py)$"
)
"""Files of torch 2.13 and torch_tensorrt 2.13 that decompose operators or lower a graph."""


def raising_place(error: BaseException) -> str | None:
    """Returns the file and line of the decomposition or lowering pass that raised.

    The innermost frame in such a file, like `torch/_refs/__init__.py:4012`; None if the
    exception passed through none.

    Args:
        error: what was raised.
    """
    for each in reversed(_chain(error)):
        found = None
        for frame, line in traceback.walk_tb(each.__traceback__):
            named = _DECOMPOSING.search(frame.f_code.co_filename.replace("\\", "/"))
            found = f"{named['path']}:{line}" if named is not None else found
        if found is not None:
            return found
    return None


def why_not_run(error: BaseException) -> str:
    """Returns why PyTorch could not run something, in one line.

    A missing kernel is told in a few words: torch names every backend that has one.
    """
    missing = _NO_KERNEL.search(str(error))
    if missing is None:
        return first_line(error)
    return f"{missing['name']} has no kernel for the {missing['backend']}"


def said_at(error: BaseException) -> str:
    """Returns the first line of an exception, with where a decomposition raised it."""
    place = raising_place(error)
    return first_line(error) + (f" (raised in {place})" if place is not None else "")


def raising_node(error: BaseException, known: Container[str]) -> str | None:
    """Returns the node at which an exception was raised, as torch's interpreter notes it.

    Args:
        error: what was raised.
        known: names of the graph's nodes; a node of another graph is not named.
    """
    for each in _chain(error):
        found = [m["node"] for m in _EXECUTING.finditer(str(each)) if m["node"] in known]
        if found:
            return found[0]
    return _handled(error, known)


def _handled(error: BaseException, known: Container[str]) -> str | None:
    """Returns the node that the innermost function with a variable `node` worked on."""
    found = None
    trace = error.__traceback__
    while trace is not None:
        node = trace.tb_frame.f_locals.get("node")
        # A loop that ended leaves the last node behind, and an output computes nothing.
        if isinstance(node, Node) and node.name in known and node.op != "output":
            found = str(node.name)
        trace = trace.tb_next
    return found


def caused_by(error: BaseException) -> str | None:
    """Returns the first line of the exception behind all others, if it says more."""
    *_, root = _chain(error)
    said = first_line(root)
    return said if root is not error and said != first_line(error) else None


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
    return chain
