"""Saves a program beside its settings, and makes of it what the script goes on with."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.export import ExportedProgram

from trtdbg.recordings import compilation, folder
from trtdbg.recordings.recorder import ScriptCall
from trtdbg.records import Front, Recorded

_uncompiled: WeakKeyDictionary[torch.nn.Module, ExportedProgram] = WeakKeyDictionary()


def save(
    path: Path, program: ExportedProgram, options: Any, call: ScriptCall
) -> tuple[int, str]:
    """Writes a program and returns its number of nodes and the text of its settings file."""
    return write(path, program, options, call, Front.EXPORT)


def write(
    path: Path,
    program: ExportedProgram,
    options: Any,
    call: ScriptCall,
    front: Front,
    *,
    weights: Sequence[str] = (),
    graph_break: str | None = None,
) -> tuple[int, str]:
    """Writes a program and returns its number of nodes and the text of its settings file.

    Args:
        path: the .pt2 file.
        program: what reached torch_tensorrt.
        options: torch_tensorrt's `CompilationSettings` in force.
        call: where it comes from.
        front: which way of torch_tensorrt it goes.
        weights: inputs of the program that are parameters or buffers.
        graph_break: why dynamo ended the graph.
    """
    with open(path, "wb") as file:
        torch.export.save(program, file)
    nodes = len(program.graph.nodes)
    recorded = Recorded(
        name=path.stem,
        call=call.name,
        file=call.file,
        line=call.line,
        nodes=nodes,
        front=front,
        noted=_noted(call, options),
        weights=tuple(weights),
        graph_break=graph_break,
    )
    return nodes, folder.settings_text(recorded, compilation.settings_of(options), call.inputs)


def _noted(call: ScriptCall, options: Any) -> tuple[tuple[str, str], ...]:
    found = dict(call.noted)
    found |= compilation.noted_of(options)
    found |= compilation.registered_by_script()
    return tuple(found.items())


def uncompiled(program: ExportedProgram) -> torch.nn.Module:
    """Returns a program as a module, to stand where the compiled one would.

    As a compiled module it can be told `eval()` and `train()`, which torch.export refuses.
    """
    module = program.module()
    for name in ("train", "eval"):
        with contextlib.suppress(AttributeError):
            delattr(module, name)
    _uncompiled[module] = program
    return module


def program_of(module: Any) -> ExportedProgram | None:
    """Returns the program of a module that stands for a compiled one, None of another."""
    return _uncompiled.get(module) if isinstance(module, torch.nn.Module) else None
