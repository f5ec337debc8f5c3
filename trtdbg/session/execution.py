"""Runs a built program on a GPU: against PyTorch and torch_tensorrt, and engine by engine."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
import torch
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass
from torch.fx import GraphModule
from torch.utils import _pytree as pytree

from trtdbg.graphs.deviations import IncomparableError, Tolerance, deviation
from trtdbg.graphs.graph import first_line
from trtdbg.graphs.replay import ProgramInputs
from trtdbg.policy import truncates_double
from trtdbg.records import Comparison, Contender, EngineRecord, Execution, Report
from trtdbg.session.analysed import Analysed
from trtdbg.session.runnable import assembled, engine_device
from trtdbg.stages.timing import (
    Call,
    Clock,
    arguments_of,
    compare,
    cuda_clock,
    layer_times,
    race,
    timing_record,
)
from trtdbg.worker.messages import DEFAULT_ATOL, DEFAULT_RTOL

OURS: Final = "engines"
EAGER: Final = "eager"
UPSTREAM: Final = "torch_tensorrt"

Make = Callable[[], Callable[..., object]]
"""Returns what is called as the exported program is."""

Profile = Callable[[str, tuple[Any, ...]], Any]
"""Takes an engine's name and arguments and returns the times of its layers."""


def timed(
    program: ExportedProgram,
    analysed: Analysed,
    serialized: Mapping[str, bytes],
    report: Report,
    given: ProgramInputs,
    options: Any,
    runs: int,
) -> Report:
    """Returns a report with the run times of the whole program and of each engine.

    Args:
        program: as exported.
        analysed: what the stages made of it.
        serialized: every engine of it, by name.
        report: with the build records.
        given: what it is run on.
        options: torch_tensorrt's CompilationSettings that the engines were made with.
        runs: timed runs of each.

    Raises:
        Exception: whatever stands in the way of loading the engines or moving the program.
    """
    device = engine_device(options)
    clock = cuda_clock(device)
    with torch.no_grad():
        args, kwargs = arguments(program, given, device)
        module = assembled(analysed, serialized, options)
        truncates = truncates_double(report.policy, report.settings) or (
            report.policy.timing.follows_lists
        )
        made = ways(program, module, args, kwargs, options, truncate_double=truncates)
        contenders, comparisons = run(made, args, kwargs, clock, runs)
        ours = next(row for row in contenders if row.name == OURS)
        if ours.error is None:
            names = {
                net.name: tuple(net.interpreter._input_names) for net in analysed.networks
            }
            engines = time_engines(
                module,
                list(report.engines),
                partial(module, *args, **kwargs),
                clock,
                runs,
                profiled(serialized, names, runs),
            )
        else:
            engines = unavailable(report.engines, f"the program does not run: {ours.error}")
    done = Execution(
        device=torch.cuda.get_device_name(device),
        inputs=given.origin,
        contenders=contenders,
        comparisons=comparisons,
    )
    return msgspec.structs.replace(report, engines=tuple(engines), execution=done)


def unavailable(engines: Iterable[EngineRecord], reason: str) -> list[EngineRecord]:
    """Returns records of engines that say why there is no run time."""
    return [
        msgspec.structs.replace(engine, timing_unavailable=f"not available: {reason}")
        for engine in engines
    ]


