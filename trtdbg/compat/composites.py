"""torch's list of composite operators, which it makes anew for each namespace of operators."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator


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
