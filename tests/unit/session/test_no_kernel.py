"""Operators that only a GPU can run: what could not be run is said, and the rest stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trtdbg.policy import Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import Agreement, NodeError, Report  # noqa: E402
from trtdbg.worker.messages import Access, Job, Weigh  # noqa: E402


class TwoWays(torch.nn.Module):
    """One output depends on what only a GPU runs, the other does not."""

    def forward(self, x: Any) -> Any:
        other = torch.relu((torch.relu(x).double() * 0.5).float())
        return other, torch.ops.only_on_gpu.twice(torch.sigmoid(x))


@pytest.fixture(scope="module")
def operator() -> Iterator[None]:
    library = torch.library.Library("only_on_gpu", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    torch.library.register_fake("only_on_gpu::twice", torch.empty_like, lib=library)
    torch.library.impl(library, "twice", "CUDA")(lambda x: x * 2)
    yield
    library._destroy()


@pytest.mark.usefixtures("operator", "torch_tensorrt_ready")
def test_an_output_that_could_not_be_run_is_never_said_to_be_the_same(tmp_path: Path) -> None:
    from trtdbg.session.server import Handler

    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(TwoWays(), (torch.randn(4, 4),)), path)
    request = Weigh(
        job=Job(
            model=str(path),
            settings=Settings(),
            probe_seconds=0,
            access=Access(trust=True),
        ),
        policy=TruncationPolicy(timing=Timing.UPSTREAM),
        consequences=False,
        suggestion=False,
        cures=True,
    )
    report = Handler(lambda _: None).handle(request)
    assert isinstance(report, Report)
    (cast,) = (cause for cause in report.causes if "_to_copy" in (cause.target or ""))
    cure = cast.cures[0]
    assert cure.policy is not None
    assert cure.numbers is None
    assert cure.numbers_reason == (
        "1 of 2 outputs not compared (twice (only_on_gpu.twice.default): "
        "only_on_gpu::twice has no kernel for the CPU), the others the same"
    )
    # What needs no number stands.
    assert (cure.engines_before, cure.engines_after) == (2, 1)


@pytest.mark.usefixtures("torch_tensorrt_ready")
def test_where_no_output_was_compared_the_reason_is_the_whole_answer() -> None:
    from trtdbg.session.cures import _uncompared

    row = NodeError(name="y", agreement=Agreement.NOT_COMPARED, note="f: no kernel")
    other = NodeError(name="z", agreement=Agreement.WITHIN, max_abs_error=0.25)
    assert _uncompared((row,), (row,)) == "numbers not compared: f: no kernel"
    assert _uncompared((row, other), (row,)) == (
        "1 of 2 outputs not compared (f: no kernel), the others differ by 0.25 at most"
    )
