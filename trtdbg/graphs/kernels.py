"""Asks PyTorch's CPU kernels what they refuse although their meta kernels take it.

The ground of the stages that type the PyTorch part. A meta kernel computes shapes and need not
look at every dtype: `linear` on mixed floats and `index_fill` with int32 pass there and raise
when they run.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import torch
from torch._dispatch.python import no_python_dispatcher
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.utils._pytree import tree_map

from trtdbg.graphs.graph import captured_log, first_line

FAKE_TENSOR_LOGGER = "torch._subclasses.fake_tensor"
"""Logs every meta kernel that says no, with its traceback; here a no is an answer."""

LARGEST_SIZE = 8
"""Sizes beyond this are asked about as this: a dtype is refused whatever the size."""

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments, tensors among them fake."""


def silenced_kernels() -> contextlib.AbstractContextManager[object]:
    """Returns a context in which torch does not log what a meta kernel refuses."""
    return captured_log(FAKE_TENSOR_LOGGER, logging.CRITICAL)


def refusal(target: Any, given: Arguments, before: Arguments) -> str | None:
    """Returns the sentence with which an operator's CPU kernel refuses dtypes, or None.

    The kernel is run on small tensors of zeros and ones, once with the dtypes given and, if it
    raises, with those before truncation: only what then runs is a refusal of the dtypes. Other
    operators than PyTorch's own are not asked, nor is anything that cannot run when small.
    """
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        return None
    sentence = _failure(target, given)
    if sentence is None or _failure(target, before) is not None:
        return None
    return sentence


def _failure(target: Any, arguments: Arguments) -> str | None:
    args, kwargs = arguments
    # The Python dispatcher would run decompositions, which take more than the kernel does.
    with unset_fake_temporarily(), no_python_dispatcher(), torch.no_grad():
        try:
            target(*tree_map(_small, args), **tree_map(_small, kwargs))
        except Exception as error:
            # A kernel says no in whatever exception it likes.
            return first_line(error)
    return None


def _small(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        shape = [_small_size(size) for size in value.shape]
        fill = torch.ones if value.dtype.is_floating_point else torch.zeros
        return fill(shape, dtype=value.dtype)
    if isinstance(value, (int, torch.SymInt)) and not isinstance(value, bool):
        return _small_size(value)
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _small_size(size: int | torch.SymInt) -> int:
    if isinstance(size, torch.SymInt):
        hint = size.node.hint if size.node.has_hint() else None
        size = LARGEST_SIZE if hint is None else int(hint)
    return min(size, LARGEST_SIZE)
