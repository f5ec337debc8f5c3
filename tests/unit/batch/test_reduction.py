"""The smallest part that fails alike is found, whatever the worker does, and found again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.breaking import OPERATORS
from trtdbg.batch import reduction
from trtdbg.batch.reduction import AttemptOutcome, Search, Smallest, Tried
from trtdbg.errors import OutputError, StageError, WorkerError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.worker.deadline import Conversation, OutOfTimeError
from trtdbg.worker.messages import Attempt, Job

HANDLER = "tests.breaking:Breaking"


def attempt(model: str) -> Attempt:
    return Attempt(
        job=Job(model=model, settings=Settings()), policy=TruncationPolicy(), engine=0
    )


def quiet(fewest: int, whole: int, attempts: int) -> None:
    pass


def searched(
    model: str,
    *,
    tried: Tried | None = None,
    limit: float | None = None,
    told: Callable[[int, int, int], None] = quiet,
) -> Smallest:
    with Conversation(limit, handler=HANDLER) as worker:
        search = Search(worker, Tried() if tried is None else tried, told)
        return search.smallest(attempt(model), search.whole(attempt(model)))


@pytest.fixture
def attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Returns what the worker was asked for so far."""
    log = tmp_path / "attempts"
    log.touch()
    monkeypatch.setenv("TRTDBG_TEST_ATTEMPTS", str(log))
    return lambda: log.read_text().splitlines()


def test_the_operators_to_blame_are_left_and_each_gain_is_told() -> None:
    told: list[tuple[int, int, int]] = []
    found = searched("refuse:3,17,18", told=lambda *each: told.append(each))
    assert found.part.kept == (3, 17, 18)
    assert found.complete
    assert found.whole == OPERATORS
    assert found.outcome.operators == ("aten.op3", "aten.op17", "aten.op18")
    assert [number for *_, number in told] == list(range(1, found.attempts + 1))
    fewest = [each for each, *_ in told]
    assert fewest == sorted(fewest, reverse=True)
    assert fewest[-1] == 3


def test_a_crash_is_an_answer_like_any_other() -> None:
    found = searched("crash:39")
    assert found.part.kept == (39,)
    assert found.outcome.crashed
    assert found.outcome.error is not None
    assert "SIGSEGV" in found.outcome.error
    assert found.outcome.operators == ("aten.op39",)
    assert found.whole == OPERATORS


def test_a_part_that_hangs_is_not_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduction, "_LEAST_SECONDS", 1.0)
    monkeypatch.setattr(reduction, "_SLOWER", 0)
    tried = Tried()
    with Conversation(6, handler=HANDLER) as worker:
        search = Search(worker, tried, quiet)
        whole = search.whole(attempt("hang:0"))
        found = search.smallest(attempt("hang:0"), whole)
    assert len(found.part.kept or ()) >= OPERATORS // 2
    assert any("longer than 1 seconds" in (o.error or "") for o in tried._outcomes.values())


def test_what_the_engine_returned_is_kept_where_that_is_to_blame() -> None:
    found = searched("outputs:7")
    assert found.part.kept == (7,)
    assert found.part.outputs


def test_what_only_the_whole_engine_shows_cannot_be_cut() -> None:
    with pytest.raises(StageError, match="only as the whole engine"):
        searched("whole:7")


def test_a_search_that_was_ended_goes_on_and_asks_nothing_twice(
    tmp_path: Path, attempts: Callable[[], list[str]]
) -> None:
    kept = str(tmp_path / "tried")

    class EndedError(Exception):
        pass

    def end(fewest: int, whole: int, number: int) -> None:
        if number == 6:
            raise EndedError

    with Tried(kept) as tried, pytest.raises(EndedError):
        searched("refuse:3,17,18", tried=tried, told=end)
    before = len(attempts())
    assert before == 7, "the whole engine and six parts"
    with Tried(kept) as tried:
        assert len(tried) == before
        found = searched("refuse:3,17,18", tried=tried)
    assert found.part.kept == (3, 17, 18)
    made = attempts()
    with Tried(kept) as tried:
        assert searched("refuse:3,17,18", tried=tried) == found
    assert len(made) == len(set(made)), "each attempt is made once"
    assert attempts() == made


def test_what_was_tried_of_another_model_or_policy_counts_not(tmp_path: Path) -> None:
    kept = str(tmp_path / "tried")
    one = attempt("refuse:3")
    with Tried(kept) as tried:
        tried.keep(one, AttemptOutcome(error="no"))
    with Tried(kept) as tried:
        assert tried.find(one) == AttemptOutcome(error="no")
        assert tried.find(Attempt(job=one.job, policy=one.policy, engine=1)) is None
        other = Job(model="refuse:3", settings=Settings(min_block_size=5))
        assert tried.find(Attempt(job=other, policy=one.policy, engine=0)) is None


def test_a_file_of_something_else_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine\n")
    with pytest.raises(OutputError, match="no file of `repro --resume`"):
        Tried(str(path))
    assert path.read_text() == "mine\n"


def test_the_time_limit_leaves_the_smallest_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Conversation.ask

    def ask(self, request, seconds=None, *, unlimited=False):
        if request.kept is not None and len(request.kept) < 10:
            raise OutOfTimeError("over")
        return asked(self, request, seconds, unlimited=unlimited)

    monkeypatch.setattr(Conversation, "ask", ask)
    found = searched("refuse:0")
    assert not found.complete
    assert found.part.kept == tuple(range(10))


def test_a_limit_that_is_over_before_any_part_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ask(self, request, seconds=None, *, unlimited=False):
        raise OutOfTimeError("over")

    with Conversation(None, handler=HANDLER) as worker:
        search = Search(worker, Tried(), quiet)
        whole = search.whole(attempt("refuse:0"))
        monkeypatch.setattr(Conversation, "ask", ask)
        with pytest.raises(StageError, match="before any part"):
            search.smallest(attempt("refuse:0"), whole)


def test_a_conversation_ends_a_worker_that_takes_too_long() -> None:
    with Conversation(30, handler="tests.worker_handlers:Scripted") as worker:
        with pytest.raises(TimeoutError):
            worker.ask(attempt("sleep:60"), seconds=0.5)
        with pytest.raises(WorkerError, match="SIGSEGV"):
            worker.ask(attempt("segfault:"))
    with Conversation(0.0, handler=HANDLER) as worker:
        for _ in range(2):
            worker.ask(attempt("refuse:1"), unlimited=True)
            with pytest.raises(OutOfTimeError):
                worker.ask(attempt("refuse:1"))
    with (
        Conversation(0.5, handler="tests.worker_handlers:Scripted") as worker,
        pytest.raises(OutOfTimeError, match=r"--time-limit 0\.5 seconds"),
    ):
        worker.ask(attempt("sleep:60"))
