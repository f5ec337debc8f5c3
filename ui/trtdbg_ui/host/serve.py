"""The UI in a browser: textual-serve behind a guard, one app and one worker a browser tab."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import WSCloseCode, web
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from trtdbg.errors import ExitCode, UsageError
from trtdbg.worker.safe_path import SAFE
from trtdbg_ui.host.web_guard import Guard, is_loopback

_MOST_TABS: Final = 8
"""Each has a worker of its own, with torch in it."""

_GRACE_SECONDS: Final = 2.0
"""How long an app may take to end its worker before it is killed."""


class _Session(AppService):
    """One app process, which is gone when `stop` returns."""

    async def stop(self) -> None:
        """Ends the app, politely at first."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(super().stop(), _GRACE_SECONDS)
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            # Without its standard input the app has no reason to live; its worker follows it.
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


class _Server(Server):
    """textual-serve's routes behind the guard; says nothing by itself."""

    def __init__(self, command: str, title: str, guard: Guard) -> None:
        super().__init__(command, title=title)
        self._guard = guard
        self._tabs: set[web.WebSocketResponse] = set()

    async def app(self) -> web.Application:
        """Returns the web application."""
        app = await self._make_app()
        app.middlewares.append(self._guard.middleware)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Prints no banner."""

    async def on_shutdown(self, app: web.Application) -> None:
        """Lets go of all tabs, which ends their apps."""
        for tab in list(self._tabs):
            await tab.close()

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """Returns the page, which finds everything where it was found itself."""
        self.public_url = f"{request.scheme}://{request.host}"
        return await super().handle_index(request)

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Runs an app for as long as a tab is open."""
        if len(self._tabs) >= _MOST_TABS:
            raise web.HTTPServiceUnavailable(text=f"{_MOST_TABS} tabs are open already.\n")
        tab = web.WebSocketResponse(heartbeat=15)
        self._tabs.add(tab)

        async def close() -> None:
            await tab.close()

        session = _Session(
            self.command,
            write_bytes=tab.send_bytes,
            write_str=tab.send_str,
            close=close,
            download_manager=self.download_manager,
        )
        try:
            await tab.prepare(request)
            width, height = (to_int(request.query.get(n, ""), 80) for n in ("width", "height"))
            await session.start(width, height)
            await self._process_messages(tab, session)
        except (ValueError, TypeError, LookupError, AttributeError, AssertionError):
            # textual-serve (1.1) takes every frame for one of its own page's.
            await tab.close(code=WSCloseCode.UNSUPPORTED_DATA)
        finally:
            self._tabs.discard(tab)
            await session.stop()
        return tab


def serve(
    model: str,
    arguments: Sequence[str],
    *,
    host: str,
    port: int,
    token: bool,
    note: Callable[[str], None],
) -> int:
    """Serves the UI until it is interrupted, and returns the exit code.

    Args:
        model: Path of the program or of the saved report.
        arguments: The flags that each app is started with.
        host: Name or address to listen at.
        port: Port to listen at; 0 takes a free one.
        token: Whether a token is demanded on this machine's own address too.
        note: Is told the address to open.

    Raises:
        UsageError: nothing can listen there.
    """
    loopback = is_loopback(host)
    secret = secrets.token_urlsafe(24) if token or not loopback else None
    # The shell that textual-serve starts gives its place to the app.
    command = "exec " + shlex.join([sys.executable, SAFE, "-m", "trtdbg", *arguments, model])
    server = _Server(command, f"trtdbg {model}", Guard(loopback=loopback, token=secret))
    with _listening(host, port) as listener:
        address = _address(host, listener.getsockname()[1], secret)
        hint = f"open {address} ; ctrl+c ends"
        return asyncio.run(_run(server, listener, lambda: note(hint)))


async def _run(
    server: _Server, listener: socket.socket, ready: Callable[[], None]
) -> ExitCode:
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[ExitCode] = loop.create_future()

    def stop(code: ExitCode) -> None:
        if not stopped.done():
            stopped.set_result(code)

    loop.add_signal_handler(signal.SIGINT, stop, ExitCode.INTERRUPTED)
    loop.add_signal_handler(signal.SIGTERM, stop, ExitCode.TERMINATED)
    app = await server.app()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        ready()
        return await stopped
    finally:
        await runner.cleanup()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(
            f"cannot listen at {host} port {port}: {why}",
            remedy="choose others with --host and --port; --port 0 takes a free one",
        ) from error


def _address(host: str, port: int, token: str | None) -> str:
    name = f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::"):
        name = socket.gethostname()
    return f"http://{name}:{port}/" + (f"?token={token}" if token is not None else "")
