"""Every private name of torch, torch_tensorrt and Textual that trtdbg imports, as a table.

What trtdbg replaces for a while is in `patches.py`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from trtdbg.analysis.versions import READ
from trtdbg.errors import UnavailableError

TORCH: Final = ", ".join(READ)
TEXTUAL: Final = "8.2"
SERVE: Final = "1.1"


@dataclass(frozen=True)
class PrivateName:
    """A name of another project that may change without notice."""

    module: str
    """Where it is looked up."""
    name: str
    """Dotted, from the module on."""
    reason: str
    """What needs it, and why no public name does."""
    version: str = TORCH
    """Versions in which it was read."""

    @property
    def full(self) -> str:
        """The module and the name, dotted."""
        return f"{self.module}.{self.name}"


def _names(
    module: str, names: str, reason: str, version: str = TORCH
) -> tuple[PrivateName, ...]:
    return tuple(PrivateName(module, name, reason, version) for name in names.split())


_CONVERSION = "torch_tensorrt.dynamo.conversion"
_PARTITIONING = "torch_tensorrt.dynamo.partitioning"

OF_TORCH: Final = (
    *_names(
        "torch.utils._pytree",
        "tree_flatten tree_leaves tree_map tree_map_only tree_unflatten",
        "takes nested inputs and outputs apart as export does; public ones do less",
    ),
    *_names(
        "torch.export._tree_utils", "reorder_kwargs", "orders keyword inputs as export does"
    ),
    *_names(
        "torch._subclasses.fake_tensor",
        "FakeTensor FakeTensorMode unset_fake_temporarily",
        "type inference runs on tensors without data",
    ),
    *_names(
        "torch._guards", "detect_fake_mode tracing", "the mode in which a graph was traced"
    ),
    *_names(
        "torch._dispatch.python",
        "enable_python_dispatcher no_python_dispatcher",
        "decompositions in Python see symbolic sizes",
    ),
    *_names(
        "torch._ops",
        "HigherOrderOperator OpOverload OpOverloadPacket",
        "tells operators, their overloads and control flow apart",
    ),
    *_names("torch._C", "_dispatch_get_all_op_names", "names of all operators that are there"),
    *_names("torch._C", "_pickle_load_obj", "reads old pickled constants"),
    *_names(
        "torch._export.serde.schema",
        "Device ExportedProgram PayloadConfig SCHEMA_VERSION",
        "the types that an archive's JSON is checked against",
    ),
    *_names(
        "torch._export.serde.serialize",
        "ExportedProgramDeserializer _dict_to_dataclass deserialize_device "
        "deserialize_scalar_type deserialize_size deserialize_storage_offset "
        "deserialize_stride typing",
        "rebuilds a program from an archive whose parts were looked at first",
    ),
    *_names(
        "torch._export.utils",
        "_detect_fake_mode_from_gm",
        "torch_tensorrt's backend and its lowering ask it",
    ),
    *_names(
        "torch._functorch.aot_autograd",
        "aot_export_joint_simple",
        "lowers a graph of Dynamo as torch_tensorrt's backend does",
    ),
    *_names(
        "torch._weights_only_unpickler",
        "_get_allowed_globals",
        "loads tensors and refuses everything else",
    ),
    *_names("torch.utils._ordered_set", "OrderedSet", "used by a function made alone"),
    *_names("torch.utils._sympy", "functions", "what symbolic sizes are made of"),
    *_names("torch.utils._sympy.value_ranges", "ValueRanges", "the bounds of symbolic sizes"),
    *_names("torch.fx._lazy_graph_module", "_LazyGraphModule", "a graph that compiles late"),
    *_names("torch.fx.passes.shape_prop", "_extract_tensor_metadata", "writes `tensor_meta`"),
)
"""Imported by the worker process."""

OF_TORCH_TENSORRT: Final = (
    *_names(
        "torch_tensorrt._features", "ENABLED_FEATURES", "whether TensorRT is TensorRT-RTX"
    ),
    *_names("torch_tensorrt", "dtype._from", "spells dtypes as torch_tensorrt does"),
    *_names(
        "torch_tensorrt.dynamo._compiler",
        "_insert_complex_io_adapters",
        "the last step of the compilation that timing upstream repeats",
    ),
    *_names(
        f"{_CONVERSION}._ConverterRegistry",
        "ConverterRegistry DYNAMO_CONVERTERS node_has_dynamic_shapes",
        "converters and their validators, asked as the partitioner asks them",
    ),
    *_names(
        f"{_CONVERSION}._TRTInterpreter",
        "TRTInterpreter",
        "defines the network of an engine, so that its dtypes can be read",
    ),
    *_names(
        f"{_CONVERSION}._conversion",
        "infer_module_output_dtypes",
        "the dtypes that an engine is told to return",
    ),
    *_names(
        f"{_CONVERSION}._symbolic_shape_capture",
        "extract_symbolic_shape_expressions",
        "an engine with dynamic sizes is told them",
    ),
    *_names("torch_tensorrt.dynamo.lowering", "_decompositions", "its default device"),
    *_names(
        "torch_tensorrt.dynamo.lowering.passes._FakeTensorUpdater",
        "FakeTensorUpdater",
        "updates metadata after a pass, as lowering does",
    ),
    *_names(
        "torch_tensorrt.dynamo.lowering.passes._aten_lowering_pass",
        "ATEN_POST_LOWERING_PASSES ATEN_PRE_LOWERING_PASSES",
        "the lists of passes, run one by one",
    ),
    *_names(
        f"{_PARTITIONING}._adjacency_partitioner", "OpSupportTester", "the fast partitioner"
    ),
    *_names(
        f"{_PARTITIONING}._global_partitioner",
        "TorchTensorRTOperatorSupport",
        "the global partitioner's question of one operator",
    ),
)
"""Imported by the worker process."""

OF_TEXTUAL: Final = (
    *_names(
        "textual.keys",
        "_character_to_key",
        "a keymap may write `[` for Textual's `left_square_bracket`",
        TEXTUAL,
    ),
    *_names(
        "textual.widget",
        "Widget._bindings",
        "a page is left by the keys of the user's keymap",
        TEXTUAL,
    ),
    *_names(
        "textual_serve.app_service",
        "AppService._process",
        "a tab's app is gone when the tab is closed",
        SERVE,
    ),
    *_names(
        "textual_serve.server",
        "Server._make_app Server._process_messages",
        "its routes are put behind the guard",
        SERVE,
    ),
)
"""Imported, or used of a base class, by the UI and by `trtdbg serve`."""


class Named(Protocol):
    """A name of a module, dotted where it is of a class: a private one, or one replaced."""

    @property
    def module(self) -> str:
        """Returns where it stands."""

    @property
    def name(self) -> str:
        """Returns the name itself."""


def object_of(name: Named) -> Any:
    """Returns what a name stands for in the installed version.

    Raises:
        ImportError: there is no such module.
        AttributeError: it has no such name.
    """
    found: Any = importlib.import_module(name.module)
    for part in name.name.split("."):
        found = getattr(found, part)
    return found


def absent(names: Iterable[PrivateName] = (*OF_TORCH, *OF_TORCH_TENSORRT)) -> list[str]:
    """Returns which private names the installed versions do not have."""
    missing = []
    for name in names:
        try:
            object_of(name)
        except (ImportError, AttributeError):
            missing.append(name.full)
    return missing


def missing_name(error: Exception) -> Exception:
    """Returns why trtdbg's own modules do not import: names that are gone, else the error."""
    gone = absent() if isinstance(error, ImportError | AttributeError) else []
    if not gone:
        return error
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    return UnavailableError(
        f"the installed torch or torch_tensorrt has no {gone[0]}{more}, which trtdbg reads",
        remedy=f"install torch_tensorrt {TORCH}",
    )
