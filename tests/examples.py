"""How programs are drawn by the property tests."""

from __future__ import annotations

import pytest

pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, Phase, settings


def unshrunk(most: int) -> settings:
    """Returns settings that draw the same `most` examples every time, for as long as it takes.

    Programs are a few lines: a failing one is read as it is. Shrinking takes minutes.
    """
    return settings(
        max_examples=most,
        derandomize=True,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )
