"""The converter registry of the installed torch_tensorrt, asked about many nodes in a row."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator


@contextlib.contextmanager
def patched_registry_check() -> Iterator[None]:
    """Lets the registry check its own entries at the first question inside, and not at each.

    The check looks at every converter there is and at nothing of the node, and takes ten times
    what the validators do. Where it fails, it fails at each question as it always does.

    Source: torch_tensorrt 2.13 and 2.14, `dynamo/conversion/_ConverterRegistry.py`
    validate_invariants.
    """
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    name = "validate_invariants"
    if name in vars(DYNAMO_CONVERTERS) or not hasattr(DYNAMO_CONVERTERS, name):
        yield
        return
    # A function that is remembered is run again after it raised.
    setattr(DYNAMO_CONVERTERS, name, functools.cache(getattr(DYNAMO_CONVERTERS, name)))
    try:
        yield
    finally:
        delattr(DYNAMO_CONVERTERS, name)
