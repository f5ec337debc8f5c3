"""The desk: which report is known, what is asked, what waits."""

from __future__ import annotations

from concurrent.futures import Future

from msgspec.structs import replace
from trtdbg_ui.model.questions import Ask
from trtdbg_ui.requests.desk import Desk
from trtdbg_ui.requests.inbox import Inbox

from tests.ui.canned import MODEL, built, report
from tests.ui.fakes import FakeWorker
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import BuildStatus, Environment, Finding, Level, Numerics, Report
from trtdbg.worker.messages import Analyze, Build, Job

LATE = TruncationPolicy()
UPSTREAM = TruncationPolicy(timing=Timing.UPSTREAM)
OFF = TruncationPolicy(timing=Timing.OFF)


def desk() -> tuple[Desk, FakeWorker, list[Ask]]:
    worker = FakeWorker(lambda event: None)
    ended: list[Ask] = []

    def settled(request: Ask, future: Future[Environment | Report]) -> None:
        ended.append(request)

    return Desk(Job(model=MODEL, settings=Settings()), worker, settled), worker, ended


def finish(desk: Desk, worker: FakeWorker, answer: Report) -> None:
    request = desk.running
    assert request is not None
    worker.answer(answer)
    desk.take(request, answer)
    desk.free()


def test_a_known_policy_is_not_asked_again() -> None:
    made, worker, ended = desk()
    made.ask(LATE)
    finish(made, worker, report(Timing.LATE))
    made.ask(LATE)
    assert len(worker.requests) == len(ended) == 1
    assert made.report(LATE) is not None
    assert made.report(UPSTREAM) is None


def test_the_policy_that_is_computed_is_not_asked_twice() -> None:
    made, worker, _ = desk()
    made.ask(LATE)
    made.ask(UPSTREAM)
    made.ask(LATE)
    finish(made, worker, report(Timing.LATE))
    assert len(worker.requests) == 1
    assert made.running is None


def test_only_the_last_policy_waits() -> None:
    made, worker, _ = desk()
    made.ask(LATE)
    made.ask(OFF)
    made.ask(UPSTREAM)
    finish(made, worker, report(Timing.LATE))
    assert [request.policy for request in worker.requests] == [LATE, UPSTREAM]


def test_cancelling_forgets_what_waits() -> None:
    made, worker, ended = desk()
    made.ask(LATE)
    made.ask(UPSTREAM)
    made.cancel()
    made.free()
    assert len(ended) == 1
    assert made.running is None
    assert len(worker.requests) == 1


def test_a_build_is_no_answer_to_an_analysis() -> None:
    made, worker, _ = desk()
    made.submit(Build(job=made.job, policy=LATE))
    made.ask(LATE)
    assert isinstance(worker.requests[0], Build)
    made.forget()
    worker.fail(RuntimeError("no"))
    made.free()
    assert isinstance(worker.requests[1], Analyze)


def test_without_a_worker_nothing_is_asked() -> None:
    reports = [report(Timing.LATE)]
    made = Desk(Job(model="r.json", settings=Settings()), None, lambda *a: None, reports)
    made.ask(UPSTREAM)
    made.submit(Build(job=made.job, policy=LATE))
    made.cancel()
    assert made.read_only
    assert made.running is None


def test_the_app_is_woken_once_for_many_events() -> None:
    woken: list[bool] = []
    inbox = Inbox(lambda: woken.append(True))
    worker = FakeWorker(inbox.put)
    for number in range(1000):
        worker.log(f"line {number}")
    assert len(woken) == 1
    assert len(inbox.take()) == 1000
    worker.log("another")
    assert len(woken) == 2


def test_reports_are_kept_apart_by_their_settings() -> None:
    made, worker, _ = desk()
    made.ask(LATE)
    finish(made, worker, report(Timing.LATE))
    made.use(Settings(min_block_size=5))
    assert made.report(LATE) is None
    assert made.known() == ()
    made.ask(LATE)
    assert worker.requests[-1].job.settings.min_block_size == 5
    made.use(Settings())
    assert made.report(LATE) is not None


def test_what_is_lined_up_gives_way_to_what_somebody_waits_for() -> None:
    made, worker, _ = desk()
    made.line_up(Analyze(job=made.job, policy=policy) for policy in (LATE, UPSTREAM))
    made.ask(OFF)
    finish(made, worker, report(Timing.LATE))
    assert [request.policy for request in worker.requests] == [LATE, OFF]
    finish(made, worker, report(Timing.OFF))
    assert [request.policy for request in worker.requests] == [LATE, OFF, UPSTREAM]


def test_what_is_lined_up_and_known_by_then_is_not_asked() -> None:
    made, worker, _ = desk()
    made.line_up(Analyze(job=made.job, policy=policy) for policy in (UPSTREAM, LATE, UPSTREAM))
    finish(made, worker, report(Timing.UPSTREAM))
    finish(made, worker, report(Timing.LATE))
    assert len(worker.requests) == 2
    assert made.running is None


def test_cancelling_forgets_what_is_lined_up() -> None:
    made, worker, _ = desk()
    made.line_up(Analyze(job=made.job, policy=policy) for policy in (UPSTREAM, LATE))
    made.cancel()
    made.free()
    assert len(worker.requests) == 1


def test_a_fresh_worker_does_not_make_builds_and_numbers_forgotten() -> None:
    made, worker, _ = desk()
    old = built(report(Timing.UPSTREAM), failing=1)
    seen = Finding(code="TD402", level=Level.WARNING, node="div", message="div is inf")
    numerics = Numerics(inputs="example inputs", seed=0, atol=1e-5, rtol=1e-4)
    old = replace(old, numerics=numerics, findings=(*old.findings, seen))
    made.submit(Build(job=made.job, policy=UPSTREAM, engines=(1,)))
    finish(made, worker, old)
    made.submit(Build(job=made.job, policy=UPSTREAM, engines=(1,)))
    finish(made, worker, report(Timing.UPSTREAM))
    loaded = made.report(UPSTREAM)
    assert loaded is not None
    statuses = [engine.build.status for engine in loaded.report.engines]
    assert statuses[0] is BuildStatus.BUILT
    assert statuses[1] is BuildStatus.NOT_BUILT
    assert loaded.report.numerics == numerics
    assert seen in loaded.report.findings


def test_another_program_keeps_nothing_of_the_one_before() -> None:
    made, worker, _ = desk()
    made.submit(Analyze(job=made.job, policy=UPSTREAM))
    finish(made, worker, built(report(Timing.UPSTREAM)))
    other = report(Timing.UPSTREAM)
    other = replace(other, model=replace(other.model, sha256="00"))
    made.submit(Analyze(job=made.job, policy=UPSTREAM))
    finish(made, worker, other)
    loaded = made.report(UPSTREAM)
    assert loaded is not None
    assert loaded.report == other
