"""A cure of a finding is told once, in its message or under it."""

from __future__ import annotations

from trtdbg.analysis.cause_lines import cure_text, untold_cures
from trtdbg.records import Cure, CureKind, Finding, Level

CURE = Cure(kind=CureKind.EDIT, say="convert gain to float16", type="gain.half()", numbers=0.0)


def finding(message: str) -> Finding:
    return Finding(
        code="TD601", level=Level.WARNING, node=None, message=message, cures=(CURE,)
    )


def test_a_cure_that_the_message_holds_is_not_told_again() -> None:
    assert untold_cures(finding(f"gain is float32; {cure_text(CURE)}")) == ()


def test_a_cure_that_the_message_lacks_is_told() -> None:
    assert untold_cures(finding("gain is float32")) == (cure_text(CURE),)
