"""Processes that trtdbg starts take no module from the working directory."""

import os
import subprocess
import sys
from pathlib import Path

from trtdbg.worker import safe_path

ROOT = Path(__file__).parents[3]

SPAWNING = """
import sys
from trtdbg.worker.client import Client
if __name__ == "__main__":
    with Client(_handler="tests.worker_handlers:Scripted"):
        pass
    print("done")
"""


def test_a_module_of_the_working_directory_does_not_run_in_the_worker(tmp_path):
    marker = tmp_path / "ran"
    for name in ("random", "click", "multiprocessing", "msgspec"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'w')")
    script = tmp_path / "elsewhere" / "script.py"
    script.parent.mkdir()
    script.write_text(SPAWNING)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["done"], done.stderr
    assert not marker.exists()


def test_the_variable_is_gone_after_spawning(monkeypatch):
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with safe_path.spawning():
        assert os.environ["PYTHONSAFEPATH"] == "1"
    assert "PYTHONSAFEPATH" not in os.environ


def test_tabs_of_serve_are_started_without_the_working_directory():
    text = (ROOT / "ui" / "trtdbg_ui" / "host" / "serve.py").read_text()
    assert '[sys.executable, SAFE, "-m", "trtdbg"' in text
