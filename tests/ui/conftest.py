"""The terminal that UI tests see, whatever the one that runs them is like."""

from __future__ import annotations

import asyncio

import pytest
import textual.app
import textual.pilot
from textual.widgets import Input


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TEXTUAL_THEME", "TEXTUAL_ANIMATIONS", "TEXTUAL_COLOR_SYSTEM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


@pytest.fixture(autouse=True)
def _steady_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the cursor of input fields visible: a slow machine draws it in either state."""
    monkeypatch.setattr(Input.__dict__["cursor_blink"], "_default", False)


@pytest.fixture(autouse=True)
def _no_idling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a pilot wait for what is queued, and not for a process that does nothing.

    Textual sleeps 20 ms and more, five times a key; the tests wait for the screen anyway.
    """

    async def go_on(*_: object) -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    monkeypatch.setattr(textual.app, "wait_for_idle", go_on)
    monkeypatch.setattr(textual.pilot, "wait_for_idle", go_on)
