"""Brings built engines and the repaired program together: a module that runs, or a folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from trtdbg.analysis.summary import FLAVOURS
from trtdbg.archive.load import LoadedProgram
from trtdbg.errors import UsageError
from trtdbg.policy import Settings, TruncationPolicy, VerdictSource
from trtdbg.records import BuildStatus, EngineRecord, Environment, Report, Saved
from trtdbg.session.analysed import Analysed
from trtdbg.stages import engine, portable
from trtdbg.stages.assemble import assemble, engine_module, move, save_module
from trtdbg.stages.wiring import Bindings, describe
from trtdbg.worker.messages import Asking, Job, Log, News, Progress

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Built:
    """An engine that was built just now."""

    record: EngineRecord
    serialized: bytes


def compile_program(
    program: ExportedProgram,
    policy: TruncationPolicy,
    settings: Settings,
    target: str | None,
) -> torch.nn.Module:
    """Returns a module with real engines for an exported program; see `trtdbg.compile`."""
    from trtdbg.session.session import Session

    if not isinstance(program, ExportedProgram):
        raise UsageError(
            f"trtdbg.compile takes an ExportedProgram, not a {type(program).__name__}",
            remedy="export the model with torch.export.export",
        )
    loaded = LoadedProgram(
        program=program,
        name="model",
        path="the exported program",
        sha256="",
        bytes=0,
        example_inputs=program.example_inputs,
    )
    job = Job(model=loaded.path, settings=settings, target=target)
    if policy.verdicts is VerdictSource.VALIDATORS:
        # The probe's answers would only be reported, and nobody reads a report here.
        job = msgspec.structs.replace(job, probe_seconds=0.0)
    return Session(job, _log, loaded).compile(policy)


def _log(event: News | Asking) -> None:
    if isinstance(event, Progress):
        _logger.debug("%s %s", event.stage, event.detail)
    elif isinstance(event, Log):
        _logger.debug("%s: %s", event.source, event.text)


def obstacle(analysed: Analysed) -> str | None:
    """Returns why there is no repaired program; None if there is one."""
    evidence = analysed.evidence
    if evidence.lowering_error is not None:
        return (
            f"lowering pass {evidence.lowering_error[0]} raised {evidence.lowering_error[1]}"
        )
    if evidence.partition_error is not None:
        return f"torch_tensorrt's partitioner raised {evidence.partition_error}"
    if evidence.repair_crash is not None:
        return f"torch_tensorrt's boundary repair raised {evidence.repair_crash}"
    return None


def runs_here(target: str | None, environment: Environment) -> bool:
    """Returns whether engines built for a target run on the GPU of this machine."""
    if environment.gpu is None:
        return False
    return target in (None, f"sm{environment.gpu.compute_capability.replace('.', '')}")


def assembled(
    analysed: Analysed, serialized: Mapping[str, bytes], options: Any
) -> GraphModule:
    """Returns the module of a program whose engines are all built, on the CUDA device.

    Args:
        analysed: what the stages made.
        serialized: TensorRT's engine, by name of the submodule.
        options: torch_tensorrt's CompilationSettings in force.
    """
    networks = {network.name: network for network in analysed.networks}

    def make(name: str, subgraph: GraphModule) -> torch.nn.Module:
        module: torch.nn.Module = engine_module(
            networks[name], subgraph, serialized[name], options
        )
        return module

    assert analysed.program is not None
    module = assemble(analysed.program, make)
    move(module, engine_device(options))
    return module


def engine_device(options: Any) -> torch.device:
    """Returns the device that engines run on, and so the PyTorch part between them."""
    return torch.device("cuda", options.device.gpu_id)


def save(
    folder: str,
    analysed: Analysed,
    built: list[Built],
    report: Report,
    target: str | None,
    options: Any,
    call: Call | None = None,
) -> Saved:
    """Writes engines, the boundary graph and, where this machine can run them, a module.

    With `call`, what the program is called with, a script too that runs it elsewhere.

    Raises:
        OutputError: the folder cannot be written.
    """
    graph = None
    if obstacle(analysed) is None and analysed.program is not None:
        graph = describe(analysed.program, _bindings(analysed))
    lacking = missing(analysed, built, report, target)
    write = None
    if lacking is None:
        serialized = {each.record.name: each.serialized for each in built}
        write = partial(_write_module, analysed, serialized, options)
    return engine.save_engines(
        Path(folder),
        [(each.record, each.serialized) for each in built],
        engine.Provenance(
            model_sha256=report.model.sha256,
            tensorrt=report.environment.tensorrt,
            flavour=report.environment.flavour,
            target=target,
        ),
        graph,
        write,
        lacking,
        _script(analysed, built, report, target, call),
    )


Call = tuple[tuple[Any, ...], dict[str, Any]]


def _script(
    analysed: Analysed,
    built: list[Built],
    report: Report,
    target: str | None,
    call: Call | None,
) -> Callable[[Path], tuple[str, ...]] | None:
    """Returns what writes the script; None where not every engine is at hand."""
    program, networks = analysed.program, {each.name: each for each in analysed.networks}
    complete = len(built) == len(report.engines) and obstacle(analysed) is None
    if call is None or program is None or not complete:
        return None
    here = report.environment
    table = portable.Table(
        engines=tuple(
            portable.entry(
                each.record, networks[each.record.name], f"engine_{each.record.index}.engine"
            )
            for each in built
        ),
        torch=here.torch,
        torch_tensorrt=here.torch_tensorrt,
        tensorrt=here.tensorrt,
        flavour=here.flavour,
        target=target,
    )
    return partial(portable.write, program=program, assemble=assemble, call=call, table=table)


def _write_module(
    analysed: Analysed, serialized: Mapping[str, bytes], options: Any, path: Path
) -> None:
    save_module(assembled(analysed, serialized, options), path)


def _bindings(analysed: Analysed) -> dict[str, Bindings]:
    return {
        network.name: Bindings(
            tuple(network.interpreter._input_names), tuple(network.interpreter._output_names)
        )
        for network in analysed.networks
        if network.error is None
    }


def missing(
    analysed: Analysed, built: list[Built], report: Report, target: str | None
) -> str | None:
    """Returns what a module that runs lacks; None if one can be made here.

    Args:
        analysed: what the stages made.
        built: the engines whose bytes are at hand.
        report: with the build records.
        target: that the engines are built for.
    """
    why = obstacle(analysed)
    if why is not None:
        return f"a program around the engines: {why}"
    failed = [e.index for e in report.engines if e.build.status is BuildStatus.FAILED]
    if failed:
        return f"engine {', '.join(map(str, failed))}, which did not build"
    saved = {each.record.index for each in built}
    left = [e.index for e in report.engines if e.index not in saved]
    if left:
        return f"engine {', '.join(map(str, left))}, which was not to be built"
    if runs_here(target, report.environment):
        return None
    environment = report.environment
    wanted = f"of compute capability {target}" if target else "like the one they are built for"
    here = f"this machine has {environment.gpu.name}" if environment.gpu else "there is none"
    tensorrt = FLAVOURS.get(environment.flavour or "", "TensorRT")
    return (
        f"a CUDA device {wanted} to load the engines ({here} here), with {tensorrt} "
        f"{environment.tensorrt} and torch_tensorrt {environment.torch_tensorrt}; `trtdbg "
        f"build --save` on such a machine also writes {engine.RUNNABLE_FILE}, which runs"
    )