def arguments(
    program: ExportedProgram, given: ProgramInputs, device: torch.device
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments of a call of the program, its tensors on a device."""
    args, kwargs = pytree.tree_unflatten(list(given.values), program.call_spec.in_spec)
    there = pytree.tree_map_only(torch.Tensor, lambda t: t.to(device), (args, kwargs))
    return tuple(there[0]), dict(there[1])


def ways(
    program: ExportedProgram,
    module: GraphModule,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: Any,
    *,
    truncate_double: bool,
) -> dict[str, Make]:
    """Returns the ways to run a program on the device of its arguments.

    Args:
        program: as exported, on any device; it is copied.
        module: the assembled one.
        args: of the call.
        kwargs: of the call.
        options: torch_tensorrt's CompilationSettings that the engines were made with.
        truncate_double: whether torch_tensorrt's own compile truncates.
    """
    moved = move_to_device_pass(copy.deepcopy(program), str(engine_device(options)))
    return {
        OURS: lambda: module,
        EAGER: moved.module,
        UPSTREAM: lambda: _compiled(moved, args, kwargs, options, truncate_double),
    }


def run(
    made: Mapping[str, Make],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    clock: Clock,
    runs: int,
) -> tuple[tuple[Contender, ...], tuple[Comparison, ...]]:
    """Runs a program in several ways, compares the outputs with eager's, and times them.

    A way that cannot be made or run is told so and takes no part.
    """
    rows = {name: Contender(name=name) for name in made}
    calls: dict[str, Call] = {}
    outputs: dict[str, object] = {}
    for name, make in made.items():
        try:
            calls[name] = partial(make(), *args, **kwargs)
            outputs[name] = calls[name]()
        except Exception as error:
            # Whatever a compiler or a kernel raises is what the row says.
            rows[name] = msgspec.structs.replace(rows[name], error=first_line(error))
            calls.pop(name, None)
    for name, values in outputs.items():
        if name != EAGER and EAGER in outputs:
            rows[name] = _compared(rows[name], outputs[EAGER], values)
    laps = race(calls, clock, runs)
    for name, lap in laps.items():
        if lap.error is not None:
            rows[name] = msgspec.structs.replace(rows[name], error=lap.error)
        elif lap.milliseconds:
            timing = timing_record(lap.milliseconds)
            rows[name] = msgspec.structs.replace(rows[name], timing=timing)
    timed = {name: laps[name].milliseconds for name in laps if rows[name].timing is not None}
    comparisons = tuple(
        compare(name, timed[OURS], times)
        for name, times in timed.items()
        if OURS in timed and name != OURS
    )
    return tuple(rows.values()), comparisons


def time_engines(
    module: torch.nn.Module,
    engines: list[EngineRecord],
    call: Call,
    clock: Clock,
    runs: int,
    profile: Profile,
) -> list[EngineRecord]:
    """Returns the records of engines with their own times, on what the program gives them.

    Args:
        module: the assembled program; its submodules are the engines.
        engines: those that are built.
        call: runs the module once.
        clock: what measures a run.
        runs: timed runs of each engine.
        profile: what times the layers.
    """
    given = arguments_of(module, [engine.name for engine in engines], call)
    calls = {name: partial(module.get_submodule(name), *args) for name, args in given.items()}
    laps = race(calls, clock, runs)
    timed = []
    for engine in engines:
        lap = laps.get(engine.name)
        if lap is None or not lap.milliseconds or lap.error is not None:
            reason = lap.error if lap is not None else None
            why = f"not available: {reason or 'the program did not run it'}"
            timed.append(msgspec.structs.replace(engine, timing_unavailable=why))
            continue
        layers, failure = (), None
        try:
            layers = profile(engine.name, given[engine.name])
        except Exception as error:
            # The time of the whole engine stands without them.
            failure = first_line(error)
        timed.append(
            msgspec.structs.replace(
                engine,
                timing=timing_record(lap.milliseconds),
                timing_unavailable=None,
                profile=layers,
                profile_unavailable=failure,
            )
        )
    return timed


def profiled(
    serialized: Mapping[str, bytes], bindings: Mapping[str, tuple[str, ...]], runs: int
) -> Profile:
    """Returns what times the layers of engines, given their bytes and their inputs' names."""

    def profile(name: str, args: tuple[Any, ...]) -> Any:
        inputs = dict(zip(bindings[name], args, strict=True))
        return layer_times(serialized[name], inputs, runs)

    return profile


def _compared(row: Contender, eager: object, values: object) -> Contender:
    leaves, others = (
        tuple(
            leaf.detach().cpu() if isinstance(leaf, torch.Tensor) else leaf
            for leaf in pytree.tree_leaves(each)
        )
        for each in (eager, values)
    )
    try:
        found = deviation(leaves, others, Tolerance(DEFAULT_ATOL, DEFAULT_RTOL))
    except IncomparableError as error:
        return msgspec.structs.replace(row, note=f"not compared: {error}")
    if found.nan_mismatches or found.inf_mismatches:
        count = found.nan_mismatches + found.inf_mismatches
        row = msgspec.structs.replace(row, note=f"{count} elements are nan or infinite in one")
    return msgspec.structs.replace(
        row, max_abs_error=found.max_abs_error, max_rel_error=found.max_rel_error
    )


def _compiled(
    program: ExportedProgram,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: Any,
    truncate_double: bool,
) -> Any:
    """Compiles a program as torch_tensorrt does by itself, with the settings in force.

    Source: torch_tensorrt 2.13, `dynamo/_compiler.py` compile: what of the settings it takes,
    those left at their default not named, as some are deprecated.
    """
    from torch_tensorrt.dynamo import CompilationSettings, compile

    usual, taken = CompilationSettings(), inspect.signature(compile).parameters
    chosen = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if field.name in taken
        and getattr(options, field.name) != getattr(usual, field.name, None)
    }
    chosen.update(device=options.device, truncate_double=truncate_double)
    return compile(copy.deepcopy(program), arg_inputs=args, kwarg_inputs=kwargs, **chosen)
