"""What torch and torch_tensorrt themselves say of a `.pt2`, for comparison with a report.

Nothing of trtdbg is imported here: a fault in its inference, its verdicts, its partition or
its casts cannot be in both. What is compared is told by the names of nodes.
"""

from __future__ import annotations

import contextlib
import copy
import operator
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sympy
import torch
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx.passes.shape_prop import _extract_tensor_metadata
from torch.utils._pytree import tree_map

NARROW = {torch.float64: torch.float32, torch.complex128: torch.complex64}
"""What the default policy narrows, everywhere."""

MARK = "checked_name"


@dataclass
class Derived:
    """What was found out about one program."""

    recorded: dict[str, Any] = field(default_factory=dict)
    inferred: dict[str, Any] = field(default_factory=dict)
    truncated: dict[str, Any] = field(default_factory=dict)
    accepted: dict[str, bool | None] = field(default_factory=dict)
    """By operator; None where its validator raises."""
    engines: set[frozenset[str]] | None = None
    """Operators of each engine; None where the partitioner raises."""
    casts: Counter[tuple[str, str, str]] | None = None
    """Value, dtype before and after; None where the repair raises."""
    lowers: bool = True
    """False where torch or a lowering pass raises."""
    order: list[tuple[str, str]] = field(default_factory=list)
    """Name and kind of each node, in graph order."""

    def renamed(self, names: dict[str, str]) -> Derived:
        """Returns the same with other names of nodes."""
        columns = ("recorded", "inferred", "truncated", "accepted")
        engines = {frozenset(names[n] for n in engine) for engine in self.engines or ()}
        casts = self.casts
        if casts is not None and all(len(key) == 3 and key[0] in names for key in casts):
            casts = Counter({(names[v], a, b): count for (v, a, b), count in casts.items()})
        return Derived(
            **{c: {names[k]: v for k, v in getattr(self, c).items()} for c in columns},
            engines=None if self.engines is None else engines,
            casts=casts,
            order=[(names[name], op) for name, op in self.order],
        )


def spelled(value: Any) -> Any:
    """Returns dtypes as a report has them: a name, or several for several outputs."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype).removeprefix("torch.")
    if isinstance(value, (tuple, list)) and any(isinstance(v, torch.Tensor) for v in value):
        return [spelled(each) for each in value]
    return None


def lowered(path: str, options: Any) -> Any:
    """Returns the graph that torch_tensorrt would partition."""
    from torch_tensorrt.dynamo.lowering import (
        _decompositions,
        get_decompositions,
        post_lowering,
        pre_export_lowering,
    )

    program = torch.export.load(path)
    ranges = _ranges(program)
    if ranges is not None:
        # Torch 2.13 keeps derived sizes among the symbols and then cannot decompose.
        for key in [key for key in ranges if not isinstance(key, sympy.Symbol)]:
            del ranges[key]
    with _replaced(_decompositions, "default_device", lambda: torch.device("cpu")):
        program = pre_export_lowering(program, options)
        program = program.run_decompositions(
            get_decompositions(
                options.enable_experimental_decompositions, options.decompose_attention
            )
        )
        return post_lowering(program.module(), options)


def _ranges(program: Any) -> Any:
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, FakeTensor) and value.fake_mode.shape_env is not None:
            return value.fake_mode.shape_env.var_to_range
    return None


def options(truncate_double: bool) -> Any:
    """Returns torch_tensorrt's settings as trtdbg has them by default."""
    from torch_tensorrt import Device
    from torch_tensorrt.dynamo import CompilationSettings

    return CompilationSettings(
        device=Device(gpu_id=0),
        min_block_size=1,
        use_fast_partitioner=False,
        truncate_double=truncate_double,
    )


def retyped(module: Any, narrow: bool) -> Any:
    """Returns a copy whose metadata is what its operators say, float64 narrowed or not."""
    made = copy.deepcopy(module)
    _Typing(made, narrow).run()
    return made


