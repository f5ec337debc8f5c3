"""The page of advice offers nothing that changes nothing."""

from __future__ import annotations

import msgspec
from trtdbg_ui.render.advice import advice_lines

from tests import canned
from trtdbg.policy import TruncationPolicy
from trtdbg.records import Consequences, Report, Suggestion

NOTHING = Suggestion(
    policy=TruncationPolicy(inputs=(), constants=(), computed=()),
    accepted=6,
    operators=6,
    engines=1,
    torch_ops=0,
    tried=1,
)


def text(report: Report) -> str:
    return "\n".join(str(each) for each in advice_lines(report, 90))


def test_a_policy_that_narrows_nothing_is_not_offered() -> None:
    found = Consequences(engines=1, torch_ops=0, refused=0, tried=())
    shown = text(msgspec.structs.replace(canned.CLEAN, consequences=found, suggestion=NOTHING))
    assert "Apply" not in shown
    assert "no truncation that was compared puts more" in shown
    assert "no validator refuses an operator" in shown


def test_what_nobody_asked_for_is_said_to_be_open() -> None:
    shown = text(canned.CLEAN)
    assert "nothing was weighed" in shown
    assert "nothing was searched" in shown


def test_a_policy_that_narrows_something_is_offered() -> None:
    policy = TruncationPolicy(inputs=("float64",), constants=(), computed=())
    offered = msgspec.structs.replace(NOTHING, policy=policy)
    assert "Apply" in text(msgspec.structs.replace(canned.UPSTREAM, suggestion=offered))
