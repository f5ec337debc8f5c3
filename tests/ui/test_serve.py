"""`trtdbg serve`: who is answered, what a browser sees, and what is left when it ends."""

from __future__ import annotations

import http.client
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.ui.canned import report
from tests.unit.commands.fake_shell import FakeShell
from trtdbg.cli import main
from trtdbg.commands.serve import command
from trtdbg.errors import ExitCode
from trtdbg.policy import Timing

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "attention_float64.pt2"
PATIENCE_SECONDS = 120
CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
        if (path := shutil.which(name))
    ),
    None,
)

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("textual_serve") is None, reason="needs textual-serve"
)

Serve = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def saved(tmp_path: Path) -> str:
    path = tmp_path / "report.json"
    path.write_bytes(msgspec.json.encode(report(Timing.UPSTREAM)))
    return str(path)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers that are gone afterwards; returns each with its address."""
    servers: list[subprocess.Popen[str]] = []
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")]),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }

    def start(model: str, *flags: str) -> tuple[subprocess.Popen[str], str]:
        server = subprocess.Popen(
            [sys.executable, "-m", "trtdbg", "serve", model, "--port", "0", *flags],
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        servers.append(server)
        assert server.stderr is not None
        said = server.stderr.readline()
        found = re.search(r"http://\S+", said)
        assert found, said + server.stderr.read()
        return server, found.group()

    yield start
    for server in servers:
        server.terminate()
        server.wait(10)
        assert server.stderr is not None
        server.stderr.close()


def ask(
    address: str, path: str = "/", headers: dict[str, str] | None = None
) -> tuple[int, str, http.client.HTTPMessage]:
    """Returns status, body and headers of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(address).port, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read().decode() if answer.status != 101 else ""
        return answer.status, body, answer.headers
    finally:
        connection.close()


SOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_only_this_machine_and_only_its_own_page_is_answered(saved: str, serve: Serve) -> None:
    _, address = serve(saved)
    host = urlsplit(address).netloc
    assert urlsplit(address).hostname == "127.0.0.1"
    status, body, headers = ask(address, headers={"Host": host})
    assert status == 200
    assert f"ws://{host}/ws" in body
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert ask(address, "/static/js/textual.js", {"Host": host})[0] == 200
    for origin in ("http://evil.example", "null", f"http://localhost:{host.split(':')[1]}"):
        for path in ("/", "/ws", "/static/js/textual.js", "/download/x"):
            refused = ask(address, path, {"Host": host, "Origin": origin, **SOCKET})
            assert refused[0] == 403, (origin, path)
    for name in ("evil.example", "127.0.0.1.evil.example", "evil.example:80", "10.0.0.1"):
        status, body, _ = ask(address, headers={"Host": name})
        assert status == 403
        assert "trtdbg does not answer as" in body
    status, _, _ = ask(address, "/ws", {"Host": host, "Origin": f"http://{host}", **SOCKET})
    assert status == 101


@pytest.mark.parametrize("flags", [["--token"], ["--host", "0.0.0.0"]])
def test_a_token_is_demanded_elsewhere_or_on_request(
    flags: list[str], saved: str, serve: Serve
) -> None:
    _, address = serve(saved, *flags)
    token = urlsplit(address).query.removeprefix("token=")
    assert len(token) >= 32
    host = {"Host": f"127.0.0.1:{urlsplit(address).port}"}
    for path in ("/", "/?token=", "/?token=wrong", "/ws", "/static/js/textual.js"):
        status, body, _ = ask(address, path, host | SOCKET)
        assert status == 403, path
        assert token not in body
    status, _, headers = ask(address, f"/?token={token}", host)
    assert (status, headers["Location"]) == (303, "/")
    assert "HttpOnly" in headers["Set-Cookie"]
    cookie = {"Cookie": headers["Set-Cookie"].split(";")[0]}
    status, body, _ = ask(address, "/", host | cookie)
    assert status == 200
    assert token not in body
    assert ask(address, "/ws", host | cookie | SOCKET)[0] == 101
    assert ask(address, "/ws", host | cookie | SOCKET | {"Origin": "http://a"})[0] == 403