class _Typing:
    """Runs every operator on fake tensors and writes down what comes out."""

    def __init__(self, module: Any, narrow: bool) -> None:
        self.module, self.narrow = module, narrow
        values = [n.meta["val"] for n in module.graph.nodes if n.op == "placeholder"]
        self.mode = detect_fake_mode(values) or torch._subclasses.FakeTensorMode()
        self.env: dict[Any, Any] = {}

    def run(self) -> None:
        shapes = self.mode.shape_env
        quiet = shapes.ignore_fresh_unbacked_symbols() if shapes else contextlib.nullcontext()
        with self.mode, quiet, torch.no_grad():
            for node in self.module.graph.nodes:
                self.env[node] = self._value(node)
                if node.op != "output":
                    self._note(node, self.env[node])

    def _narrowed(self, value: Any) -> Any:
        def one(item: Any) -> Any:
            if isinstance(item, torch.Tensor) and self.narrow:
                return item.to(NARROW.get(item.dtype, item.dtype))
            return item

        return tree_map(one, value)

    def _value(self, node: Any) -> Any:
        if node.op == "placeholder":
            return self._narrowed(node.meta.get("val"))
        if node.op == "get_attr":
            value = operator.attrgetter(str(node.target))(self.module)
            if not isinstance(value, torch.Tensor):
                return value
            fake = (
                value
                if isinstance(value, FakeTensor)
                else self.mode.from_tensor(value, static_shapes=True)
            )
            return self._narrowed(fake)
        if node.op == "output":
            return None
        if self.narrow:
            node.args, node.kwargs = (
                torch.fx.node.map_aggregate(
                    part, lambda a: NARROW.get(a, a) if isinstance(a, torch.dtype) else a
                )
                for part in (node.args, node.kwargs)
            )
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            # Its graphs run in PyTorch as they were exported; what comes out is narrowed where
            # an engine reads it, as any other value.
            return self._narrowed(node.meta.get("val"))
        args, kwargs = torch.fx.node.map_arg(
            (node.args, node.kwargs), lambda each: self.env[each]
        )
        return node.target(*args, **kwargs)

    def _note(self, node: Any, value: Any) -> None:
        if isinstance(value, torch.nn.Module):
            return
        node.meta["val"] = value
        if isinstance(value, torch.Tensor):
            node.meta["tensor_meta"] = _extract_tensor_metadata(value)
        elif isinstance(value, (tuple, list)):
            node.meta["tensor_meta"] = tuple(
                _extract_tensor_metadata(v) if isinstance(v, torch.Tensor) else None
                for v in value
            )


def judged(module: Any, settings: Any) -> dict[str, bool | None]:
    """Returns what torch_tensorrt's partitioner is told about each operator."""
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS
    from torch_tensorrt.dynamo.partitioning._global_partitioner import (
        TorchTensorRTOperatorSupport,
    )

    DYNAMO_CONVERTERS.set_compilation_settings(settings)
    support, answers = TorchTensorRTOperatorSupport(), {}
    for node in module.graph.nodes:
        if node.op != "call_function":
            continue
        try:
            answers[node.name] = bool(support.is_node_supported({}, node))
        except Exception:
            answers[node.name] = None
    return answers


def partitioned(module: Any, answers: dict[str, bool | None] | None) -> Any:
    """Returns the graph as torch_tensorrt's global partitioner splits it.

    Args:
        module: the graph.
        answers: what is said of each operator; None lets the validators be asked.
    """
    from torch_tensorrt.dynamo import partitioning
    from torch_tensorrt.dynamo.partitioning import _global_partitioner

    made = copy.deepcopy(module)
    for node in made.graph.nodes:
        node.meta[MARK] = node.name
    support = _global_partitioner.TorchTensorRTOperatorSupport
    asked = support.is_node_supported

    def told(self: Any, submodules: Any, node: Any) -> bool:
        if answers is None:
            return bool(asked(self, submodules, node))
        return node.op == "get_attr" or bool(answers.get(node.meta.get(MARK)))

    with _replaced(support, "is_node_supported", told):
        split, _ = partitioning.global_partition(made, min_block_size=1)
    return split


def engines(split: Any) -> dict[str, set[str]]:
    """Returns the operators of each engine by the engine's name."""
    found = {}
    for name, child in split.named_children():
        if "_run_on_acc" in name and isinstance(child, torch.fx.GraphModule):
            inside = (n for n in child.graph.nodes if n.op == "call_function")
            found[name] = {str(node.meta.get(MARK, node.name)) for node in inside}
    return {name: nodes for name, nodes in found.items() if nodes}


def crossing(derived: Derived, graph: Any) -> Counter[tuple[str, str, str]]:
    """Returns the casts that late truncation needs: where a wide value crosses a border."""
    engine_of = {
        name: place for place, names in enumerate(derived.engines or ()) for name in names
    }
    casts: Counter[tuple[str, str, str]] = Counter()
    for node in graph.nodes:
        wide, narrow = derived.inferred.get(node.name), derived.truncated.get(node.name)
        if node.op in ("get_attr", "output") or not isinstance(wide, str) or wide == narrow:
            continue
        readers = [engine_of.get(user.name) for user in node.users]
        if node.name not in engine_of and any(reader is not None for reader in readers):
            casts[node.name, wide, narrow] += 1
        if node.name in engine_of and None in readers:
            casts[node.name, narrow, wide] += 1
    return casts


