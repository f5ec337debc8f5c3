"""Asks TensorRT about single nodes: a network of its own for each kind of question."""

from __future__ import annotations

import hashlib
import operator
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node

from trtdbg.compat.host import tensorrt_log
from trtdbg.compat.interpreter import choosing_interpreter, refusal, torch_dtype_of
from trtdbg.graphs.graph import (
    NODE_MARK,
    Emit,
    dtype_name,
    fetch_attr,
    node_value,
    refresh_metadata,
    target_name,
)
from trtdbg.records import Dtype, Verdict

BATCH = 48
"""Questions built in one network; one that is refused costs a bisection of its batch."""

SMALL_CONSTANT = 64
"""Elements up to which a constant's values belong to the question, as axes and indices do."""

OPTIONS_THAT_MATTER = (
    "truncate_double",
    "use_fp32_acc",
    "disable_tf32",
    "attn_bias_is_causal",
    "optimization_level",
)
"""Compilation settings that change what a converter or the builder does with a node."""

_LAYER_PREFIX = re.compile(r"\bq\d+_")


@dataclass(frozen=True)
class TensorrtAnswer:
    """TensorRT's answer to a question."""

    verdict: Verdict
    reason: str | None = None
    """TensorRT's own sentence, where it refuses."""
    dtype: Dtype = None
    """TensorRT's dtype of the node's value, which its readers are asked with."""


@dataclass
class Memory:
    """Answers by signature; survives policies, and processes through `session.probe_cache`."""

    answers: dict[str, TensorrtAnswer] = field(default_factory=dict)
    announce: Callable[[list[str]], None] = lambda _: None
    """Told before TensorRT is asked, so that the parent knows what a worker died of; told of
    nothing when TensorRT has answered."""
    suspects: set[str] = field(default_factory=set)
    """Signatures that were being asked when TensorRT crashed: asked one by one."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Signatures that are not asked in this run, each with the reason."""


@dataclass
class _Question:
    mark: str
    signature: str
    node: Node
    engine: GraphModule
    converter: Any
    dtypes: dict[Node, Dtype]
    answer: TensorrtAnswer | None = None

    @property
    def reads_sizes(self) -> bool:
        """Whether an operand is a number: its relation to the other shapes is lost here."""
        return any(not isinstance(node_value(o), torch.Tensor) for o in _operands(self.node))


def probe(
    engines: list[GraphModule],
    options: Any,
    target: str | None,
    memory: Memory,
    *,
    emit: Emit,
    seconds: float,
) -> dict[str, TensorrtAnswer]:
    """Returns TensorRT's verdict on each operator node of some engines, by lowered node.

    Each node's converter, the one its engine uses, runs in a network of its own, whose inputs
    have the dtypes that TensorRT gives the operands, and whose constants are the real ones.
    The network is built, many questions at a time, because some refusals come only then;
    questions with a symbolic size among their operands are defined, not built. Equal
    questions are asked once. What could not be asked is `not_checked`, with the reason.

    Args:
        engines: subgraphs in truncated dtypes, as they would be converted.
        options: torch_tensorrt's CompilationSettings.
        target: compute capability to build for; None is this machine's GPU.
        memory: the answers so far, which grows.
        emit: progress.
        seconds: time limit for all questions together.
    """
    deadline = time.monotonic() + seconds
    found: dict[str, TensorrtAnswer] = {}
    for index, engine in enumerate(engines):
        emit("probe", f"engine {index}", index, len(engines))
        asked = list(_ask_engine(engine, options, memory, deadline))
        pending: dict[str, _Question] = {}
        for question in asked:
            if question.answer is None and _is_open(question, memory):
                pending.setdefault(question.signature, question)
        _build_all(list(pending.values()), options, target, memory, deadline)
        memory.announce([])
        for question in asked:
            answer = question.answer or memory.answers.get(question.signature)
            found[question.mark] = answer or _unasked(question, memory, seconds)
    return found


def _is_open(question: _Question, memory: Memory) -> bool:
    known = question.signature in memory.answers
    return not known and question.signature not in memory.left_out


def _unasked(question: _Question, memory: Memory, seconds: float) -> TensorrtAnswer:
    late = f"the {seconds:g} seconds for questions to TensorRT were over"
    return TensorrtAnswer(Verdict.NOT_CHECKED, memory.left_out.get(question.signature, late))