def test_ctrl_c_ends_it_with_130_and_no_app_is_left(saved: str, serve: Serve) -> None:
    server, address = serve(saved)
    host = urlsplit(address).netloc
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", "/ws", headers={"Origin": f"http://{host}", **SOCKET})
    assert connection.getresponse().status == 101
    end = time.monotonic() + 10
    while not (apps := children(server.pid)):
        assert time.monotonic() < end
        time.sleep(0.02)
    server.send_signal(signal.SIGINT)
    assert server.wait(10) == ExitCode.INTERRUPTED
    connection.close()
    # The server has ended; on a busy machine the kernel takes a moment to end its apps.
    end = time.monotonic() + 5
    while left := [app for app in apps if Path(f"/proc/{app}").exists()]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    if not path.exists():
        pytest.skip("the kernel does not list children")
    return [int(word) for word in path.read_text().split()]


def test_a_port_that_is_taken_is_one_line(
    saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", saved, "--port", port]) == ExitCode.USAGE
    assert f"cannot listen at 127.0.0.1 port {port}: Address" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_said_before_anything_listens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["serve", "missing.pt2"]) == ExitCode.USAGE
    assert "missing.pt2" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    saved: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "trtdbg_ui.host.serve", raising=False)
    monkeypatch.setitem(sys.modules, "textual_serve.app_service", None)
    assert main(["serve", saved]) == ExitCode.UNAVAILABLE
    assert "pip install 'trtdbg[serve]'" in capsys.readouterr().err


def test_the_flags_of_the_ui_are_checked_and_passed_on(saved: str) -> None:
    shell = FakeShell()
    flags = ["--timing", "off", "--min-block-size=3", "--as-compiled", "--theme", "light"]
    arguments = [saved, "--port", "0", *flags, "--inputs", "none", "--token"]
    arguments += ["--import", "ops.py", "--import", "more"]
    with command.make_context("serve", arguments, obj=shell) as context:
        assert command.invoke(context) == ExitCode.INTERRUPTED
    model, passed, host, port, token = shell.served[0]
    assert (model, host, port, token) == (saved, "127.0.0.1", 0, True)
    assert sorted(passed) == [
        "--as-compiled",
        "--import=more",
        "--import=ops.py",
        "--inputs=none",
        "--min-block-size=3",
        "--theme=light",
        "--timing=off",
    ]


@pytest.mark.skipif(
    importlib.util.find_spec("torch_tensorrt") is None, reason="needs torch_tensorrt"
)
@pytest.mark.skipif(
    importlib.util.find_spec("playwright") is None,
    reason="needs Playwright",
)
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_the_table_and_a_key_changes_the_policy(serve: Serve) -> None:
    from playwright.sync_api import sync_playwright

    _, address = serve(str(SAMPLE), "--timing", "upstream")
    received: list[bytes] = []
    foreign: list[str] = []

    def shows(text: str) -> bool:
        # Of what the app writes, the words are left when colours and moves are taken away.
        written = b"".join(received).decode("utf-8", "replace")
        return text in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)

    def keep(payload: str | bytes) -> None:
        received.append(payload if isinstance(payload, bytes) else payload.encode())

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("websocket", lambda found: found.on("framereceived", keep))
        page.on("requestfinished", lambda request: foreign.append(request.url))
        page.goto(address)

        def wait_for(text: str) -> None:
            end = time.monotonic() + PATIENCE_SECONDS
            while not shows(text):
                assert time.monotonic() < end, f"no {text!r} in the browser"
                page.wait_for_timeout(100)
            page.wait_for_timeout(500)

        wait_for("dtype=float64; accepts with float32")
        assert shows("_to_copy")
        before = page.screenshot()
        page.mouse.click(300, 300)
        received.clear()
        page.keyboard.press("t")
        wait_for("engines 5 → 1")
        after = page.screenshot()
        blank = browser.new_page(viewport={"width": 1280, "height": 800})
        assert colours(blank, before) > 20
        assert before != after
        browser.close()
    assert {urlsplit(url).netloc for url in foreign} == {urlsplit(address).netloc}


def colours(page: object, picture: bytes) -> int:
    """Returns how many colours a PNG has; the browser is what decodes it."""
    import base64

    script = """async data => {
        const image = new Image();
        image.src = "data:image/png;base64," + data;
        await image.decode();
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.width, image.height];
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        const pixels = context.getImageData(0, 0, image.width, image.height).data;
        return new Set(new Uint32Array(pixels.buffer)).size;
    }"""
    number: int = page.evaluate(script, base64.b64encode(picture).decode())  # type: ignore[attr-defined]
    return number
