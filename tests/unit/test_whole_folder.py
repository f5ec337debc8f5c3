"""A folder of files appears whole or not at all, and nothing is left beside it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trtdbg.whole_folder import whole_folder

ROOT = Path(__file__).parents[2]


def write(folder, *names):
    with whole_folder(folder, "manifest") as scratch:
        for name in names:
            (scratch / name).write_text(name)


@pytest.mark.parametrize("there", [False, True])
def test_a_new_or_empty_folder_takes_all_files(there, tmp_path):
    folder = tmp_path / "out"
    if there:
        folder.mkdir()
    write(folder, "a", "manifest")
    assert sorted(os.listdir(folder)) == ["a", "manifest"]
    assert os.listdir(tmp_path) == ["out"]
    assert folder.stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask():
    current = os.umask(0o022)
    os.umask(current)
    return current


@pytest.fixture(params=["in one step", "one by one"])
def filled(request, tmp_path, monkeypatch):
    """A folder with an earlier result and files of others, where both ways to fill it go."""
    folder = tmp_path / "out"
    write(folder, "a", "manifest")
    (folder / "mine").write_text("mine")
    (folder / "more/deep").mkdir(parents=True)
    (folder / "more/deep/file").write_text("deep")
    (folder / "link").symlink_to("nowhere")
    folder.chmod(0o750)
    if request.param == "one by one":

        def refuse(one, other):
            raise OSError("not here")

        monkeypatch.setattr("trtdbg.whole_folder._exchange", refuse)
    return folder


def test_files_of_others_stay_in_a_filled_folder(filled, tmp_path):
    write(filled, "b", "manifest")
    assert sorted(os.listdir(filled)) == ["a", "b", "link", "manifest", "mine", "more"]
    assert (filled / "more/deep/file").read_text() == "deep"
    assert os.readlink(filled / "link") == "nowhere"
    assert filled.stat().st_mode & 0o777 == 0o750
    assert os.listdir(tmp_path) == ["out"]


def test_a_filled_folder_is_replaced_in_one_step(tmp_path):
    folder = tmp_path / "out"
    write(folder, "a", "manifest")
    before = folder.stat().st_ino
    write(folder, "a", "manifest")
    if sys.platform == "linux":
        assert folder.stat().st_ino != before


@pytest.mark.parametrize("times", range(15))
def test_killed_at_any_step_a_filled_folder_is_the_old_one_or_the_new_one(times, tmp_path):
    folder = tmp_path / "out"
    write(folder, "a", "manifest")
    (folder / "mine").mkdir()
    (folder / "mine/kept").write_text("mine")
    code = (
        "import os, pathlib, sys\n"
        "left = int(sys.argv[2])\n"
        "def watch(event, arguments):\n"
        "    global left\n"
        "    if event.partition('.')[0] in ('os', 'shutil', 'ctypes'):\n"
        "        left -= 1\n"
        "        if left < 0: os.kill(os.getpid(), 9)\n"
        "from trtdbg.whole_folder import whole_folder\n"
        "with whole_folder(pathlib.Path(sys.argv[1]), 'manifest') as at:\n"
        "    (at / 'a').write_text('new')\n"
        "    (at / 'b').write_text('new')\n"
        "    (at / 'manifest').write_text('new')\n"
        "    sys.addaudithook(watch)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder), str(times * 2)], cwd=ROOT)
    old = {"a": "a", "manifest": "manifest"}
    new = {"a": "new", "b": "new", "manifest": "new"}
    assert texts(folder) in (old, new)
    assert (folder / "mine/kept").read_text() == "mine"
    write(folder, "a", "manifest")
    assert os.listdir(tmp_path) == ["out"]
    assert (folder / "mine/kept").read_text() == "mine"


def texts(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_an_error_leaves_neither_folder_nor_parents(tmp_path):
    def fail():
        with whole_folder(tmp_path / "x/y/out", "manifest") as scratch:
            (scratch / "a").write_text("a")
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert os.listdir(tmp_path) == []


def test_through_a_link_the_folder_behind_it_is_filled(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", "manifest")
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(tmp_path / "real") == ["manifest"]


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    folder = tmp_path / "out"
    code = (
        "import pathlib, sys, time\n"
        "from trtdbg.whole_folder import whole_folder\n"
        "with whole_folder(pathlib.Path(sys.argv[1]), 'manifest') as at:\n"
        "    (at / 'a').write_text('half')\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(0.05)
    assert not folder.exists()
    write(folder, "manifest")
    assert os.listdir(tmp_path) == ["out"]
