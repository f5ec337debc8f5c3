from __future__ import annotations

from typing import Any

import msgspec

from tests import canned
from trtdbg.analysis.advice import consequence_lines, flags, snippet, suggestion_lines
from trtdbg.policy import Partitioner, Settings, TruncationPolicy
from trtdbg.records import (
    Consequence,
    Consequences,
    Counterfactual,
    NodeRecord,
    RefusalKind,
    Report,
    Source,
    Suggestion,
    TypingKind,
)

I0 = NodeRecord(
    name="i0",
    op="call_function",
    target="aten.i0.default",
    source=Source(file="model.py", line=3),
    counterfactual=Counterfactual(
        kind=RefusalKind.NO_CONVERTER,
        typing=TypingKind.TRUNCATED,
        text="there is no converter",
        sentence="there is no converter (aten.i0, model.py:3)",
    ),
)


def weighed(
    *tried: Consequence, engines: int = 7, torch_ops: int = 5, refused: int = 1
) -> Report:
    found = Consequences(engines=engines, torch_ops=torch_ops, refused=refused, tried=tried)
    return msgspec.structs.replace(canned.LATE, nodes=(I0,), consequences=found)


def test_a_consequence_says_what_becomes_of_engines_and_operators_and_why() -> None:
    report = weighed(Consequence(node="i0", engines=3, torch_ops=4))
    assert consequence_lines(report) == [
        "i0 (aten.i0.default, model.py:3): 7 engines become 3, 5 PyTorch operators become 4; "
        "torch_tensorrt has no converter for aten.i0.default"
    ]


def test_what_stays_the_same_is_said_too() -> None:
    report = weighed(Consequence(node="i0", engines=1, torch_ops=0), engines=1, torch_ops=1)
    (line,) = consequence_lines(report)
    assert "1 engine as before, 1 PyTorch operator becomes none;" in line


def test_a_partition_that_only_comes_about_by_accepting_is_not_compared() -> None:
    report = weighed(Consequence(node="i0", engines=1, torch_ops=2), engines=0, torch_ops=0)
    (line,) = consequence_lines(report)
    assert "1 engine, 2 PyTorch operators, where there is no partition now" in line


def test_a_partitioner_that_raises_is_quoted() -> None:
    report = weighed(Consequence(node="i0", engines=0, torch_ops=0, error="IndexError: no"))
    (line,) = consequence_lines(report)
    assert line.endswith("the partitioner raises all the same, IndexError: no")


def test_it_is_said_that_not_all_refused_operators_were_tried() -> None:
    report = weighed(Consequence(node="i0", engines=3, torch_ops=4), refused=80)
    assert consequence_lines(report)[-1] == "the first 1 of 80 refused operators were tried"


def test_it_is_said_which_of_those_alike_were_tried() -> None:
    report = weighed(Consequence(node="i0", engines=3, torch_ops=4), refused=48)
    assert report.consequences is not None
    few = msgspec.structs.replace(report.consequences, alike=True)
    told = consequence_lines(msgspec.structs.replace(report, consequences=few))[-1]
    assert told == (
        "1 of 48 refused operators were tried: of those alike the first, the middle and the "
        "last, which bring the same"
    )


def test_where_no_operator_is_refused_nothing_is_said_of_refusals() -> None:
    assert consequence_lines(weighed(refused=0)) == []
    assert consequence_lines(canned.LATE) == [], "nobody asked"


def suggested(**more: Any) -> Suggestion:
    policy = TruncationPolicy(inputs=("float64",), constants=("float64",), computed=())
    fields: dict[str, Any] = {
        "policy": policy,
        "accepted": 16,
        "operators": 17,
        "engines": 2,
        "torch_ops": 1,
        "tried": 4,
    } | more
    return Suggestion(**fields)


def test_a_suggestion_says_what_it_narrows_and_what_that_reaches() -> None:
    report = msgspec.structs.replace(canned.LATE, suggestion=suggested(refused_upstream=3))
    text = suggestion_lines(report)
    assert text[0] == (
        "narrowing float64 in inputs and constants accepts 16 of 17 operators: 2 engines, "
        "1 operator left to PyTorch (4 policies compared)"
    )
    assert text[1] == (
        "trtdbg report MODEL --timing late --inputs float64 --constants float64 "
        "--computed none --verdicts validators"
    )
    assert "leaves 3 operators more to PyTorch" in text[-1]
    assert suggestion_lines(canned.LATE) == [], "nobody asked"


def test_the_snippet_is_python_with_the_settings_in_force() -> None:
    settings = Settings(min_block_size=5, partitioner=Partitioner.FAST)
    report = msgspec.structs.replace(canned.LATE, settings=settings)
    suggestion = suggested(torch_executed_ops=("torch.ops.aten.sort.default",))
    calls: list[tuple[Any, dict[str, Any]]] = []

    class Compiler:
        @staticmethod
        def compile(*args: Any, **kwargs: Any) -> None:
            calls.append((args, kwargs))

    class Module:
        dynamo = Compiler

    names = {"torch_tensorrt": Module, "program": "program", "inputs": ("x",)}
    exec(snippet(report, suggestion), names)
    assert calls == [
        (
            ("program",),
            {
                "arg_inputs": ("x",),
                "truncate_double": True,
                "min_block_size": 5,
                "use_fast_partitioner": True,
                "torch_executed_ops": {"torch.ops.aten.sort.default"},
            },
        )
    ]


def test_the_flags_are_ones_that_the_command_line_takes() -> None:
    from trtdbg.commands.report import command

    suggestion = suggested(torch_executed_ops=("torch.ops.aten.sort.default",))
    words = flags(suggestion).split()
    assert words[-2:] == ["--torch-executed-ops", "aten.sort.default"]
    command.make_context("report", ["model.pt2", *words])


def test_int64_is_said_to_be_beyond_torch_tensorrts_settings() -> None:
    policy = TruncationPolicy(inputs=(), constants=("int64",), computed=())
    report = msgspec.structs.replace(canned.LATE, suggestion=suggested(policy=policy))
    text = suggestion_lines(report)
    assert text[0].startswith("narrowing int64 in constants")
    assert "    truncate_double=False," in text
    assert "no setting that narrows int64" in text[-1]