def _ask_engine(
    engine: GraphModule, options: Any, memory: Memory, deadline: float
) -> Iterator[_Question]:
    """Yields a question per operator in graph order, each kind of network defined once."""
    dtypes: dict[Node, Dtype] = {}
    defined: dict[str, TensorrtAnswer] = {}
    for node in engine.graph.nodes:
        if node.op != "call_function":
            continue
        source = node.args[0] if node.args else None
        if node.target is operator.getitem and isinstance(source, Node):
            known = dtypes.get(source)
            index = node.args[1]
            if isinstance(known, tuple) and isinstance(index, int) and index < len(known):
                dtypes[node] = known[index]
            continue
        question = _question(node, engine, dtypes, options)
        if question.converter is None:
            question.answer = TensorrtAnswer(
                Verdict.REJECT, f"torch_tensorrt converts no {target_name(node)} at this place"
            )
            yield question
            continue
        answer = memory.answers.get(question.signature) or defined.get(question.signature)
        if answer is None:
            if question.signature in memory.left_out or time.monotonic() > deadline:
                yield question
                continue
            answer = _define(question, options, memory)
            defined[question.signature] = answer
            if answer.verdict is not Verdict.NOT_CHECKED:
                memory.answers[question.signature] = answer
        dtypes[node] = answer.dtype
        yield question


def _question(
    node: Node, engine: GraphModule, dtypes: dict[Node, Dtype], options: Any
) -> _Question:
    from torch_tensorrt.dynamo.conversion._ConverterRegistry import DYNAMO_CONVERTERS

    try:
        packet = DYNAMO_CONVERTERS.get(node)
    except Exception:
        # A validator that raises inside the engine leaves it without a converter.
        packet = None
    converter = packet[0] if packet is not None else None
    known = {operand: dtypes.get(operand) for operand in _operands(node)}
    signature = _signature(node, engine, known, converter, options)
    mark = node.meta.get(NODE_MARK, node.name)
    return _Question(mark, signature, node, engine, converter, known)


def _operands(node: Node) -> list[Node]:
    return [operand for operand in node.all_input_nodes if operand.op != "get_attr"]


def _signature(
    node: Node,
    engine: GraphModule,
    known: dict[Node, Dtype],
    converter: Any,
    options: Any,
) -> str:
    def text(arg: Any) -> str:
        if not isinstance(arg, Node):
            if isinstance(arg, (list, tuple)):
                return f"[{','.join(map(text, arg))}]"
            return f"{type(arg).__name__}:{arg}"
        if arg.op == "get_attr":
            constant = fetch_attr(engine, str(arg.target))
            return f"const:{_tensor_text(constant)}:{_values_text(constant)}"
        value = node_value(arg)
        return _tensor_text(value, known.get(arg))

    parts = [target_name(node), getattr(converter, "__qualname__", "none")]
    parts += [str(getattr(options, name, None)) for name in OPTIONS_THAT_MATTER]
    parts += [text(arg) for arg in node.args]
    parts += [f"{key}={text(value)}" for key, value in sorted(node.kwargs.items())]
    parts.append(str([user.args[1:2] for user in node.users if _is_getitem(user)]))
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _tensor_text(value: Any, tensorrt: Dtype = None) -> str:
    """Returns dtype and shape; the dtype is the one TensorRT gives, where that is known."""
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    given = torch_dtype_of(tensorrt) if isinstance(tensorrt, str) else None
    return f"{dtype_name(given or value.dtype)}{[_size_text(size) for size in value.shape]}"


def _size_text(size: Any) -> str:
    """Returns a size, a symbolic one with its range, which decides what is asked about."""
    if not isinstance(size, torch.SymInt):
        return str(size)
    node = size.node
    bounds = node.shape_env.bound_sympy(node.expr)
    return f"{size} in [{bounds.lower}, {bounds.upper}]"


def _values_text(value: Any) -> str:
    if isinstance(value, torch.Tensor) and value.numel() <= SMALL_CONSTANT:
        return str(value.tolist())
    return ""


def _is_getitem(node: Node) -> bool:
    return node.target is operator.getitem


def _define(question: _Question, options: Any, memory: Memory) -> TensorrtAnswer:
    """Returns a refusal, or `not_checked` with the dtype if the network stands."""
    memory.announce([question.signature])
    with tensorrt_log() as log:
        interpreter, error = _network([question], options)
    if error is not None or interpreter is None:
        return TensorrtAnswer(Verdict.REJECT, _reason(error, log))
    dtype = interpreter.node_dtypes.get(question.mark)
    if question.reads_sizes:
        return TensorrtAnswer(Verdict.ACCEPT, dtype=dtype)
    return TensorrtAnswer(Verdict.NOT_CHECKED, dtype=dtype)


def _build_all(
    questions: list[_Question],
    options: Any,
    target: str | None,
    memory: Memory,
    deadline: float,
) -> None:
    alone = [q for q in questions if q.signature in memory.suspects]
    others = [q for q in questions if q.signature not in memory.suspects]
    batches = [others[i : i + BATCH] for i in range(0, len(others), BATCH)]
    for batch in [*batches, *([q] for q in alone)]:
        _build(batch, options, target, memory, deadline)


