"""Names that try to steer the terminal, shown on every screen and in every dialog."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.keys.actions import ACTIONS

from tests.poison import ATTACKS, MARK, POISON, STEERS, poisoned
from tests.ui.canned import report
from tests.ui.fakes import Stage, press, settle
from trtdbg.errors import StageError
from trtdbg.policy import Timing
from trtdbg.records import Report

WIDE = (160, 50)


def evil(timing: Timing, *, first: bool = False) -> Report:
    """Returns a canned report of attacks; policy and settings are kept."""
    kept = report(timing)
    attacked: Report = poisoned(kept, first=first)
    return msgspec.structs.replace(attacked, policy=kept.policy, settings=kept.settings)


def shown(app: TrtdbgApp) -> list[str]:
    """Returns the rows of the screen as the terminal gets them, frames and toasts included."""
    strips = app.screen._compositor.render_strips()
    return ["".join(s.text for s in strip if not s.control) for strip in strips]


class Watch:
    """Looks at each screen, and counts those that show an attack."""

    def __init__(self, pilot: Pilot[int]) -> None:
        self.pilot = pilot
        self.attacked = 0
        self.dialogs: set[str] = set()

    async def look(self, where: str) -> None:
        await settle(self.pilot)
        app = self.pilot.app
        assert isinstance(app, TrtdbgApp)
        rows = shown(app)
        for row in rows:
            assert not (STEERS | {"\n", "\t"}) & set(row), (where, row)
        self.attacked += any(MARK in row for row in rows)
        self.dialogs.add(type(app.screen).__name__)
        for note in app._notifications:
            assert not (STEERS | {"\n", "\t"}) & set(note.message + note.title), where


@pytest.mark.slow
@pytest.mark.parametrize("first", [False, True], ids=["behind", "before"])
@pytest.mark.parametrize("view", "12345678")
async def test_no_key_shows_what_steers_the_terminal(
    view: str, first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    timings = (Timing.UPSTREAM, Timing.LATE)
    stage = Stage(Timing.UPSTREAM, [evil(timing, first=first) for timing in timings])
    async with stage.app.run_test(size=WIDE) as pilot:
        watch = Watch(pilot)
        await watch.look("at first")
        for action in ACTIONS:
            if action.id == "quit":
                continue
            await press(pilot, view)
            await pilot.press(action.keys.split(",")[0])
            await watch.look(f"{view} {action.shown}")
            if len(stage.app.screen_stack) > 1:
                for key in ("down", "tab", "G"):
                    await pilot.press(key)
                    await watch.look(f"{view} {action.shown} {key}")
            while len(stage.app.screen_stack) > 1:
                stage.app.pop_screen()
            stage.worker.cancel()
            assert not (STEERS | {"\n"}) & set(stage.app.clipboard), action.id
            stage.app.clear_notifications()
            assert stage.app.return_value is None, action.id
        assert watch.attacked > 10
        assert len(watch.dialogs) > 4


async def test_what_the_worker_says_does_not_steer_the_terminal() -> None:
    stage = Stage(Timing.UPSTREAM)
    async with stage.app.run_test(size=WIDE) as pilot:
        watch = Watch(pilot)
        await settle(pilot)
        stage.worker.progress(f"capture{POISON}", f"engine{POISON}", 1, 2)
        stage.worker.log(f"said{POISON}")
        await watch.look("progress")
        await press(pilot, "6")
        await watch.look("log")
        stage.worker.fail(StageError(f"failed{POISON}", remedy=f"do{POISON}"))
        await watch.look("failure")
        assert watch.attacked >= 3


@contextlib.contextmanager
def terminal(arguments: list[str], environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "trtdbg", *arguments], environment)
    ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    try:
        yield pid, screen
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(screen)


def read_until_quiet(screen: int, quiet: float, most: float) -> bytes:
    """Returns what a program writes until it is silent for a while."""
    data, until = b"", time.monotonic() + most
    while time.monotonic() < until:
        ready, _, _ = select.select([screen], [], [], quiet)
        if not ready:
            if data:
                break
            continue
        try:
            data += os.read(screen, 1 << 16)
        except OSError:
            break
    return data


ESCAPE = "\x1b"
KEYS = (
    "7",
    "8",
    "2",
    "6",
    "e",
    ESCAPE,
    "w",
    ESCAPE,
    "1",
    "v",
    ESCAPE,
    "4",
    "x",
    ESCAPE,
    "?",
    ESCAPE,
    "3",
)
OF_TEXTUAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[=>78]|\x1b\([B0]|\x1bP[^\x1b]*\x1b\\"
    r"|\x1b\]22;[a-z-]*(?:\x07|\x1b\\)"
)
"""What Textual writes itself: cursor and colours, questions, the pointer's shape."""


@pytest.mark.slow
def test_the_bytes_that_reach_a_terminal_hold_no_attack(tmp_path: Path) -> None:
    saved = tmp_path / "evil.json"
    saved.write_bytes(msgspec.json.encode(evil(Timing.UPSTREAM)))
    root = Path(__file__).parents[2]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "ui")]),
        "XDG_STATE_HOME": str(tmp_path),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
    }
    with terminal([str(saved), "--fresh"], environment) as (_, screen):
        data = read_until_quiet(screen, 2, 120)
        for key in KEYS:
            os.write(screen, key.encode())
            data += read_until_quiet(screen, 0.7, 20)
        os.write(screen, b"q")
        data += read_until_quiet(screen, 2, 20)
    assert data.count(MARK.encode()) > len(KEYS)
    for attack in ATTACKS:
        for part in re.findall(r"\x1b\][^\x07]*|\x1b\[2J\x1b\[31m|[^\x00-\x7f]", attack):
            assert part.encode() not in data, repr(part)
    # Of the sequences that set a title, or the clipboard, there is none at all.
    assert not re.search(rb"\x1b\](?:0|1|2|52);", data)
    assert b"\xc2\x9b" not in data
    text = data.decode(errors="replace")
    assert not (STEERS - set("\x1b\r\x0f\x07\x08")) & set(text)
    # What is left once the sequences of Textual are taken out holds no escape.
    rest = OF_TEXTUAL.sub("", text)
    assert "\x1b" not in rest, rest[max(0, rest.index("\x1b") - 40) :][:80]
