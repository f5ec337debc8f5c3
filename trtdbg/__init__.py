"""trtdbg: a debugger for dtypes in the Torch-TensorRT compiler."""

__version__ = "0.1.0"

import importlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from trtdbg.errors import (
    CancelledError,
    LimitError,
    ModelError,
    OutputError,
    StageError,
    TrtdbgError,
    UnavailableError,
    UsageError,
    WorkerBugError,
    WorkerError,
)
from trtdbg.policy import Settings, Timing, TruncationPolicy, VerdictSource

if TYPE_CHECKING:
    from trtdbg.api import Diff, Model

__all__ = [
    "CancelledError",
    "Diff",
    "LimitError",
    "Model",
    "ModelError",
    "OutputError",
    "Settings",
    "StageError",
    "Timing",
    "TrtdbgError",
    "TruncationPolicy",
    "UnavailableError",
    "UsageError",
    "VerdictSource",
    "WorkerBugError",
    "WorkerError",
    "compile",
    "open",
    "record",
    "recording",
]

_AS_TODAY: Final = TruncationPolicy(timing=Timing.UPSTREAM)
_DEFAULT_POLICY: Final = TruncationPolicy()
_DEFAULT_SETTINGS: Final = Settings()


def open(
    model: Any,
    policy: TruncationPolicy = _AS_TODAY,
    *,
    inputs: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
    program: str | None = None,
    settings: Settings | None = None,
    trust: bool = False,
    imports: Iterable[str] = (),
    cache: bool = True,
) -> "Model":
    """Returns a model: a file, a program in memory, or a module with inputs.

    Nothing is analysed before it is asked for, and then in a worker process, which does not
    run the script again that started it.

    Args:
        model: path of a .pt2 file, of a recording, or of a report that was saved as .json; or
            a `torch.export.ExportedProgram`; or a `torch.nn.Module`, which is exported.
        policy: which wide dtypes are narrowed, and when; `Model.with_policy` takes another.
            The default is timing `upstream`: what torch_tensorrt does by itself.
        inputs: positional arguments that a module is exported with.
        kwargs: keyword arguments that a module is exported with.
        dynamic_shapes: of a module's inputs, as `torch.export.export` takes them.
        program: which program of a recording, or of a file, that holds several; None is the
            only one.
        settings: torch_tensorrt's compilation settings; None is what a program was recorded
            with, else the defaults.
        trust: open a file that could run code, which is refused otherwise, and let it.
        imports: modules, or .py files, that register custom operators.
        cache: take analyses of the same file, policy, settings and versions that were made
            before; False makes them anew.

    Raises:
        trtdbg.errors.UsageError: there is no such file or program, or the arguments do not go
            together.
        trtdbg.errors.ModelError: a report or a recording cannot be read, or torch cannot
            export or save the model.
    """
    # By name, so that `import trtdbg` costs nothing and no module reaches another over it.
    opened: Model = importlib.import_module("trtdbg.api").open_model(
        model,
        policy,
        settings,
        trust,
        imports,
        program,
        {"inputs": inputs, "kwargs": kwargs, "dynamic_shapes": dynamic_shapes},
        cache,
    )
    return opened


def record(model: Any, inputs: Sequence[Any], **settings: Any) -> "Model":
    """Returns a model as `torch_tensorrt.compile(model, inputs=inputs, **settings)` takes it.

    torch_tensorrt checks the arguments and exports the model; nothing is compiled. The model
    is then analysed under the settings of that call.

    Args:
        model: a `torch.nn.Module` or a `torch.export.ExportedProgram`.
        inputs: tensors or `torch_tensorrt.Input`s.
        settings: whatever `torch_tensorrt.compile` takes.

    Raises:
        trtdbg.errors.UnavailableError: torch_tensorrt is missing.
        trtdbg.errors.UsageError: the call asks for a front end that is not supported.
    """
    made: Model = importlib.import_module("trtdbg.api").record(model, inputs, settings)
    return made


def recording(
    folder: Any, *, compile: bool = False, force: bool = False
) -> AbstractContextManager[None]:
    """Records each program that is handed to torch_tensorrt inside a `with` block.

    The folder is written when the block ends, also by an exception; `trtdbg.open` and every
    command take it. Without `compile`, a call returns the program uncompiled.

    Args:
        folder: is made; one that holds files is kept.
        compile: let torch_tensorrt compile what was recorded.
        force: replace files in the folder.

    Raises:
        trtdbg.errors.UnavailableError: torch_tensorrt is missing.
        trtdbg.errors.OutputError: the folder cannot be written, or holds something.
    """
    notebook = importlib.import_module("trtdbg.recordings.notebook")
    path = importlib.import_module("pathlib").Path(folder)
    block: AbstractContextManager[None] = notebook.recording(
        path, compiles=compile, force=force
    )
    return block


def compile(
    exported_program: Any,
    policy: TruncationPolicy = _DEFAULT_POLICY,
    *,
    settings: Settings = _DEFAULT_SETTINGS,
    target: str | None = None,
) -> Any:
    """Returns a `torch.nn.Module` made of TensorRT engines and PyTorch parts.

    It is called as the exported program is, runs on this machine's CUDA device and returns
    what export promised. The program given is not changed. `torch_tensorrt.save(module, path,
    retrace=False)` saves it.

    Args:
        exported_program: a `torch.export.ExportedProgram`.
        policy: which wide dtypes are narrowed, and when; default is timing `late`.
        settings: torch_tensorrt's compilation settings; the default hides nothing, so that
            every accepted operator gets into an engine. `Settings.as_compiled()` takes
            torch_tensorrt's own.
        target: compute capability such as `sm86`, which has to be this GPU's; None is it.

    Raises:
        trtdbg.errors.UnavailableError: torch_tensorrt or a CUDA device is missing.
        trtdbg.errors.UsageError: the program, the policy or the target makes no sense.
        trtdbg.errors.StageError: lowering, partitioning or a build failed.
    """
    # By name, so that neither Python nor the import contracts see torch behind this module.
    importlib.import_module("trtdbg.compat.host").prepare()
    runnable = importlib.import_module("trtdbg.session.runnable")
    return runnable.compile_program(exported_program, policy, settings, target)


def __getattr__(name: str) -> Any:
    """Returns what costs time to import, when it is asked for."""
    if name in ("Diff", "Model"):
        return getattr(importlib.import_module("trtdbg.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
