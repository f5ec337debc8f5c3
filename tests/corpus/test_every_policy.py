"""Every combination of timing and lists on three models: no crash, each result explained."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from corpus_bench import Bench

from trtdbg.policy import Timing, TruncationPolicy
from trtdbg.records import BuildStatus, NodeRecord, Report

MODELS = ("mixed_double_int_boundary", "index_put_argmax", "where_double_scalar_tensor")
LISTS = ((), ("float64",), ("int64",), ("float64", "int64"))


def policies(timing: Timing) -> Iterator[TruncationPolicy]:
    """Yields all policies of a timing."""
    for inputs, constants, computed in itertools.product(LISTS, repeat=3):
        yield TruncationPolicy(
            timing=timing, inputs=inputs, constants=constants, computed=computed
        )


def unexplained(report: Report) -> Iterator[str]:
    """Yields what a reader of a report would have to guess."""
    codes = {finding.code for finding in report.findings}
    if codes & {"TD302", "TD501", "TD502"}:
        return
    for output in report.model.outputs:
        if output.declared != output.bound and "TD301" not in codes:
            yield f"output {output.name}: {output.declared} is returned as {output.bound}"
    for engine in report.engines:
        for binding in (*engine.inputs, *engine.outputs):
            bound_otherwise = binding.bound not in (None, binding.declared)
            if bound_otherwise and "TD202" not in codes:
                yield f"{engine.name}: {binding.name} is bound as {binding.bound}"
        if engine.build.status is BuildStatus.FAILED and not codes & {"TD102", "TD503"}:
            yield f"{engine.name}: {engine.build.error}"
    for node in report.nodes:
        stays = node.op == "call_function" and node.engine is None
        if stays and node.target in report.torch_ops and not _reason(node):
            yield f"{node.name} stays in PyTorch"


def _reason(node: NodeRecord) -> str:
    return "; ".join(verdict.reason for verdict in node.verdicts if verdict.reason)


@pytest.mark.parametrize("timing", list(Timing))
@pytest.mark.parametrize("case", MODELS)
def test_every_list_of_dtypes_gives_a_result_that_is_explained(
    case: str, timing: Timing, corpus_model: Callable[[str], Path], bench: Bench
) -> None:
    model = corpus_model(case)
    for policy in policies(timing):
        report = bench.analyse(model, policy)
        assert list(unexplained(report)) == [], policy.flags()
