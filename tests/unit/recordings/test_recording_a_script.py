"""`trtdbg record SCRIPT`: the script runs as under python, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trtdbg.recordings import folder

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "tests" / "recorded_scripts"

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")


def environment() -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "ui")])
    return {**os.environ, "PYTHONPATH": paths}


def record(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `trtdbg record` in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "trtdbg", "record", *arguments],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_script_has_its_arguments_its_neighbours_and_its_exit_status(
    tmp_path: Path,
) -> None:
    script = str(SCRIPTS / "writes.py")
    ran = record(tmp_path, "-o", "made", script, "--first", "-o", "x.txt")
    assert ran.returncode == 7, ran.stderr
    assert (tmp_path / "x.txt").read_text() == f"{script} 9.0"
    recording = folder.read(tmp_path / "made")
    assert recording.ended == "with sys.exit(7)"
    assert recording.script == f"{script} --first -o x.txt"
    assert recording.programs[0].recorded.line == 17
    assert "compiled.ep is not written: nothing was compiled" in ran.stderr
    assert "recorded 1 program in made: open it with `trtdbg made`" in ran.stderr
    assert not (tmp_path / "compiled.ep").exists()
    left = sorted(each.name for each in tmp_path.iterdir())
    assert left == ["made", "x.txt"]


def test_an_exception_of_the_script_is_its_own_and_what_was_recorded_is_kept(
    tmp_path: Path,
) -> None:
    ran = record(tmp_path, str(SCRIPTS / "raises.py"))
    assert ran.returncode == 1
    assert "KeyError: 'of the script'" in ran.stderr
    assert "trtdbg/recordings" not in ran.stderr
    recording = folder.read(tmp_path / "raises.recording")
    assert len(recording.programs) == 1
    assert recording.ended == "by KeyError: 'of the script'"
    assert set(recording.versions) >= {"python", "torch", "torch_tensorrt", "trtdbg"}


def test_a_call_that_returns_bytes_ends_the_script_and_says_so(tmp_path: Path) -> None:
    ran = record(tmp_path, "-o", "made", str(SCRIPTS / "engine_bytes.py"))
    assert ran.returncode == 0
    assert "never reached" not in ran.stdout
    assert "the script is ended: " in ran.stderr
    assert "returns the bytes of an engine, and nothing is compiled" in ran.stderr
    assert len(folder.read(tmp_path / "made").programs) == 1


def test_a_module_is_run_as_python_runs_it_and_ended_after_the_first(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(
        "import sys, torch, torch_tensorrt\n"
        "assert __package__ == 'package' and sys.argv[1:] == ['--compile']\n"
        "print(sys.argv[0])\n"
        "for kind in (torch.nn.ReLU, torch.nn.Sigmoid):\n"
        "    torch_tensorrt.compile(kind(), inputs=[torch.ones(3)])\n"
    )
    ran = record(tmp_path, "--first", "-m", "package", "--compile")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == str(package / "__main__.py")
    (program,) = folder.read(tmp_path / "package.recording").programs
    assert program.recorded.name == "1-ReLU"
    assert program.recorded.file == str(package / "__main__.py")


def test_a_script_for_a_gpu_is_recorded_on_the_cpu(tmp_path: Path) -> None:
    ran = record(tmp_path, "--device", "cpu", "-o", "made", str(SCRIPTS / "on_cuda.py"))
    assert ran.returncode == 0, ran.stderr
    names = [each.recorded.name for each in folder.read(tmp_path / "made").programs]
    assert names == ["1-Net", "2-graph"]


def test_a_script_that_needs_a_gpu_is_told_of_the_cpu(tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text("import torch\ntorch.ones(3).cuda()\n")
    ran = record(tmp_path, "asks.py")
    assert ran.returncode == 1
    assert "`trtdbg record --device cpu` puts on the CPU" in ran.stderr


def test_what_is_not_put_on_the_cpu_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text("import torch\n\ntorch.cuda.init()\n")
    ran = record(tmp_path, "--device", "cpu", "asks.py")
    assert ran.returncode == 1
    assert "asks.py:3 asks for a GPU in a way that --device cpu" in ran.stderr


def test_an_interrupted_script_keeps_what_was_recorded(tmp_path: Path) -> None:
    script = tmp_path / "waits.py"
    script.write_text(
        "import time, torch, torch_tensorrt\n"
        "torch_tensorrt.compile(torch.nn.ReLU(), inputs=[torch.ones(3)])\n"
        "open('compiled', 'w').close()\n"
        "time.sleep(300)\n"
    )
    command = [sys.executable, "-m", "trtdbg", "record", "-o", "made", str(script)]
    running = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 240
    while not (tmp_path / "compiled").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130, said
    assert len(folder.read(tmp_path / "made").programs) == 1


def test_a_script_that_compiles_nothing_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("print('done')\n")
    ran = record(tmp_path, "plain.py")
    assert ran.returncode == 4
    assert ran.stdout == "done\n"
    assert "handed no program to torch_tensorrt" in ran.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["plain.py"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.py"], "there is no file nowhere.py"),
        ([], "there is no script"),
        (["a.pt2"], "is a program already"),
        (["-o", "full", "plain.py"], "the folder full is not empty"),
    ],
)
def test_what_cannot_be_recorded_is_told_before_anything_runs(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "a.pt2").write_bytes(b"PK")
    (tmp_path / "plain.py").write_text("print('ran')\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    ran = record(tmp_path, *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert says in ran.stderr
