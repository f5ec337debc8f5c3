"""TD605 on records made by hand: what is folded, left to PyTorch, or converted."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests import canned
from trtdbg.analysis.findings import Evidence, find
from trtdbg.records import (
    Finding,
    GraphNode,
    Level,
    NodeRecord,
    PassRecord,
    Phase,
    Report,
    Source,
    Verdict,
)

DEQUANTIZE = "quantized_decomposed.dequantize_per_tensor.default"
MODELOPT = "tensorrt.quantize_op.default"


def found(target: str, *, folded: bool, engine: int | None) -> list[Finding]:
    """Returns TD605 of a program of one quantised operator, folded or with its engine."""
    source = Source(file="model.py", line=7)
    passes = (
        PassRecord(index=0, phase=Phase.LOAD, name="load", changed=True, nodes=1, graph=(0,)),
        PassRecord(
            index=1,
            phase=Phase.POST_LOWERING,
            name="constant_fold",
            changed=folded,
            nodes=1,
            removed=("quantised",) if folded else (),
        ),
    )
    node = NodeRecord(
        name="quantised",
        op="call_function",
        target=target,
        verdict=Verdict.ACCEPT,
        engine=engine,
        source=source,
    )
    report: Report = replace(
        canned.UPSTREAM,
        passes=passes,
        graph_nodes=(
            GraphNode(name="quantised", op="call_function", target=target, source=source),
        ),
        nodes=() if folded else (node,),
    )
    return [each for each in find(report, Evidence()) if each.code == "TD605"]


@pytest.mark.parametrize("target", [DEQUANTIZE, MODELOPT])
def test_what_is_folded_is_not_quantised_any_more(target: str) -> None:
    (finding,) = found(target, folded=True, engine=None)
    assert finding.level is Level.WARNING
    text = "1 is folded into constants, not quantised any more, from quantised (model.py:7) on"
    assert text in finding.message
    works = "modelopt's operators only" if target == DEQUANTIZE else "`import modelopt"
    assert works in finding.message


@pytest.mark.parametrize("target", [DEQUANTIZE, MODELOPT])
def test_what_nothing_converts_is_left_to_pytorch(target: str) -> None:
    (finding,) = found(target, folded=False, engine=None)
    assert (finding.level, finding.node) == (Level.WARNING, "quantised")
    assert "1 is left to PyTorch, as nothing converts it" in finding.message


def test_what_is_converted_is_a_note() -> None:
    (finding,) = found(MODELOPT, folded=False, engine=0)
    assert finding.level is Level.NOTE
    assert "1 is converted to QUANTIZE and DEQUANTIZE in engine 0" in finding.message
    assert not found("aten.relu.default", folded=False, engine=0)
