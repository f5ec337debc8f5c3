"""Custom operators: imports the libraries that register them, and guesses which is missing."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from trtdbg.errors import UsageError
from trtdbg.graphs.graph import first_line

_LIBRARIES: Final = {
    "torchvision": "torchvision",
    "image": "torchvision",
    "torchaudio": "torchaudio",
    "torchao": "torchao",
    "transformers": "transformers.integrations.moe",
    "transformers_msa": "transformers.integrations.msa_attention",
    "quantized_decomposed": "torch.ao.quantization.fx._decomposed",
    "fbgemm": "fbgemm_gpu",
    "flash_attn": "flash_attn",
    "xformers": "xformers.ops",
    "vllm": "vllm._custom_ops",
    "tensorrt": "torch_tensorrt",
    "modelopt": "modelopt.torch.quantization",
    "torch_scatter": "torch_scatter",
    "torch_sparse": "torch_sparse",
    "torch_cluster": "torch_cluster",
    "pyg": "pyg_lib",
    "mamba_ssm": "mamba_ssm",
    "detectron2": "detectron2.layers",
}
"""The module to import, by the namespace of the operators that it registers."""


def import_libraries(modules: Sequence[str]) -> None:
    """Imports modules by name, those of the working directory too, or .py files by path.

    Raises:
        UsageError: one cannot be imported.
    """
    for module in modules:
        try:
            _import(module)
        except (Exception, SystemExit) as cause:  # What is imported can raise anything.
            raise UsageError(
                f"--import {module} failed: {first_line(cause)}",
                remedy="name an installed module, one of this folder, or a .py file",
            ) from cause


def how_to_register(operator: str) -> str:
    """Returns what to do about an operator such as `transformers::grouped_mm`."""
    namespace, _, name = operator.partition("::")
    module = _LIBRARIES.get("modelopt" if _is_of_modelopt(namespace, name) else namespace)
    if module is None:
        return (
            f"import the library that registers {namespace}: --import MODULE "
            f"(often `--import {namespace}`)"
        )
    return f"import the library that registers {namespace}: `--import {module}`"


def _is_of_modelopt(namespace: str, name: str) -> bool:
    """Returns whether modelopt registers an operator in torch_tensorrt's namespace."""
    return namespace == "tensorrt" and "quantize_op" in name


def _import(module: str) -> None:
    if not module.endswith(".py"):
        here = os.getcwd()
        if here not in sys.path:
            # Last, so that nothing of this folder takes the place of what is installed.
            sys.path.append(here)
        importlib.import_module(module)
        return
    # Once a process: to register an operator twice is an error.
    name = f"trtdbg_import_{Path(module).resolve()}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, module)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    try:
        spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[name]
        raise