def repaired(split: Any) -> Counter[tuple[str, str, str]]:
    """Returns the casts that torch_tensorrt's own repair inserts."""
    from torch_tensorrt.dynamo import partitioning
    from torch_tensorrt.dynamo.conversion.truncate_double import repair_double_inputs

    before = set(split.graph.nodes)
    for name, child in list(split.named_children()):
        if "_run_on_acc" not in name or not isinstance(child, torch.fx.GraphModule):
            continue
        inputs = partitioning.construct_submodule_inputs(child)
        with torch.no_grad():
            repair_double_inputs(split, child, inputs, torch.device("cpu"), name)
    return Counter(
        str(node.kwargs["dtype"]).removeprefix("torch.")
        for node in split.graph.nodes
        if node not in before and node.target is torch.ops.aten._to_copy.default
    )  # type: ignore[return-value]


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def derive(path: str, upstream: bool) -> Derived:
    """Returns what is true of a program under timing `upstream`, else under `late`."""
    settings = options(truncate_double=upstream)
    try:
        graph = lowered(path, settings)
    except Exception:
        return Derived(lowers=False)
    wide, narrow = retyped(graph, narrow=False), retyped(graph, narrow=True)
    found = Derived(order=[(node.name, node.op) for node in graph.graph.nodes])
    for node in graph.graph.nodes:
        if node.op != "output":
            found.recorded[node.name] = spelled(node.meta.get("val"))
    for module, into in ((wide, found.inferred), (narrow, found.truncated)):
        for node in module.graph.nodes:
            if node.op != "output":
                into[node.name] = spelled(node.meta.get("val"))
    deciding = graph if upstream else narrow
    # What is judged late is judged without torch_tensorrt's own truncation.
    found.accepted = judged(deciding, options(truncate_double=upstream))
    try:
        split = partitioned(deciding, None if upstream else found.accepted)
    except Exception:
        return found
    found.engines = {frozenset(names) for names in engines(split).values()}
    if not upstream:
        found.casts = crossing(found, narrow.graph)
        return found
    with contextlib.suppress(Exception):
        found.casts = repaired(split)
    return found


def problems(report: dict[str, Any], found: Derived, upstream: bool) -> Iterator[str]:
    """Yields a sentence for everything in which a report, as JSON has it, differs."""
    rows = {row["name"]: row for row in report["nodes"]}
    failed = any(p["error"] and p["phase"] != "partition" for p in report["passes"])
    failed = failed and not report["engines"] and not report["torch_ops"]
    if failed or not found.lowers:
        if failed is found.lowers:
            yield f"lowering: fails {failed}, with torch alone {not found.lowers}"
        return
    if [row["op"] for row in rows.values()] != [op for _, op in found.order]:
        yield f"nodes: {list(rows)}, not {[name for name, _ in found.order]}"
        return
    own = [name for name, _ in found.order]
    if set(own) != set(rows):
        # Torch counts symbols as it meets them, and their numbers are in the names of sizes.
        found = found.renamed(dict(zip(own, rows, strict=True)))
    for name, row in rows.items():
        if row["op"] == "output":
            continue
        for column in ("recorded", "inferred", "truncated"):
            if column == "truncated" and upstream:
                continue
            given, own = row[column], getattr(found, column)[name]
            if column == "recorded" and own is None:
                continue
            if _plain(given) != _plain(own):
                yield f"{name} {column}: {given}, torch says {own}"
        if name in found.accepted:
            accepts = found.accepted[name] is True
            if (row["verdict"] == "accept") is not accepts:
                yield f"{name} verdict: {row['verdict']}, torch_tensorrt says {accepts}"
    broken = any(p["error"] and p["phase"] == "partition" for p in report["passes"])
    if broken or found.engines is None:
        if broken is not (found.engines is None):
            yield f"partitioning: broken {broken}, torch_tensorrt {found.engines}"
        return
    calls = {name for name, row in rows.items() if row["op"] == "call_function"}
    given = {frozenset(e["nodes"]) & calls for e in report["engines"]} - {frozenset()}
    if given != found.engines:
        here, there = (sorted(map(sorted, each)) for each in (given, found.engines))
        yield f"engines: {here}, not {there}"
        return
    yield from _casts(report, found, upstream)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list)) else value


def _casts(report: dict[str, Any], found: Derived, upstream: bool) -> Iterator[str]:
    given = [(c["value"], c["from_dtype"], c["to_dtype"]) for c in report["boundary_casts"]]
    if upstream:
        crashed = any(f["code"] == "TD302" for f in report["findings"])
        if crashed is not (found.casts is None):
            yield f"repair: crashed {crashed}, torch_tensorrt {found.casts}"
        elif found.casts is not None and Counter(to for _, _, to in given) != found.casts:
            yield f"casts: {given}, torch_tensorrt inserts {dict(found.casts)}"
    elif found.casts is not None and Counter(given) != found.casts:
        yield f"casts: {sorted(given)}, not {sorted(found.casts)}"
