"""Sessions that differ in the partition alone, and engines told of one by one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from trtdbg.policy import Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import BuildStatus  # noqa: E402
from trtdbg.worker.messages import (  # noqa: E402
    Analyze,
    Build,
    EngineBuilt,
    Job,
    News,
    Progress,
)

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch_tensorrt") is None, reason="needs torch_tensorrt"
)

UPSTREAM = TruncationPolicy(timing=Timing.UPSTREAM)


class Islands(torch.nn.Module):
    """Three blocks of three operators or more around two casts to float64."""

    def forward(self, x: Any) -> Any:
        y = (x.relu() + 1).sigmoid().double()
        z = (y * 2).float().tanh().double()
        return (z + 1).float().relu()


@pytest.fixture(scope="module")
def islands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("siblings") / "islands.pt2"
    torch.export.save(torch.export.export(Islands().eval(), (torch.ones(2, 4),)), str(path))
    return path


def job(path: Path, **settings: Any) -> Job:
    return Job(model=str(path), settings=Settings(**settings), probe_seconds=0.0)


def test_a_sibling_lowers_nothing_again_and_answers_like_a_session_of_its_own(
    islands: Path,
) -> None:
    from trtdbg.session.server import Handler
    from trtdbg.session.session import Session

    heard: list[News] = []
    handler = Handler(heard.append)
    handler.prepare()
    whole = handler.handle(Analyze(job=job(islands), policy=UPSTREAM))
    heard.clear()
    large = handler.handle(Analyze(job=job(islands, min_block_size=4), policy=UPSTREAM))
    stages = {event.stage for event in heard if isinstance(event, Progress)}
    assert "partition" in stages
    assert not stages & {"load", "capture"}
    alone = Session(job(islands, min_block_size=4), lambda event: None).analyze(UPSTREAM)
    assert len(large.engines) == len(alone.engines) < len(whole.engines)
    assert [e.nodes for e in large.engines] == [e.nodes for e in alone.engines]
    assert [n.verdict for n in large.nodes] == [n.verdict for n in alone.nodes]
    assert large.settings.min_block_size == 4
    again = handler.handle(Analyze(job=job(islands), policy=UPSTREAM))
    assert again == whole


def test_each_engine_is_told_of_as_soon_as_it_is_done(islands: Path) -> None:
    from trtdbg.session.server import Handler

    heard: list[News] = []
    handler = Handler(heard.append)
    handler.prepare()
    report = handler.handle(Build(job=job(islands), policy=UPSTREAM, engines=(2, 0)))
    told = [event for event in heard if isinstance(event, EngineBuilt)]
    assert [event.index for event in told] == [2, 0]
    for event in told:
        assert event.build == report.engines[event.index].build
        assert event.build.status is BuildStatus.BUILT
    assert report.engines[1].build.status is BuildStatus.NOT_BUILT
    between = heard[heard.index(told[0]) + 1 :]
    assert any(isinstance(event, Progress) and event.stage == "build" for event in between)
