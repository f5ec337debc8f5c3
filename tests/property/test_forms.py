"""Programs of every form: their analyses end, and every row says what its dtypes are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis")
torch = pytest.importorskip("torch")

from forms import BUFFERS, ENDS, FLOWS, NESTED, SHAPES, Form, forms  # noqa: E402
from hypothesis import assume, given, note  # noqa: E402
from told import check_rows  # noqa: E402

from tests.examples import unshrunk  # noqa: E402
from trtdbg.policy import Settings, Timing, TruncationPolicy, VerdictSource  # noqa: E402
from trtdbg.session.steps import Steps  # noqa: E402
from trtdbg.worker.messages import Job  # noqa: E402

LATE = TruncationPolicy(timing=Timing.LATE)
ASKED = TruncationPolicy(timing=Timing.LATE, verdicts=VerdictSource.TENSORRT)
UPSTREAM = TruncationPolicy(timing=Timing.UPSTREAM)


def exported(form: Form) -> Any:
    """Returns the program of a form; one that torch itself cannot export is not drawn."""
    try:
        return form.export()
    except Exception as error:
        note(str(error))
        assume(False)


def check(form: Form, policies: tuple[TruncationPolicy, ...]) -> None:
    """Analyses a program of a form; asking TensorRT takes a round for each refusal at most.

    The last policy asks TensorRT.
    """
    from trtdbg.session.session import Session

    program = exported(form)
    rounds: list[int] = []
    asked = Steps._partition

    def partition(self: Any, *args: Any) -> Any:
        rounds.append(1)
        return asked(self, *args)

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "model.pt2"
        torch.export.save(program, path)
        patch.setattr(Steps, "_partition", partition)
        job = Job(model=str(path), settings=Settings(), probe_seconds=60)
        session = Session(job, lambda event: None)
        for policy in policies:
            rounds.clear()
            report = session.analyze(policy)
            assert {f.code for f in report.findings} & {"TD501", "TD502"} <= {"TD502"}
            check_rows(report)
            assert len(rounds) <= 1 + len(report.nodes), "each round refuses one node more"
        assert [e.build.error for e in report.engines if e.build.error is not None] == []


@unshrunk(20)
@given(form=forms())
def test_programs_of_every_form_are_told_truly(form: Form) -> None:
    check(form, (ASKED,))


@pytest.mark.deep
@unshrunk(300)
@given(form=forms())
def test_300_programs_of_every_form_are_told_truly(form: Form) -> None:
    check(form, (UPSTREAM, LATE, ASKED))


def test_every_form_is_drawn_by_the_deep_run() -> None:
    seen: set[tuple[str, str | None]] = set()

    @unshrunk(300)
    @given(form=forms())
    def draw(form: Form) -> None:
        seen.update(
            {
                ("nested", form.nested),
                ("size", form.size),
                ("buffer", form.buffer),
                ("flow", form.flow),
                ("end", form.end),
            }
        )

    draw()
    wanted = {"nested": NESTED, "size": SHAPES, "buffer": BUFFERS, "flow": FLOWS, "end": ENDS}
    assert {(kind, name) for kind, names in wanted.items() for name in names} <= seen
