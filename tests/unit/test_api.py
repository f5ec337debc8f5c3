"""`trtdbg.open` over canned reports and a worker that only remembers what it was asked."""

from __future__ import annotations

import gc
import shutil
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import graphviz
import pytest

import trtdbg
from tests import canned
from trtdbg import api
from trtdbg.errors import ModelError, OutputError, UsageError
from trtdbg.outputs.report import encode
from trtdbg.policy import Timing
from trtdbg.records import Report


class FakeClient:
    asked: list[Any] = []  # noqa: RUF012
    closed = 0

    def __init__(self, *, read: bool) -> None:
        self.read = read

    def submit(self, request: Any) -> Future[Report]:
        self.asked.append(request)
        future: Future[Report] = Future()
        late = request.policy.timing is Timing.LATE
        future.set_result(canned.LATE if late else canned.UPSTREAM)
        return future

    def close(self) -> None:
        type(self).closed += 1


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(api, "CachingClient", FakeClient)
    monkeypatch.setattr(FakeClient, "asked", [])
    monkeypatch.setattr(FakeClient, "closed", 0)
    path = tmp_path / "island.pt2"
    path.write_bytes(b"PK")
    return trtdbg.open(path, trtdbg.TruncationPolicy())


def test_the_default_is_what_torch_tensorrt_does_by_itself(model: Any) -> None:
    today = trtdbg.open(model.path)
    assert today.policy.timing is Timing.UPSTREAM
    assert today.with_policy(constants=()).policy.timing is Timing.LATE
    assert today.with_policy(verdicts="tensorrt").policy.timing is Timing.LATE
    assert today.with_policy(verdicts="validators").policy.timing is Timing.UPSTREAM
    named = today.with_policy(timing="upstream", constants=())
    assert named.policy.timing is Timing.UPSTREAM


def test_nothing_is_asked_before_it_is_needed_and_then_once(model: Any) -> None:
    assert "not analysed yet" in repr(model)
    assert FakeClient.asked == []
    assert len(model.engines) == 1
    assert len(model.nodes) == 5
    assert len(FakeClient.asked) == 1
    assert "1 engine holds every operator" in repr(model)


def test_a_file_is_trusted_only_if_told_so_under_every_policy(model: Any) -> None:
    assert model.report
    trusted = trtdbg.open(model.path, trust=True, imports=["mylib"])
    assert trusted.with_policy(timing="off").report
    access = [request.job.access for request in FakeClient.asked]
    assert [(a.trust, a.imports) for a in access] == [(False, ()), (True, ("mylib",))]


def test_another_policy_is_another_model(model: Any) -> None:
    other = model.with_policy(timing="upstream", constants=["int64", "float64"])
    assert other.policy.timing is Timing.UPSTREAM
    assert other.policy.constants == ("float64", "int64")
    assert model.policy.timing is Timing.LATE
    assert len(other.engines) == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"timing": "never"}, "Invalid enum value 'never'"),
        ({"timings": "late"}, "a policy has no 'timings'; it has timing, inputs"),
        ({"inputs": 3}, "Expected `array`"),
        ({"inputs": ["float32"]}, "'float32' is not a wide dtype"),
        ({"inputs": "float64"}, "Expected `array`"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(
    model: Any, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        model.with_policy(**changes)


def test_the_worker_ends_with_the_last_model_that_uses_it(tmp_path: Path, model: Any) -> None:
    path = model.path
    first = trtdbg.open(path)
    second = first.with_policy(timing="off")
    gc.collect()
    before = FakeClient.closed
    del first
    gc.collect()
    assert FakeClient.closed == before
    del second
    gc.collect()
    assert FakeClient.closed == before + 1


def test_diff_tells_changes_and_writes_pictures(model: Any, tmp_path: Path) -> None:
    diff = model.with_policy(timing="upstream").diff(model)
    assert [(p.name, p.change.value) for p in diff.changes] == [("_to_copy", "narrowed")]
    assert "upstream → late" in diff.dot()
    assert "1 narrowed" in repr(diff)
    out = tmp_path / "d.dot"
    diff.save(out)
    assert out.read_text() == diff.dot()
    with pytest.raises(OutputError, match="exists and is kept"):
        diff.save(out)
    with pytest.raises(UsageError, match="end it with"):
        diff.save(tmp_path / "d.gif")


@pytest.mark.skipif(shutil.which(graphviz.DOT_BINARY) is None, reason="no Graphviz here")
def test_a_notebook_shows_the_picture(model: Any) -> None:
    shown = model.with_policy(timing="upstream").diff(model)._repr_html_()
    assert shown.lstrip().startswith(("<!DOCTYPE svg", "<svg"))


def test_records_show_as_tables_in_a_notebook(model: Any) -> None:
    today = model.with_policy(timing="upstream")
    assert "<td>float64</td>" in today.nodes._repr_html_()
    assert "TD301" in today.findings._repr_html_()
    assert "bound float32" in today.engines._repr_html_()
    assert "2 engines, 1 operator left to PyTorch" in today._repr_html_()


def test_reports_are_saved_by_their_ending_and_open_again(model: Any, tmp_path: Path) -> None:
    for ending, begins in ((".json", "{"), (".md", "## island"), (".html", "\n<!DOCTYPE")):
        path = tmp_path / f"report{ending}"
        model.save(path)
        assert path.read_text().lstrip().startswith(begins.lstrip())
    saved = trtdbg.open(tmp_path / "report.json")
    assert saved.report == canned.LATE
    for refused in (lambda: saved.with_policy(timing="off"), saved.build):
        with pytest.raises(UsageError, match="holds no program"):
            refused()
    with pytest.raises(UsageError, match=r"end it with \.json, \.md, \.html"):
        model.save(tmp_path / "report.txt")


def test_files_that_are_not_there_or_no_reports_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        trtdbg.open(tmp_path / "missing.pt2")
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    with pytest.raises(ModelError, match="is not a saved report"):
        trtdbg.open(broken)
    many = tmp_path / "many.json"
    many.write_bytes(encode([canned.LATE, canned.LATE]))
    with pytest.raises(ModelError, match="holds a list"):
        trtdbg.open(many)