def _build(
    questions: list[_Question],
    options: Any,
    target: str | None,
    memory: Memory,
    deadline: float,
) -> None:
    """Builds questions in one network; if that is refused, halves them until one is left."""
    if not questions or time.monotonic() > deadline:
        return
    memory.announce([question.signature for question in questions])
    with tensorrt_log() as log:
        interpreter, error = _network(questions, options)
        built = error is None and _builds(interpreter, target)
    if built:
        for question in questions:
            dtype = interpreter.node_dtypes.get(question.mark)
            memory.answers[question.signature] = TensorrtAnswer(Verdict.ACCEPT, dtype=dtype)
        return
    if len(questions) == 1:
        memory.answers[questions[0].signature] = TensorrtAnswer(
            Verdict.REJECT, _reason(error, log)
        )
        return
    middle = len(questions) // 2
    for half in (questions[:middle], questions[middle:]):
        _build(half, options, target, memory, deadline)


def _reason(error: Exception | None, log: list[tuple[int, str]]) -> str:
    return _LAYER_PREFIX.sub("", refusal(error, log))


def _builds(interpreter: Any, target: str | None) -> bool:
    import tensorrt as trt

    try:
        config = interpreter._populate_trt_builder_config()
        if target is not None:
            config.num_compute_capabilities = 1
            config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), 0)
        engine = interpreter.builder.build_serialized_network(interpreter.ctx.net, config)
    except Exception:
        # The reason is in TensorRT's log.
        return False
    return engine is not None


def _network(questions: list[_Question], options: Any) -> tuple[Any, Exception | None]:
    """Defines the questions side by side in one network."""
    from torch_tensorrt.dynamo import partitioning

    root = torch.nn.Module()
    graph = Graph()
    results: list[Node] = []
    choices: dict[str, Any] = {}
    for i, question in enumerate(questions):
        results += _add(graph, root, question, f"q{i}", choices)
    graph.output(tuple(results))
    module = GraphModule(root, graph)
    try:
        inputs = partitioning.construct_submodule_inputs(module)
        for spec in inputs:
            _make_askable(spec)
        interpreter = choosing_interpreter()(
            module, inputs, compilation_settings=options, choices=choices
        )
        with torch.no_grad():
            interpreter._construct_trt_network_def()
    except Exception as error:
        # Converters raise anything; without them there is no network to build.
        return None, error
    return interpreter, None


def _make_askable(spec: Any) -> None:
    """Gives a dynamic operand a range of shapes that TensorRT takes, in place.

    A size that the program does not bound gets a range that TensorRT refuses whatever the
    operator; that is no answer about the operator.
    """
    shapes = spec.shape
    if not isinstance(shapes, dict):
        return
    low, best, high = (list(shapes[f"{name}_shape"]) for name in ("min", "opt", "max"))
    for place, size in enumerate(best):
        best[place] = max(size, low[place], 1)
        high[place] = max(high[place], best[place])
    spec.shape = {"min_shape": low, "opt_shape": best, "max_shape": high}


def _add(
    graph: Graph,
    root: torch.nn.Module,
    question: _Question,
    prefix: str,
    choices: dict[str, Any],
) -> list[Node]:
    """Copies a node with its operands into a graph and returns the values that others read."""
    node = question.node
    copies: dict[Node, Node] = {}
    for operand in node.all_input_nodes:
        name = f"{prefix}_{operand.name}"
        if operand.op == "get_attr":
            # TensorRT holds a mere pointer to the weights: the engine keeps them alive.
            setattr(root, name, fetch_attr(question.engine, str(operand.target)))
            copies[operand] = graph.create_node("get_attr", name, name=name)
            copies[operand].meta.update(operand.meta)
            continue
        copies[operand] = graph.placeholder(name)
        copies[operand].meta.update(operand.meta)
        _retype(copies[operand], question.dtypes.get(operand))
    copy = graph.create_node(
        "call_function",
        node.target,
        torch.fx.map_arg(node.args, lambda n: copies[n]),
        torch.fx.map_arg(node.kwargs, lambda n: copies[n]),
        name=f"{prefix}_{node.name}",
    )
    copy.meta.update(node.meta)
    choices[copy.name] = question.converter
    if not isinstance(node_value(node), (tuple, list)):
        return [copy]
    values = []
    for index in dict.fromkeys(u.args[1] for u in node.users if _is_getitem(u)):
        item = graph.call_function(operator.getitem, (copy, index))
        item.meta["val"] = node_value(node)[index]
        values.append(item)
    return values


def _retype(placeholder: Node, dtype: Dtype) -> None:
    """Declares an operand with the dtype that TensorRT gives it, which may not be torch's."""
    value = node_value(placeholder)
    if not isinstance(value, torch.Tensor) or not isinstance(dtype, str):
        return
    found = torch_dtype_of(dtype)
    if found is not None and found != value.dtype:
        refresh_metadata(placeholder, value.to(found))
