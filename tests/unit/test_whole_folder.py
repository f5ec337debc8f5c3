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


def test_files_of_others_stay_in_a_filled_folder(tmp_path):
    folder = tmp_path / "out"
    write(folder, "a", "manifest")
    (folder / "mine").write_text("mine")
    write(folder, "b", "manifest")
    assert sorted(os.listdir(folder)) == ["a", "b", "manifest", "mine"]


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
