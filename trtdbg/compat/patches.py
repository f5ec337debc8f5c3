"""Every name of torch and torch_tensorrt that trtdbg replaces for a while, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

from trtdbg.analysis.versions import READ
from trtdbg.compat.private import object_of


class Absent(StrEnum):
    """What happens where the installed version does not have a patched name."""

    NOTHING = "nothing is replaced: the patch only saves time"
    FAILS = "what needs it raises, and the error names it"
    UNRECORDED = "`trtdbg record` does not see what goes through it"


@dataclass(frozen=True)
class Patch:
    """A name of another project that is replaced inside a `with` block."""

    module: str
    """Where the name is looked up."""
    name: str
    """Dotted, from the module on."""
    where: str
    """File and function of trtdbg that replace it and put it back."""
    reason: str
    absent: Absent = Absent.FAILS
    version: str = ", ".join(READ)
    """Versions in which it was read."""


_PARTITIONER = "torch.fx.passes.infra.partitioner"
_SERDE = "torch._export.serde.serialize"
_REGISTRY = "torch_tensorrt.dynamo.conversion._ConverterRegistry"


def _replaced(where: str, reason: str, module: str, *names: str) -> tuple[Patch, ...]:
    """Returns the patches of names of a module that `trtdbg record` replaces."""
    return tuple(Patch(module, name, where, reason, Absent.UNRECORDED) for name in names)


_recorded = partial(
    _replaced,
    "recordings/hooks.py patched_torch_tensorrt",
    "records what is handed to torch_tensorrt, and compiles only if asked to",
)


RECORDED: Final = (
    *_recorded(
        "torch_tensorrt",
        "compile",
        "convert_method_to_trt_engine",
        "cross_compile_for_windows",
        "load",
        "save",
    ),
    *_recorded(
        "torch_tensorrt._compile",
        "compile",
        "convert_method_to_trt_engine",
        "cross_compile_for_windows",
        "dynamo_compile",
        "dynamo_convert_exported_program_to_serialized_trt_engine",
        "dynamo_cross_compile_for_windows",
        "dynamo_save_cross_compiled_exported_program",
        "load",
        "save",
    ),
    *_recorded(
        "torch_tensorrt.dynamo",
        "compile",
        "convert_exported_program_to_serialized_trt_engine",
        "cross_compile_for_windows",
        "save_cross_compiled_exported_program",
    ),
    *_recorded(
        "torch_tensorrt.dynamo._compiler",
        "compile",
        "convert_exported_program_to_serialized_trt_engine",
        "cross_compile_for_windows",
        "save_cross_compiled_exported_program",
        "pre_export_lowering",
    ),
    *_recorded(
        "torch_tensorrt.dynamo.runtime._MutableTorchTensorRTModule",
        "dynamo_compile",
        "MutableTorchTensorRTModule.__init__",
        "MutableTorchTensorRTModule.compile",
    ),
    *_recorded("torch_tensorrt.dynamo._tracer", "to_torch_device", "default_device"),
    *_recorded(
        "torch_tensorrt.dynamo.backend.backends",
        "aot_torch_tensorrt_aten_backend",
        "_pretraced_backend",
    ),
    *_recorded("torch._dynamo.backends.registry", "_COMPILER_FNS"),
)
"""What `trtdbg record` replaces in the process of the script, until the script has ended."""


_on_cpu = partial(
    _replaced,
    "compat/cuda_on_cpu.py patched_cuda",
    "puts on the CPU what a script puts on a GPU",
)


ON_CPU: Final = (
    *_on_cpu(
        "torch.cuda",
        "synchronize",
        "empty_cache",
        "set_device",
        "reset_peak_memory_stats",
        "manual_seed",
        "manual_seed_all",
        "current_device",
        "memory_allocated",
        "max_memory_allocated",
        "memory_reserved",
        "max_memory_reserved",
        "get_device_name",
        "get_device_capability",
        "get_device_properties",
        "mem_get_info",
        "current_stream",
        "default_stream",
        "stream",
        "device",
        "Event",
        "Stream",
    ),
    *_on_cpu("torch", "Generator", "load", "set_default_device", "autocast"),
)
"""What `--device cpu` replaces on top, beside the torch function mode."""

PATCHES: Final = (
    *RECORDED,
    *ON_CPU,
    Patch(
        "torch.cuda",
        "get_device_capability",
        "compat/host.py patched_cuda_queries",
        "torch_tensorrt asks it while it is imported; only where there is no GPU",
    ),
    Patch(
        "torch.cuda",
        "current_device",
        "compat/host.py patched_cuda_queries",
        "torch_tensorrt asks it while it is imported; only where there is no GPU",
    ),
    Patch(
        "torch_tensorrt.dynamo.lowering._decompositions",
        "default_device",
        "compat/host.py patched_default_device",
        "decompositions create tensors on the first GPU; only where there is none",
    ),
    Patch(
        "torch_tensorrt.dynamo.lowering.passes.constant_folding",
        "_TorchTensorRTConstantFolder._deduce_value",
        "compat/quantization.py patched_quantized_folding",
        "modelopt's operators are not run to be left alone; without a GPU their kernels raise",
    ),
    Patch(
        _SERDE,
        "deserialize_device",
        "compat/devices.py patched_device_lookup",
        "a program from a machine with a GPU is loaded on the CPU",
    ),
    Patch(
        "torch.export.pt2_archive._package",
        "deserialize_device",
        "compat/devices.py patched_device_lookup",
        "the same function under its imported name",
    ),
    Patch(
        "torch.serialization",
        "_package_registry",
        "compat/devices.py patched_device_lookup",
        "tensors saved on an absent device are restored on the CPU",
    ),
    Patch(
        _SERDE,
        "sympy",
        "archive/symbols.py patched_sympify",
        "texts of symbolic sizes are parsed and never evaluated as Python",
    ),
    Patch(
        "torch._export.utils",
        "_materialize_cpp_cia_ops",
        "compat/composites.py patched_operator_fetch",
        "it fetches all composite operators before it looks at each namespace",
        Absent.NOTHING,
    ),
    Patch(
        "torch._ops",
        "Callable",
        "compat/composites.py patched_annotations",
        "py_impl spells the type of a function at each of 10,000 calls",
        Absent.NOTHING,
    ),
    Patch(
        _REGISTRY,
        "ConverterRegistry.validate_invariants",
        "compat/registry.py patched_registry_check",
        "it looks at all converters at every question",
        Absent.NOTHING,
    ),
    Patch(
        _REGISTRY,
        "ConverterRegistry.__contains__",
        "stages/partition.py, stages/consequences.py",
        "the one question of both partitioners where a node can also be refused",
    ),
    Patch(
        "torch_tensorrt.dynamo.partitioning._adjacency_partitioner",
        "OpSupportTester.is_node_supported",
        "stages/consequences.py",
        "accepts a refused node to see what that would change",
    ),
    Patch(
        "torch_tensorrt.dynamo.partitioning._global_partitioner",
        "TorchTensorRTOperatorSupport.is_node_supported",
        "stages/consequences.py",
        "accepts a refused node to see what that would change",
    ),
    Patch(
        _PARTITIONER,
        "_DependencyViewer",
        "compat/dependencies.py patched_dependency_viewer",
        "it walks the graph for each node; replaced only if the module's digest is known",
        Absent.NOTHING,
    ),
    Patch(
        _PARTITIONER,
        "Partition",
        "compat/dependencies.py patched_dependency_viewer",
        "goes with _DependencyViewer",
        Absent.NOTHING,
    ),
    Patch(
        _PARTITIONER,
        "CapabilityBasedPartitioner._is_node_supported",
        "compat/dependencies.py patched_dependency_viewer",
        "it lists all modules of a graph for each node",
        Absent.NOTHING,
    ),
)
"""By where they apply; private names of torch that are only read are not listed."""


def absent_patches(*, recording: bool = False) -> tuple[str, ...]:
    """Returns a line for each patched name that the installed versions do not have.

    Args:
        recording: of the names that only recording replaces, or of all others.
    """
    lines = []
    for patch in PATCHES:
        if (patch.absent is Absent.UNRECORDED) is not recording:
            continue
        try:
            object_of(patch)
        except (ImportError, AttributeError):
            lines.append(f"{patch.module} has no {patch.name} here: {patch.absent.value}")
    return tuple(lines)
