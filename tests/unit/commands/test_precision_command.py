"""`trtdbg precision` from a shell that answers as a worker does."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from fake_shell import FakeShell

from trtdbg.commands.options import read_policy
from trtdbg.commands.precision import command
from trtdbg.errors import ExitCode, UsageError
from trtdbg.policy import KeepRule, Precision
from trtdbg.records.precision import (
    LowCandidate,
    LowRanking,
    LowTrial,
    PrecisionSearch,
    UpstreamSettings,
)
from trtdbg.worker.messages import ExpressLow, RankLow, TryLow


class Worker(FakeShell):
    """Says that some operators are needed, or that nothing helps."""

    def __init__(self, needed: set[str] | None, settings: UpstreamSettings) -> None:
        super().__init__()
        self.needed, self.settings = needed, settings

    def submit(self, request: Any) -> Future[Any]:
        self.requests.append(request)
        future: Future[Any] = Future()
        future.set_result(self._answer(request))
        return future

    def _answer(self, request: Any) -> Any:
        match request:
            case RankLow():
                names = ("linear", "exp", "mul", "add")
                return LowRanking(
                    candidates=tuple(
                        LowCandidate(name=n, target=f"aten.{n}.default", local_error=0.1)
                        for n in names
                    ),
                    outputs=("y",),
                    inputs=("example inputs",),
                    atol=(0.1,),
                )
            case TryLow(keep=keep):
                good = self.needed is not None and self.needed <= set(keep)
                return LowTrial(error=0.5 if good else None)
            case ExpressLow():
                return self.settings
        raise AssertionError(request)


EXACT = UpstreamSettings(exact=True, autocast_excluded_nodes=("head$",))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = tmp_path / "net.pt2"
    path.write_bytes(b"PK\x03\x04")
    monkeypatch.setattr("trtdbg.foreign.check", lambda path: None)
    return str(path)


def run(worker: Worker, *arguments: str) -> int:
    result = CliRunner().invoke(command, arguments, obj=worker, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    assert isinstance(result.return_value, int)
    return result.return_value


def test_the_set_is_told_with_its_price_and_how_to_use_it(model: str) -> None:
    worker = Worker({"exp", "mul"}, EXACT)
    assert run(worker, model, "--low", "float16") == ExitCode.CLEAN
    text = worker.stdout
    assert "2 operators of 4 stay in float32, the rest is float16" in text
    assert "No smaller set does, if keeping more never hurts." in text
    assert "without it the outputs are nan or infinite" in text
    assert "--low float16 --keep-nodes exp,mul --keep-rules none" in text
    assert 'autocast_excluded_nodes=["head$"]' in text


def test_json_holds_the_contract(model: str, tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    run(Worker({"exp"}, EXACT), model, "--low", "bfloat16", "--json", str(out))
    found = msgspec.json.decode(out.read_bytes(), type=PrecisionSearch)
    assert [each.name for each in found.keep] == ["exp"]
    assert (found.minimal, found.smallest, found.found) == (True, True, True)
    assert found.evaluations == len(found.curve)
    assert found.settings == EXACT
    assert found.policy.precision is Precision.BFLOAT16


def test_the_policy_file_is_read_again(model: str, tmp_path: Path) -> None:
    out = tmp_path / "keep.toml"
    run(Worker({"exp"}, EXACT), model, "--low", "float16", "--write-policy", str(out))
    policy = read_policy(str(out))
    assert policy.keep_measured == ("exp",)
    assert policy.keep_rules == ()
    assert KeepRule.RANGE not in policy.keep_rules


def test_no_set_is_said_so_with_exit_code_1(model: str) -> None:
    worker = Worker(None, EXACT)
    assert run(worker, model, "--low", "float16") == ExitCode.FINDINGS
    assert "no set keeps the outputs within rtol 0.01" in worker.stdout


def test_settings_that_raise_or_keep_more_are_said_to(model: str) -> None:
    wider = UpstreamSettings(exact=False, also_kept=("relu",))
    worker = Worker({"exp"}, wider)
    run(worker, model, "--low", "float16")
    assert "cannot say exactly this set; these also keep relu" in worker.stdout
    worker = Worker({"exp"}, UpstreamSettings(exact=True, error="AttributeError: no to"))
    run(worker, model, "--low", "float16")
    assert "its lowering raises\n  AttributeError: no to" in worker.stdout
    assert "enable_autocast" not in worker.stdout


def test_a_search_that_was_ended_goes_on(model: str, tmp_path: Path) -> None:
    journal = str(tmp_path / "journal")
    first = Worker({"exp"}, EXACT)
    run(first, model, "--low", "float16", "--resume", journal)
    second = Worker({"exp"}, EXACT)
    run(second, model, "--low", "float16", "--resume", journal)
    assert not [each for each in second.requests if isinstance(each, TryLow)]
    assert second.stdout == first.stdout
    assert any("are known from" in note for note in second.notes)


def test_without_a_low_type_it_is_wrong_usage(model: str) -> None:
    with pytest.raises(UsageError, match="searches for a low type"):
        run(Worker(set(), EXACT), model)


def test_a_report_holds_no_program(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no program"):
        run(Worker(set(), EXACT), str(tmp_path / "report.json"), "--low", "float16")
