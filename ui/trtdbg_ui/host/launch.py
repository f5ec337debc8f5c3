"""From the command line to a running app, and back to an exit code."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from trtdbg import __version__, foreign, prebuilt
from trtdbg.analysis.summary import base_name
from trtdbg.cache.client import CachingClient
from trtdbg.errors import ExitCode, OutputError
from trtdbg.files import refuse_existing, write_atomically
from trtdbg.outputs.report import is_saved_report, read_report
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Report
from trtdbg.viewing import Viewing, WatchedFile
from trtdbg.worker.messages import Access, News, native_path
from trtdbg_ui.app import TrtdbgApp
from trtdbg_ui.host.memory import Remembered, keep, recall
from trtdbg_ui.host.picture import draw
from trtdbg_ui.keys.key_names import parse_presses
from trtdbg_ui.keys.keymap import Keymap, read_keymap
from trtdbg_ui.model.state import State
from trtdbg_ui.widgets.themes import theme_of


def run(
    model: str,
    *,
    settings: Settings,
    policy: TruncationPolicy,
    note: Callable[[str], None],
    target: str | None = None,
    probe_seconds: float = 60.0,
    access: Access | None = None,
    viewing: Viewing | None = None,
    watched: WatchedFile | None = None,
) -> int:
    """Runs the UI on a .pt2 file and returns the exit code.

    A saved report and a program that torch_tensorrt compiled are read-only.

    Args:
        model: Path of the program, or of the saved report.
        settings: Compilation settings.
        policy: The policy to begin with, unless another is remembered.
        note: Is told what happens when the screen is gone.
        target: Compute capability that engines are built for.
        probe_seconds: How long TensorRT may be asked about single nodes.
        access: How far the file is trusted, and what the worker may take.
        viewing: What else the user asked for.
        watched: Says when the file changes; None looks no more than once.

    Raises:
        TrtdbgError: a file that cannot be read or written; or what kept the UI from ever
            showing anything but this error, so that it still stands in the terminal after `q`.
    """
    viewing = viewing or Viewing()
    keymap = read_keymap(viewing.keys) if viewing.keys is not None else Keymap()
    picture = viewing.picture
    if picture is not None:
        keys = parse_presses(picture.press)
        refuse_existing(picture.file, force=picture.force)
    report = _fixed(model)
    # A picture is to be the same for everybody.
    alone = viewing.fresh or picture is not None
    remembered, notice = (None, None) if alone else recall(model)
    notices = [notice] if notice is not None else []
    if report is not None:
        settings, policy = report.settings, report.policy
    elif remembered is not None and not viewing.policy_given and remembered.policy != policy:
        policy = remembered.policy
        notices.append(f"As you left it: {policy.flags()}. --fresh starts anew.")
    access = access or Access()
    if report is None and access.program is None:
        access, notice = _first_program(model, access)
        notices += [notice] if notice is not None else []
    if watched is not None:
        notices.append(f"Watching {base_name(model)}: it is analysed again when it changes.")
    with _clients(read=viewing.cache and picture is None) as make_worker:
        app = TrtdbgApp(
            model,
            settings=settings,
            policy=policy,
            target=target,
            probe_seconds=probe_seconds,
            access=access,
            make_worker=make_worker if report is None else None,
            reports=() if report is None else (report,),
            keymap=keymap,
            watched=watched,
        )
        state = State(policy, settings)
        if remembered is not None:
            state = remembered.state(policy, settings)
        theme = remembered.theme if remembered is not None and viewing.look is None else None
        theme = theme or theme_of(viewing.look)
        app.begin_with(state, theme, notices, picture=picture is not None)
        if picture is not None:
            svg = asyncio.run(draw(app, keys, (picture.columns, picture.lines)))
            write_atomically(picture.file, svg.encode(), force=picture.force)
            note(f"wrote {picture.file}")
            return ExitCode.CLEAN
        code = _run(app)
        if code in _ENDED:
            app.abandon()
    if not alone:
        _remember(model, app, note)
    return code


def _fixed(model: str) -> Report | None:
    """Returns the report of what nothing can be asked about; None of a program."""
    if is_saved_report(model):
        return read_report(model)
    path = native_path(model)
    if not prebuilt.is_compiled(path):
        return None
    report = prebuilt.read(path, __version__)
    info = msgspec.structs.replace(report.model, path=model)
    return msgspec.structs.replace(report, model=info)


def _first_program(model: str, access: Access) -> tuple[Access, str | None]:
    """Returns the program to show of a file with several, and what to say about the others."""
    names = foreign.programs(native_path(model))
    if len(names) < 2:
        return access, None
    shown = "model" if "model" in names else names[0]
    others = ", ".join(name for name in names if name != shown)
    notice = f"This is program {shown} of the file. --program NAME shows another: {others}."
    return msgspec.structs.replace(access, program=shown), notice


_ENDED: Final = (ExitCode.INTERRUPTED, ExitCode.TERMINATED)
"""Codes of an app that was ended from outside, amid whatever it did."""


@contextlib.contextmanager
def _clients(*, read: bool) -> Iterator[Callable[[Callable[[News], None]], CachingClient]]:
    """Yields what makes a client; at the end no worker is left.

    Args:
        read: Whether reports that were made before are shown.
    """
    clients: list[CachingClient] = []

    def make_worker(on_event: Callable[[News], None]) -> CachingClient:
        clients.append(CachingClient(on_event, read=read))
        return clients[-1]

    try:
        yield make_worker
    finally:
        for client in clients:
            client.close()


def _run(app: TrtdbgApp) -> int:
    code = app.run()
    if code is not None and code in _ENDED:
        return code
    failure = app.state.failure
    if app.state.loaded is None and failure is not None and failure.error is not None:
        raise failure.error
    # None means that Textual ended the app on an exception, which it has printed.
    return int(ExitCode.BUG if code is None else code)


def _remember(model: str, app: TrtdbgApp, note: Callable[[str], None]) -> None:
    remembered = Remembered.of(model, app.state, app.theme)
    if remembered is None:
        return
    try:
        keep(remembered)
    except OutputError as error:
        note(f"how you left {model} is not remembered: {error}")
