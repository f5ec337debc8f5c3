"""Quantised graphs: torch_tensorrt is kept from running operators that it does not fold.

This is ground for the stage that captures lowering, not a stage.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from trtdbg.compat.host import replaced


@contextlib.contextmanager
def patched_quantized_folding() -> Iterator[None]:
    """Lets constant folding leave modelopt's operators alone without running them first.

    torch_tensorrt never folds them, but its folder runs each on constants and throws the
    result away; without a GPU, modelopt's kernels raise. What is folded stays the same.

    Source: torch_tensorrt 2.13 and 2.14, `dynamo/lowering/passes/constant_folding.py`
    _TorchTensorRTConstantFolder; torch, `_inductor/constant_folding.py` run_node.
    """
    from torch_tensorrt.dynamo.lowering.passes import constant_folding

    folder: Any = constant_folding._TorchTensorRTConstantFolder
    deduces = folder._deduce_value

    def deduced(self: Any, node: Any) -> Any:
        if node.target in getattr(self, "quantization_ops", ()):
            return self.unknown_value
        return deduces(self, node)

    with replaced(folder, "_deduce_value", deduced):
        yield
