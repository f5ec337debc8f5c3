"""Builds an engine, or a part of it alone, to see whether TensorRT refuses that as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from trtdbg.analysis.summary import operator_text
from trtdbg.errors import OutputError, StageError, UsageError
from trtdbg.graphs.graph import engine_nodes, first_line, target_name
from trtdbg.policy import converters_truncate
from trtdbg.records import BuildRecord, BuildStatus
from trtdbg.session.analysed import Analysed
from trtdbg.stages import engine, network, subgraph
from trtdbg.stages.capture import Captured
from trtdbg.worker.messages import Attempt, Attempted, native_path


def attempt(
    request: Attempt, analysed: Analysed, options: Any, target: str | None
) -> Attempted:
    """Returns what TensorRT says of what is asked for; nothing is taken from a cache.

    Args:
        request: which engine, and which pieces of it.
        analysed: of the request's policy.
        options: torch_tensorrt's settings.
        target: compute capability to build for.

    Raises:
        UsageError: there is no such engine.
        StageError: there are no engines, or the part cannot be cut out or written down.
        OutputError: it cannot be saved.
    """
    if analysed.program is None or analysed.evidence.repair_crash is not None:
        raise StageError("the program has no engines that could be built")
    engines = list(engine_nodes(analysed.program.module))
    if not 0 <= request.engine < len(engines):
        raise UsageError(
            f"there is no engine {request.engine}", remedy=f"there are {len(engines)}"
        )
    call, module = engines[request.engine]
    part, defined = module, analysed.networks[request.engine]
    if request.kept is not None:
        part = subgraph.cut(module, request.kept, outputs=request.outputs)
    if request.save is not None:
        # First, since its build may end this process.
        _save(part, request.save)
    if not request.build:
        return _attempted(part, BuildRecord())
    if request.kept is not None:
        defined = network.define_network(
            part,
            str(call.target),
            options,
            truncate_double=converters_truncate(request.policy, request.job.settings),
        )
    build, _ = engine.build_engine(defined, target)
    if build.error is not None:
        build = msgspec.structs.replace(build, node=defined.culprit(build.error))
    return _attempted(part, build)


def lowering_attempt(
    request: Attempt, program: ExportedProgram, lower: Callable[[ExportedProgram], Captured]
) -> Attempted:
    """Returns what a lowering pass raises of a program, or of some pieces of it.

    Args:
        request: which pieces.
        program: as it was loaded.
        lower: runs torch_tensorrt's passes on a copy of a program.

    Raises:
        StageError: the part cannot be cut out or written down.
        OutputError: it cannot be saved.
    """
    part = program.module(check_guards=False)
    if request.kept is not None:
        part = subgraph.cut(part, request.kept, outputs=request.outputs)
        program = subgraph.exported(part)
    if request.save is not None:
        _save_program(program, request.save)
    if not request.build:
        return _attempted(part, BuildRecord())
    captured = lower(program)
    status = BuildStatus.NOT_BUILT if captured.error is None else BuildStatus.FAILED
    failed = BuildRecord(status=status, stage=captured.failed_pass, error=captured.error)
    return _attempted(part, failed)


def _attempted(part: GraphModule, build: BuildRecord) -> Attempted:
    operators = [operator_text(target_name(piece[0])) for piece in subgraph.pieces(part)]
    return Attempted(operators=tuple(operators), graph=subgraph.lines(part), build=build)


def _save(part: GraphModule, path: str) -> None:
    _save_program(subgraph.exported(part), path)


def _save_program(program: ExportedProgram, path: str) -> None:
    try:
        torch.export.save(program, native_path(path))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {first_line(error)}") from error
