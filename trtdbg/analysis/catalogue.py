"""The catalogue of findings: what each code means, where it comes from, and what helps."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from trtdbg.analysis.codes import Explanation
from trtdbg.analysis.findings import (
    borders_3xx,
    dtypes_2xx,
    failures_5xx,
    numbers_4xx,
    outside_1xx,
    precision_6xx,
    shapes_7xx,
    verdicts_1xx,
)
from trtdbg.errors import UsageError

_ALL: Final = (
    *verdicts_1xx.ENTRIES,
    *outside_1xx.ENTRIES,
    *dtypes_2xx.ENTRIES,
    *borders_3xx.ENTRIES,
    *numbers_4xx.ENTRIES,
    *failures_5xx.ENTRIES,
    *precision_6xx.ENTRIES,
    *shapes_7xx.ENTRIES,
)

CATALOGUE: Final[dict[str, Explanation]] = {entry.code.value: entry for entry in _ALL}
"""Every code, in the order of the codes."""


def explain(name: str) -> Explanation:
    """Returns the entry for a code (TD101) or a name (needless-rejection), in any case.

    Raises:
        UsageError: there is no such finding.
    """
    wanted = name.strip().lower()
    for entry in _ALL:
        if wanted in (entry.code.lower(), entry.name):
            return entry
    near = get_close_matches(wanted, [entry.name for entry in _ALL], 1)
    raise UsageError(
        f"there is no finding {name!r}",
        remedy=f"did you mean {near[0]}?" if near else "`trtdbg explain` lists all of them",
    )
