"""Faults that change nothing of what the tool says, and leave nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_interrupted_questions import without_seconds

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "samples" / "boundary_mixed.pt2"
RUN = [sys.executable, "-m", "trtdbg"]
SECONDS = 300

pytestmark = [pytest.mark.deep, pytest.mark.usefixtures("torch_tensorrt_ready")]


def environment(folder: Path) -> dict[str, str]:
    """Returns an environment whose caches, state and temporary files are below a folder."""
    (folder / "tmp").mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if "_CACHE_MIB" not in name}
    return kept | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")]),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_STATE_HOME": str(folder / "state"),
        "TMPDIR": str(folder / "tmp"),
    }


def run(
    words: list[str], folder: Path, environ: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def report(folder: Path, environ: dict[str, str]) -> Any:
    """Returns the records of the model, without what a clock says."""
    done = run(["report", str(MODEL), "--json", "-"], folder, environ)
    assert done.returncode == 0, done.stderr
    return without_seconds(json.loads(done.stdout))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("clean")
    return report(folder, environment(folder))


def test_without_a_home_the_report_is_the_same(tmp_path: Path, clean: Any) -> None:
    environ = environment(tmp_path)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        environ.pop(name, None)
    environ["HOME"] = "/nonexistent"
    assert report(tmp_path, environ) == clean


def test_caches_that_cannot_be_written_change_nothing(tmp_path: Path, clean: Any) -> None:
    environ = environment(tmp_path)
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        Path(environ[name]).write_text("a file where a folder is wanted")
    assert report(tmp_path, environ) == clean
    assert Path(environ["XDG_CACHE_HOME"]).read_text() == "a file where a folder is wanted"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; skipped where this user may not make one."""
    place = tmp_path / "full"
    place.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount here")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)], capture_output=True
    )
    if made.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        (place / "kept.txt").write_bytes(b"x" * 200 * 1024)
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_under_the_caches_changes_nothing(
    full_disk: Path, tmp_path: Path, clean: Any
) -> None:
    environ = environment(tmp_path) | {
        "XDG_CACHE_HOME": str(full_disk / "cache"),
        "XDG_STATE_HOME": str(full_disk / "state"),
    }
    assert report(tmp_path, environ) == clean
    assert report(tmp_path, environ) == clean


def test_a_full_disk_under_the_output_is_one_line_and_leaves_nothing(
    full_disk: Path, tmp_path: Path
) -> None:
    before = sorted(path.name for path in full_disk.iterdir())
    engines = full_disk / "engines"
    words = ["build", str(MODEL), "--timing", "late", "--save", str(engines)]
    done = run(words, tmp_path, environment(tmp_path))
    assert done.returncode == 2, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in full_disk.iterdir()) == before


def test_two_builds_at_once_with_one_cache_are_both_whole(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    words = ["build", str(MODEL), "--timing", "late"]
    both = [
        subprocess.Popen(
            [*RUN, *words],
            cwd=tmp_path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for each in both:
        _, said = each.communicate(timeout=SECONDS)
        assert each.returncode == 0, said
    again = run(words, tmp_path, environ)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("cached") == 2
