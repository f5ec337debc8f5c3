"""Records in the process that asks for it: in a notebook, a test, or a script of one's own."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from trtdbg import beside
from trtdbg.compat import host
from trtdbg.errors import ModelError, OutputError, UsageError
from trtdbg.files import refuse_filled_folder
from trtdbg.recordings import folder, process
from trtdbg.recordings.recorder import ScriptRecorder
from trtdbg.whole_folder import whole_folder


@contextlib.contextmanager
def recording(target: Path, *, compiles: bool, force: bool) -> Iterator[None]:
    """Records what is handed to torch_tensorrt inside; see `trtdbg.recording`.

    Raises:
        UnavailableError: torch_tensorrt is not installed.
        OutputError: the folder cannot be written, or holds something.
    """
    # Imported here: it names what is to be patched.
    from trtdbg.recordings.hooks import patched_torch_tensorrt

    refuse_filled_folder(target, force=force)
    host.prepare()
    raised: BaseException | None = None
    try:
        with whole_folder(target, last=beside.INDEX) as scratch:
            recorder = ScriptRecorder(scratch, _say, compiles=compiles, ends_script=False)
            try:
                with patched_torch_tensorrt(recorder):
                    yield
            except BaseException as error:
                raised = error
            versions = {"python": sys.version.split()[0], "torch": str(torch.__version__)}
            how = "by itself" if raised is None else f"by {type(raised).__name__}"
            programs, _ = process.collected(scratch, "", (how, versions))
            if not programs:
                raise process.NothingRecordedError
    except process.NothingRecordedError:
        _say("nothing is recorded")
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    if raised is not None:
        raise raised


def _say(text: str) -> None:
    if sys.stderr is not None:
        print(f"trtdbg: {text}", file=sys.stderr, flush=True)  # noqa: T201


def record(
    model: torch.nn.Module | ExportedProgram,
    inputs: Sequence[Any],
    settings: Mapping[str, Any],
) -> tuple[str, Any]:
    """Hands a model to torch_tensorrt's own `compile` and records it there.

    Returns:
        the path of the recorded program, and what removes it when it is no longer referred to.

    Raises:
        UsageError: nothing reached torch_tensorrt.
    """
    from trtdbg.recordings.hooks import patched_torch_tensorrt

    host.prepare()
    import torch_tensorrt

    place = tempfile.TemporaryDirectory(prefix="trtdbg-", ignore_cleanup_errors=True)
    scratch = Path(place.name)
    recorder = ScriptRecorder(scratch, lambda text: None, ends_script=False)
    with patched_torch_tensorrt(recorder):
        torch_tensorrt.compile(model, inputs=inputs, **settings)
    programs, skipped = process.collected(scratch, "", ("by itself", {}))
    if not programs:
        why = skipped[0]["reason"] if skipped else "torch_tensorrt.compile lowers nothing yet"
        raise UsageError(f"the model is not recorded: {why}", remedy="use ir='dynamo'")
    return folder.read(scratch).programs[0].path, place


def saved(
    model: torch.nn.Module | ExportedProgram,
    inputs: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    dynamic_shapes: Any,
) -> tuple[str, Any]:
    """Saves a program, or a module that is exported first, where a worker can open it.

    Returns:
        the path, and what removes the file when it is no longer referred to.

    Raises:
        UsageError: it is neither, or a module without inputs.
        ModelError: torch cannot export or save it.
    """
    if isinstance(model, ExportedProgram):
        if inputs is not None or kwargs is not None or dynamic_shapes is not None:
            raise UsageError(
                "an exported program has its inputs", remedy="leave inputs and shapes out"
            )
        program, name = model, "program"
    elif isinstance(model, torch.nn.Module):
        if inputs is None and kwargs is None:
            raise UsageError(
                "a module needs inputs to be exported with", remedy="pass inputs=(x, ...)"
            )
        if inputs is not None and not isinstance(inputs, (tuple, list)):
            raise UsageError(
                f"inputs is a {type(inputs).__name__}, not a tuple",
                remedy="pass inputs=(x, ...), one input too as inputs=(x,)",
            )
        name = type(model).__name__
        program = _exported(model, inputs or (), kwargs or {}, dynamic_shapes)
    else:
        raise UsageError(
            f"cannot open an object of {type(model).__name__}",
            remedy="pass a path, an ExportedProgram, or a torch.nn.Module with inputs",
        )
    place = tempfile.TemporaryDirectory(prefix="trtdbg-", ignore_cleanup_errors=True)
    path = os.path.join(place.name, f"{name}{beside.MODEL_SUFFIX}")
    try:
        with open(path, "wb") as file:
            torch.export.save(program, file)
    except Exception as error:
        raise ModelError(f"torch.export.save does not save the program: {error}") from error
    return path, place


def _exported(
    model: torch.nn.Module, inputs: Sequence[Any], kwargs: Mapping[str, Any], shapes: Any
) -> ExportedProgram:
    args = (inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs)
    try:
        return torch.export.export(model, args, dict(kwargs), dynamic_shapes=shapes)
    except Exception as error:
        raise ModelError(f"torch.export.export does not export the model: {error}") from error
