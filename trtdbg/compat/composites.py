"""torch's list of composite operators, which it makes anew for each namespace of operators."""

from __future__ import annotations

import collections.abc
import contextlib
import functools
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def patched_operator_fetch() -> Iterator[None]:
    """Lets torch fetch the composite operators of C++ once inside, and not once a namespace.

    To decompose, torch collects the composite operators of every namespace, and before each of
    them it fetches those of all namespaces into `torch.ops`. Operators may be registered
    between two programs, so it remembers nothing; while it collects, none is.

    Source: torch 2.13 and 2.14, `_export/utils.py` _collect_all_valid_cia_ops,
    _collect_all_valid_cia_ops_for_namespace and _materialize_cpp_cia_ops.
    """
    from torch._export import utils

    name = "_materialize_cpp_cia_ops"
    real = getattr(utils, name, None)
    if real is None:
        yield
        return
    # A function that is remembered is run again after it raised.
    setattr(utils, name, functools.cache(real))
    try:
        yield
    finally:
        setattr(utils, name, real)


class _AnyCallable(type):
    """Answers as `collections.abc.Callable` does, whatever its parameters are."""

    def __instancecheck__(cls, instance: object) -> bool:
        return callable(instance)

    def __getitem__(cls, parameters: object) -> Any:
        return cls


class _Unparametrized(metaclass=_AnyCallable):
    """Stands for `Callable` in annotations that nobody reads."""


@contextlib.contextmanager
def patched_annotations() -> Iterator[None]:
    """Lets `py_impl` of torch's operators make a function without spelling its type anew.

    While it decomposes, torch replaces 10,000 implementations and puts them back. Each is
    registered by a function of its own, whose annotations are made and never read: two thirds
    of what registering takes.

    Source: torch 2.13 and 2.14, `_ops.py` OperatorBase.py_impl.
    """
    import torch._ops

    name = "Callable"
    if getattr(torch._ops, name, None) is not collections.abc.Callable:
        yield
        return
    setattr(torch._ops, name, _Unparametrized)
    try:
        yield
    finally:
        setattr(torch._ops, name, collections.abc.Callable)
