"""The rows about analysing a program, each against what torch_tensorrt alone does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.children import call
from benchmarks.measure import Sides, seconds
from benchmarks.models import model
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.worker.messages import Job

LATE = TruncationPolicy()
OTHER_LISTS = TruncationPolicy(
    inputs=("float64", "int64"), constants=("float64", "int64"), computed=("float64", "int64")
)

SWITCHES = {
    "12 layers, late to off": TruncationPolicy(timing=Timing.OFF),
    "12 layers, late to late with int64": OTHER_LISTS,
    "12 layers, late to upstream": TruncationPolicy(timing=Timing.UPSTREAM),
    "12 layers, late to early": TruncationPolicy(timing=Timing.EARLY),
    "48 layers, late to off": TruncationPolicy(timing=Timing.OFF),
    "48 layers, late to late with int64": OTHER_LISTS,
}


def session(path: Path, *, networks: bool) -> Any:
    """Returns a session that asks TensorRT nothing, and defines networks only if asked to."""
    import msgspec

    from trtdbg.session.session import Session

    job = Job(model=str(path), settings=Settings(), probe_seconds=0.0)
    made = Session(job, lambda _: None)
    if not networks:
        # The state of a machine whose TensorRT has no builder.
        able = tuple(
            msgspec.structs.replace(
                each, possible=each.possible and "networks" not in each.name
            )
            for each in made.environment.capabilities
        )
        made.environment = msgspec.structs.replace(made.environment, capabilities=able)
    return made


def analyse(path: Path) -> Any:
    """Loads and analyses: every stage up to the boundaries."""
    return session(path, networks=False).analyze(LATE)


def load(path: Path) -> Any:
    """Returns the program as `torch.export.load` does."""
    import torch

    return torch.export.load(str(path))


def options() -> Any:
    """Returns torch_tensorrt's settings of both sides."""
    from trtdbg.compat.host import prepare
    from trtdbg.stages.capture import compilation_settings

    prepare()
    return compilation_settings(Settings(), truncate_double=False)


def lower(program: Any, settings: Any) -> Any:
    """Lowers a program, changing it.

    Source: torch_tensorrt 2.13, `dynamo/_compiler.py` compile up to compile_module.
    """
    from torch_tensorrt.dynamo.lowering import (
        get_decompositions,
        post_lowering,
        pre_export_lowering,
    )

    from trtdbg.compat.host import patched_default_device

    program = pre_export_lowering(program, settings)
    decompositions = get_decompositions(
        settings.enable_experimental_decompositions, settings.decompose_attention, False
    )
    with patched_default_device():
        program = program.run_decompositions(decompositions)
    return post_lowering(program.module(), settings)


def plain(path: Path) -> Any:
    """Loads, lowers and partitions as `torch_tensorrt.dynamo.compile` does, and no more.

    Source: torch_tensorrt 2.13, `dynamo/_compiler.py` compile_module up to the conversion.
    """
    settings = options()
    from torch_tensorrt.dynamo import partitioning
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    module = lower(load(path), settings)
    DYNAMO_CONVERTERS.set_compilation_settings(settings)
    partitioning.get_graph_converter_support(module, settings.torch_executed_ops)
    return partitioning.global_partition(
        module,
        min_block_size=settings.min_block_size,
        torch_executed_ops=settings.torch_executed_ops,
        require_full_compilation=False,
    )


def full_analysis(subject: str) -> Sides:
    """Loads and analyses, against loading, lowering and partitioning."""
    path = model(subject)
    options()
    return Sides(seconds(lambda: analyse(path)), seconds(lambda: plain(path)))


def passes_with_snapshots(subject: str) -> Sides:
    """Lowers with a snapshot and a diff after each pass, against lowering."""
    from trtdbg.stages.capture import capture

    path, settings = model(subject), options()

    def ours() -> float:
        program = load(path)
        return seconds(
            lambda: capture(program, Settings(), truncate_double=False, emit=_no_progress)
        )()

    def reference() -> float:
        program = load(path)
        return seconds(lambda: lower(program, settings))()

    return Sides(ours, reference)


def _no_progress(*_: object) -> None:
    return


class _Switching:
    """A session that is made anew in each round."""

    def __init__(self, subject: str) -> None:
        name, _, _ = subject.partition(",")
        self.path = model(name)
        self.policy = SWITCHES.get(subject, OTHER_LISTS)
        self.made: Any = None
        options()

    def first(self) -> float:
        self.made = None

        def work() -> None:
            self.made = session(self.path, networks=False)
            self.made.analyze(LATE)

        return seconds(work)()

    def switch(self) -> float:
        return seconds(lambda: self.made.analyze(self.policy))()

    def switch_of_new(self) -> float:
        self.first()
        return self.switch()

    def back(self) -> float:
        return seconds(lambda: self.made.analyze(LATE))()


def policy_switch(subject: str) -> Sides:
    """Analyses under another policy, against loading and analysing under the first."""
    switching = _Switching(subject)
    return Sides(switching.switch, switching.first)


def switching_back(subject: str) -> Sides:
    """Asks for the first policy again, against the switch away from it."""
    switching = _Switching(subject)
    return Sides(switching.back, switching.switch_of_new)


def peak_memory(subject: str) -> Sides:
    """Peak of a process that analyses, against one that loads, lowers and partitions."""
    path = str(model(subject))
    return Sides(
        lambda: call("benchmarks.analysis", "analyse_once", path).peak_mib,
        lambda: call("benchmarks.analysis", "plain_once", path).peak_mib,
        unit="MiB",
    )


def analyse_once(path: str) -> None:
    """Analyses in a process of its own."""
    analyse(Path(path))


def plain_once(path: str) -> None:
    """Lowers and partitions in a process of its own."""
    plain(Path(path))


def cost_per_node(subject: str) -> Sides:
    """Seconds per node of a full analysis of 10,000 nodes, against one of 1,000."""
    del subject
    options()

    def per_node(path: Path) -> float:
        made: list[Any] = []
        spent = seconds(lambda: made.append(analyse(path)))()
        return spent / len(made[0].nodes)

    few, many = model("1000 nodes"), model("10000 nodes")
    # Imports and registrations happen in the first analysis of a process.
    analyse(few)
    return Sides(lambda: per_node(many), lambda: per_node(few))
