"""Replaces the functions of torch_tensorrt that compile by ones that record first.

torch_tensorrt itself checks and resolves the arguments: its own `compile` runs up to the first
step of lowering, which is handed the exported program and the settings in force. There the
program is saved. Without `compiles` the call then returns the program uncompiled.

Source: torch_tensorrt 2.13 and 2.14, `_compile.py`, `dynamo/_compiler.py`,
`dynamo/runtime/_MutableTorchTensorRTModule.py`, `dynamo/backend/backends.py`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import inspect
import os
from collections.abc import Callable, Iterator
from typing import Any, Final

from trtdbg.compat import host
from trtdbg.compat.host import replaced
from trtdbg.compat.patches import RECORDED
from trtdbg.recordings import compilation, dynamo_graphs, saving
from trtdbg.recordings.recorder import ScriptCall, ScriptRecorder

_COMPILER: Final = "torch_tensorrt.dynamo._compiler"
_BACKENDS: Final = "torch_tensorrt.dynamo.backend.backends"

_COMPILES: Final = {
    "compile": "torch_tensorrt.compile",
    "convert_method_to_trt_engine": "torch_tensorrt.convert_method_to_trt_engine",
    "cross_compile_for_windows": "torch_tensorrt.cross_compile_for_windows",
}
"""Names of `torch_tensorrt` that export a module and hand it on."""

_LOWERS: Final = {
    "compile": "torch_tensorrt.dynamo.compile",
    "cross_compile_for_windows": "torch_tensorrt.dynamo.cross_compile_for_windows",
    "convert_exported_program_to_serialized_trt_engine": (
        "torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine"
    ),
}
"""Names of `torch_tensorrt.dynamo` that lower an exported program."""

_SAVES: Final = ("save", "save_cross_compiled_exported_program")
"""Names that write a compiled module, their first argument, to a path, their second."""

_OTHER_FRONT_ENDS: Final = {
    "ts": "TorchScript",
    "torchscript": "TorchScript",
    "fx": "the FX front end",
}


class _ReachedError(BaseException):
    """Carries a program out of torch_tensorrt, at the first step of lowering."""

    def __init__(self, program: Any) -> None:
        super().__init__()
        self.program = program


@contextlib.contextmanager
def patched_torch_tensorrt(recorder: ScriptRecorder) -> Iterator[None]:
    """Records what is handed to torch_tensorrt inside, which must be imported already."""
    with contextlib.ExitStack() as stack:
        for owner, name, original in _found():
            if name == "_COMPILER_FNS":
                backend = "aot_torch_tensorrt_aten"
                stack.callback(original.__setitem__, backend, original[backend])
                original[backend] = _backend(recorder, original[backend])
                continue
            made = _replacement(recorder, owner, name, original)
            if made is not None:
                stack.enter_context(replaced(owner, name.rpartition(".")[2], made))
        yield


def _found() -> Iterator[tuple[Any, str, Any]]:
    """Yields owner, dotted name and value of each name in the table that is there."""
    found = []
    for patch in RECORDED:
        try:
            owner: Any = importlib.import_module(patch.module)
            *path, last = patch.name.split(".")
            for part in path:
                owner = getattr(owner, part)
            found.append((owner, patch.name, getattr(owner, last)))
        except (ImportError, AttributeError):
            continue
    return iter(found)


def _replacement(recorder: ScriptRecorder, owner: Any, name: str, original: Any) -> Any:
    """Returns what takes the place of a name; None leaves it."""
    plain = name.removeprefix("dynamo_")
    module = getattr(owner, "__name__", "")
    match name:
        case "pre_export_lowering":
            return _lowering(recorder, original)
        case "aot_torch_tensorrt_aten_backend":
            return _backend(recorder, original)
        case "_pretraced_backend":
            return _pretraced(recorder, original)
        case "to_torch_device" | "default_device":
            return None if _has_gpu() else _cpu
        case "MutableTorchTensorRTModule.__init__":
            return _mutable_init(original)
        case "MutableTorchTensorRTModule.compile":
            return _mutable_compile(recorder, original)
    if plain in _SAVES:
        return _saving(recorder, original)
    if plain == "load":
        return _loading(recorder, original)
    if plain != name or module.startswith("torch_tensorrt.dynamo"):
        return _lowers(recorder, original, _LOWERS[plain])
    return _compiles(recorder, original, _COMPILES[plain])


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _cpu(device: Any = None) -> Any:
    """Stands for what names the device where torch_tensorrt puts example inputs on a GPU."""
    import torch

    return torch.device("cpu")


@contextlib.contextmanager
def _without_gpu() -> Iterator[None]:
    """Answers what torch_tensorrt asks CUDA, where there is none, while a call lasts."""
    if _has_gpu():
        yield
        return
    import torch

    with host.patched_cuda_queries(torch):
        yield


def _call(
    name: str, arguments: dict[str, Any], model: Any
) -> Callable[[str, int], ScriptCall]:
    """Returns what makes the record of a call once its place is known."""
    from torch_tensorrt.dynamo import CompilationSettings

    known = iter(inspect.signature(CompilationSettings).parameters)
    described = [arguments.get(n) for n in ("inputs", "arg_inputs") if arguments.get(n)]
    inputs = [*(compilation.inputs_of(described[0]) if described else ())]
    inputs += compilation.inputs_of(arguments.get("kwarg_inputs") or {})

    def make(file: str, line: int) -> ScriptCall:
        return ScriptCall(
            name,
            file,
            line,
            model=_class_name(model),
            noted=compilation.noted_arguments(arguments.get("kwargs", {}), known),
            inputs=tuple(inputs),
        )

    return make


def _class_name(model: Any) -> str:
    import torch

    is_module = isinstance(model, torch.nn.Module)
    return type(model).__name__ if is_module else "program"


def _arguments(function: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
    """Returns the arguments of a call by name, those of `**kwargs` among them too."""
    try:
        bound = inspect.signature(function).bind_partial(*args, **kwargs).arguments
    except TypeError:
        # torch_tensorrt says it itself.
        return dict(kwargs)
    return dict(bound)


def _compiles(recorder: ScriptRecorder, original: Any, name: str) -> Any:
    """Returns a function of `torch_tensorrt` that notes who calls, and with what."""
    inner = _unguarded(original)

    @functools.wraps(inner)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        given = _arguments(inner, args, kwargs)
        module = given.get("module")
        given["kwargs"] = {
            **given.get("kwargs", {}),
            **{n: v for n, v in given.items() if n == "enabled_precisions"},
        }
        with recorder.calling(_call(name, given, module)) as call, _without_gpu():
            other = _other_front_end(module, str(given.get("ir", "default")))
            if other is not None:
                recorder.skip(
                    call, f"{other} is not supported: trtdbg reads exported programs"
                )
                if not recorder.compiles:
                    return _unsupported(recorder, module, name)
            return (original if recorder.compiles else inner)(*args, **kwargs)

    return recorded


def _unguarded(function: Any) -> Any:
    """Returns what stands behind `needs_cross_compile`, which refuses to be called elsewhere.

    Nothing is cross-compiled while recording, so that a machine that cannot can record.

    Source: torch_tensorrt 2.13, `_features.py` needs_cross_compile.
    """
    inside = [
        cell.cell_contents
        for cell in getattr(function, "__closure__", None) or ()
        if inspect.isfunction(cell.cell_contents)
    ]
    return inside[0] if function.__qualname__.startswith("needs_") and inside else function


def _unsupported(recorder: ScriptRecorder, module: Any, name: str) -> Any:
    if name.endswith("_engine"):
        recorder.end(f"{name} returns the bytes of an engine, and nothing is compiled")
    return module


def _other_front_end(module: Any, ir: str) -> str | None:
    """Returns a front end that is not dynamo's, as people call it."""
    import torch

    scripted = isinstance(module, torch.jit.ScriptModule | torch.jit.ScriptFunction)
    if scripted and ir == "default":
        return "TorchScript"
    return _OTHER_FRONT_ENDS.get(ir)


