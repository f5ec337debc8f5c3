"""A picture of the screen after some keys, for documents and tests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from textual.pilot import Pilot

from trtdbg.errors import CancelledError, ExitCode, StageError, TerminatedError, UsageError
from trtdbg_ui.app import TrtdbgApp

_LOOK_SECONDS = 0.05


async def draw(app: TrtdbgApp, keys: Sequence[str], size: tuple[int, int]) -> str:
    """Returns the screen as SVG, after each of the keys was pressed and answered.

    Args:
        app: An app that does not run yet.
        keys: Textual's names of keys.
        size: Columns and lines of the screen.

    Raises:
        TrtdbgError: the model cannot be analysed, so that there is nothing to draw.
        UsageError: a key ended the UI.
        CancelledError: Ctrl-C or SIGTERM ended the UI.
    """
    app.animation_level = "none"
    async with app.run_test(size=size) as pilot:
        await _idle(app, pilot)
        for key in keys:
            await pilot.press(key)
            await _idle(app, pilot)
        picture = app.export_screenshot(title="trtdbg", simplify=True)
    # The picture must not load a font from elsewhere: any monospaced one will do.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    return re.sub(r"terminal-\d+-", "terminal-", picture)


async def _idle(app: TrtdbgApp, pilot: Pilot[int]) -> None:
    """Waits until the worker has answered and the screen shows it."""
    await _settled(pilot)
    while not app.idle and app.return_value is None:
        await asyncio.sleep(_LOOK_SECONDS)
    await _settled(pilot)
    if app.return_value == ExitCode.TERMINATED:
        raise TerminatedError("ended by SIGTERM")
    if app.return_value == ExitCode.INTERRUPTED:
        raise CancelledError("interrupted")
    if app.return_value is not None:
        raise UsageError(
            "the keys of --press end the UI, so there is no screen to draw",
            remedy="leave out the one that quits",
        )
    failure = app.state.failure
    if app.state.loaded is None and failure is not None:
        raise failure.error or StageError(failure.message)


async def _settled(pilot: Pilot[int]) -> None:
    # A pane that appears is laid out after one refresh and scrolled after another.
    for _ in range(3):
        await pilot.pause()
