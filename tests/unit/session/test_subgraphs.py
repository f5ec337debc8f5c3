"""What stands inside of control flow is shown, and what upstream does to it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trtdbg.analysis.summary import subgraph_operators
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import BuildStatus, Report
from trtdbg.worker.messages import Job

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")

LATE = TruncationPolicy(timing=Timing.LATE)
UPSTREAM = TruncationPolicy(timing=Timing.UPSTREAM)


def cond(self: Any, x: Any) -> Any:
    h = torch.relu(x)
    wide = lambda h: h.double().sin().float()  # noqa: E731
    return torch.cond(h.sum() > 0, wide, lambda h: h.cos(), (h,)) * 3


def nested(self: Any, x: Any) -> Any:
    def outer(h: Any) -> Any:
        return torch.cond(h.mean() > 1, lambda h: h + 1, lambda h: h.exp(), (h,))

    return torch.cond(x.sum() > 0, outer, lambda h: h.cos(), (x,)) * 3


def loop(self: Any, x: Any) -> Any:
    from torch._higher_order_ops import while_loop

    start = torch.zeros((), dtype=torch.int64), torch.relu(x)
    i, h = while_loop(lambda i, h: i < 3, lambda i, h: (i + 1, h.sin()), start)
    return h * 2 + i


def mapped(self: Any, x: Any) -> Any:
    from torch._higher_order_ops.map import map as each

    return each(lambda row: row.double().tanh(), torch.relu(x)) + 1


def scanned(self: Any, x: Any) -> Any:
    from torch._higher_order_ops.scan import scan

    def step(carry: Any, row: Any) -> Any:
        return carry + row, torch.exp(row)

    carry, rows = scan(step, torch.zeros(4), torch.relu(x))
    return rows + carry


def opened(folder: Path, forward: Callable[..., Any], **buffers: Any) -> Any:
    from trtdbg.session.session import Session

    made = type("Model", (torch.nn.Module,), {"forward": forward})()
    for name, value in buffers.items():
        made.register_buffer(name, value)
    program = torch.export.export(made, (torch.randn(3, 4),))
    torch.export.save(program, folder / "model.pt2")
    job = Job(model=str(folder / "model.pt2"), settings=Settings(), probe_seconds=0)
    return Session(job, lambda event: None)


def inside(report: Report) -> dict[str, tuple[str, Any]]:
    """Returns operator and dtype of what stands in control flow, by path."""
    return {
        path: (node.target.split(".")[1] if "." in node.target else node.target, node.dtype)
        for path, node in subgraph_operators(report)
    }


CASES = {
    cond: {
        "true_graph_0.sin": ("sin", "float64"),
        "false_graph_0.cos": ("cos", "float32"),
    },
    nested: {
        "true_graph_0.true_graph_0.add": ("add", "float32"),
        "true_graph_0.false_graph_0.exp": ("exp", "float32"),
        "false_graph_0.cos": ("cos", "float32"),
    },
    loop: {
        "while_loop_cond_graph_0.lt": ("lt", "bool"),
        "while_loop_body_graph_0.sin": ("sin", "float32"),
        "while_loop_body_graph_0.add": ("add", "int64"),
    },
    mapped: {"body_graph_0.tanh": ("tanh", "float64")},
    scanned: {"scan_combine_graph_0.exp": ("exp", "float32")},
}


@pytest.mark.parametrize("timing", list(Timing))
@pytest.mark.parametrize("forward", CASES)
def test_operators_of_control_flow_are_shown_by_path(
    forward: Any, timing: Timing, tmp_path: Path
) -> None:
    session = opened(tmp_path, forward)
    report = session.analyze(TruncationPolicy(timing=timing))
    shown = inside(report)
    assert {path: shown.get(path) for path in CASES[forward]} == CASES[forward]
    assert (
        not {graph.name for graph in report.subgraphs}
        & {name for engine in report.engines for name in engine.nodes}
        or timing is Timing.UPSTREAM
    )
    (cause,) = (c for c in report.causes if c.nodes)
    assert cause.reason.endswith("and the operators of its subgraphs run in PyTorch with it")


def test_the_graph_of_a_graph_is_owned_by_the_operator_inside(tmp_path: Path) -> None:
    report = opened(tmp_path, nested).analyze(LATE)
    owners = {graph.name: graph.owner for graph in report.subgraphs}
    assert owners["true_graph_0"] == "cond"
    assert owners["true_graph_0.true_graph_0"] == "true_graph_0.cond"


def test_no_line_of_torchs_generated_code_is_named(tmp_path: Path) -> None:
    report = opened(tmp_path, cond).analyze(LATE)
    places = [n.source for n in report.nodes] + [
        n.source for _, n in subgraph_operators(report)
    ]
    assert not [p for p in places if p is not None and "<eval_with_key>" in str(p.file)]


@pytest.mark.parametrize("forward", [cond, loop, scanned])
def test_upstream_names_the_subgraph_that_the_partitioner_took(
    forward: Any, tmp_path: Path
) -> None:
    session = opened(tmp_path, forward)
    report = session.analyze(UPSTREAM)
    failed = [e for e in report.engines if e.build.status is BuildStatus.FAILED]
    assert failed
    (cause,) = (c for c in report.causes if c.engines)
    assert "took a subgraph" in cause.reason
    assert "which no operator of it reads" in cause.reason
    (finding,) = (f for f in report.findings if f.code == "TD503")
    assert "torch_tensorrt took the subgraph" in finding.message
    assert report.subgraphs[0].name in finding.message
    later = session.analyze(LATE)
    assert not [e for e in later.engines if e.build.status is BuildStatus.FAILED]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16], ids=str)
def test_upstream_names_the_constant_that_the_partitioner_took(
    dtype: Any, tmp_path: Path
) -> None:
    def forward(self: Any, x: Any) -> Any:
        return torch.relu(x), self.table

    session = opened(tmp_path, forward, table=torch.ones(3).to(dtype))
    report = session.analyze(UPSTREAM)
    failed = [e for e in report.engines if e.build.status is BuildStatus.FAILED]
    assert failed
    (cause,) = (c for c in report.causes if c.engines)
    assert "took a constant into it, which no operator of it reads" in cause.reason