def _lowers(recorder: ScriptRecorder, original: Any, name: str) -> Any:
    """Returns a function of `torch_tensorrt.dynamo` that ends where lowering would begin."""
    inner = _unguarded(original)

    @functools.wraps(inner)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        given = _arguments(inner, args, kwargs)
        with recorder.calling(_call(name, given, None)) as call:
            if recorder.compiles:
                return original(*args, **kwargs)
            try:
                with _without_gpu():
                    return inner(*args, **kwargs)
            except _ReachedError as reached:
                program = reached.program
            if name.endswith("_engine"):
                recorder.end(
                    f"{call.name} returns the bytes of an engine, and nothing is compiled"
                )
            return saving.uncompiled(program)

    return recorded


def _lowering(recorder: ScriptRecorder, original: Any) -> Any:
    """Returns the first step of lowering, which is handed program and settings."""

    @functools.wraps(original)
    def recorded(exported_program: Any, settings: Any) -> Any:
        call = recorder.call
        # A name that the script took before recording began leads here around the others.
        known = call is not None
        if call is None:
            with recorder.calling(
                lambda f, n: ScriptCall("torch_tensorrt.dynamo", f, n)
            ) as made:
                call = made
        recorder.take(call, lambda path: saving.save(path, exported_program, settings, call))
        if recorder.compiles or not known:
            return original(exported_program, settings)
        raise _ReachedError(exported_program)

    return recorded


