"""Draws docs/screen.svg, the README's picture: the UI on a bundled sample, analysed for real.

Run it from anywhere, with trtdbg installed: `python docs/make_screen.py`.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from textual.pilot import Pilot
from trtdbg_ui.app import TrtdbgApp

from trtdbg.errors import StageError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.session.client import Client

ROOT = Path(__file__).resolve().parent.parent
MODEL = "samples/attention_float64.pt2"
PICTURE = ROOT / "docs" / "screen.svg"
SIZE = (160, 46)
PATIENCE_SECONDS = 300


async def main() -> None:
    """Analyses the sample under `late`, then under `upstream`, and draws the screen."""
    clients: list[Client] = []

    def make_worker(on_event: object) -> Client:
        clients.append(Client(on_event))  # type: ignore[arg-type]
        return clients[0]

    app = TrtdbgApp(
        MODEL, settings=Settings(), policy=TruncationPolicy(), make_worker=make_worker
    )
    try:
        async with app.run_test(size=SIZE) as pilot:
            await _answered(app, pilot)
            await pilot.press("T")
            await _answered(app, pilot)
            picture = app.export_screenshot(title="trtdbg", simplify=True)
    finally:
        clients[0].close()
    # The picture must not load a font from elsewhere: any monospaced one will do.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = re.sub(r"terminal-\d+-", "terminal-", picture)
    PICTURE.write_text(picture, encoding="utf-8")


async def _answered(app: TrtdbgApp, pilot: Pilot[int]) -> None:
    """Waits for what runs in the worker.

    Raises:
        StageError: it failed, or took too long.
    """
    for _ in range(PATIENCE_SECONDS * 10):
        await pilot.pause(0.1)
        if app.state.failure is not None:
            raise StageError(app.state.failure.message)
        if app.state.loaded is not None and app.state.activity is None:
            await pilot.pause()
            return
    raise StageError(f"no answer within {PATIENCE_SECONDS} s")


if __name__ == "__main__":
    os.chdir(ROOT)
    asyncio.run(main())