def _saving(recorder: ScriptRecorder, original: Any) -> Any:
    """Returns a function that writes what was compiled, and that leaves what was not."""
    inner = _unguarded(original)

    @functools.wraps(inner)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        module = args[0] if args else kwargs.get("module", kwargs.get("gm"))
        program = saving.program_of(module)
        if recorder.compiles or program is None:
            return original(*args, **kwargs)
        path = args[1] if len(args) > 1 else kwargs.get("file_path", "its file")
        if isinstance(path, str | os.PathLike):
            recorder.unwritten[os.path.abspath(path)] = program
        with recorder.calling(lambda f, n: ScriptCall(original.__name__, f, n)) as call:
            recorder.say(f"{call.place}: {path} is not written: nothing was compiled")
        return None

    return recorded


def _loading(recorder: ScriptRecorder, original: Any) -> Any:
    """Returns a function that reads a program; one that was not written is handed on."""

    @functools.wraps(original)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        path = args[0] if args else kwargs.get("file_path")
        if isinstance(path, str | os.PathLike):
            program = recorder.unwritten.get(os.path.abspath(path))
            if program is not None and not os.path.exists(path):
                return program
        return original(*args, **kwargs)

    return recorded


def _mutable_init(original: Any) -> Any:
    """Returns `MutableTorchTensorRTModule.__init__`, which asks CUDA for a device."""

    @functools.wraps(original)
    def recorded(self: Any, *args: Any, **kwargs: Any) -> None:
        with _without_gpu():
            original(self, *args, **kwargs)

    return recorded


def _mutable_compile(recorder: ScriptRecorder, original: Any) -> Any:
    """Returns its `compile`, which moves the model to the GPU first."""

    @functools.wraps(original)
    def recorded(self: Any) -> None:
        name = "torch_tensorrt.MutableTorchTensorRTModule"
        arguments = {
            "arg_inputs": self.arg_inputs,
            "kwarg_inputs": self.kwarg_inputs,
            "kwargs": self.additional_settings,
        }
        with recorder.calling(_call(name, arguments, self.original_model)):
            if _has_gpu():
                original(self)
                return
            module = importlib.import_module(original.__module__)
            with replaced(module, "to_torch_device", _cpu):
                original(self)

    return recorded


def _backend(recorder: ScriptRecorder, original: Any) -> Any:
    """Returns a backend of `torch.compile` that reads its options without a GPU too."""

    @functools.wraps(original)
    def recorded(gm: Any, sample_inputs: Any, **kwargs: Any) -> Any:
        options = kwargs.get("options", kwargs)
        make = _call(_TORCH_COMPILE, {"kwargs": dict(options)}, None)

        def of_graph(file: str, line: int) -> ScriptCall:
            return dataclasses.replace(make(file, line), model="graph")

        with recorder.calling(of_graph), _without_gpu():
            return original(gm, sample_inputs, **kwargs)

    return recorded


_TORCH_COMPILE: Final = "torch.compile"


def _pretraced(recorder: ScriptRecorder, original: Any) -> Any:
    """Returns the step that every dynamo graph goes through, with its settings."""

    @functools.wraps(original)
    def recorded(gm: Any, sample_inputs: Any, settings: Any, engine_cache: Any = None) -> Any:
        with recorder.calling(
            lambda f, n: ScriptCall(_TORCH_COMPILE, f, n, model="graph")
        ) as call:
            recorder.take(
                call, lambda path: dynamo_graphs.save(path, gm, sample_inputs, settings, call)
            )
        if recorder.compiles:
            return original(gm, sample_inputs, settings, engine_cache)
        return gm.forward

    return recorded
