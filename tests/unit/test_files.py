from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from trtdbg.errors import OutputError
from trtdbg.files import (
    refuse_existing,
    refuse_filled_folder,
    write_atomically,
    write_into,
)


def test_a_new_file_gets_the_users_own_mode(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        write_atomically(tmp_path / "new", b"data")
    finally:
        os.umask(previous)
    assert (tmp_path / "new").read_bytes() == b"data"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["new"]


def test_an_existing_file_is_kept_unless_forced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")
    path.chmod(0o600)
    with pytest.raises(OutputError, match=r"exists and is kept; pass --force"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new", force=True)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")

    def full(source: str, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_atomically(path, b"new", force=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["old"]


def test_ctrl_c_while_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(source: str, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "new", b"new")
    assert os.listdir(tmp_path) == []


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to("target")
    write_atomically(link, b"new", force=True)
    assert link.is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, b"data")
    assert os.read(reader, 10) == b"data"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize(
    ("name", "message"), [("", "it is a folder"), ("no/such/file", "there is no folder")]
)
def test_what_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(OutputError, match=message):
        refuse_existing(tmp_path / name, force=True)


def test_a_folder_is_taken_empty_or_missing_or_forced(tmp_path: Path) -> None:
    refuse_filled_folder(tmp_path / "missing", force=False)
    refuse_filled_folder(tmp_path, force=False)
    (tmp_path / "file").touch()
    refuse_filled_folder(tmp_path, force=True)
    with pytest.raises(OutputError, match="not empty"):
        refuse_filled_folder(tmp_path, force=False)
    with pytest.raises(OutputError, match="Not a directory"):
        refuse_filled_folder(tmp_path / "file", force=True)


def test_a_killed_write_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from trtdbg import files\n"
        "files.os.fchmod = lambda *_: os.kill(os.getpid(), 9)\n"
        "files.replace(files.Path(sys.argv[1]), b'x' * 100_000)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "new")],
        env=os.environ | {"PYTHONPATH": str(root)},
        check=False,
    )
    assert done.returncode == -9
    if hasattr(os, "O_TMPFILE"):
        assert os.listdir(tmp_path) == []


def test_where_no_nameless_files_are_a_file_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    write_atomically(tmp_path / "new", b"new")
    assert (tmp_path / "new").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["new"]


def test_a_full_disk_is_one_line() -> None:
    with pytest.raises(OutputError, match=r"cannot write /dev/full: No space left on device"):
        write_atomically("/dev/full", b"x" * 10)


@pytest.mark.parametrize("name", ["a b.json", "new\nline.json", "é ü.json", b"\xff\xfe.json"])
def test_odd_names_are_written(tmp_path: Path, name: str | bytes) -> None:
    path = os.path.join(os.fsencode(tmp_path), os.fsencode(name))
    write_atomically(os.fsdecode(path), b"data")
    assert os.listdir(os.fsencode(tmp_path)) == [os.fsencode(name)]


def test_files_are_written_into_a_folder_that_is_made(tmp_path: Path) -> None:
    paths = write_into(tmp_path / "a" / "b", {"x": b"1", "y": b"2"})
    assert [path.name for path in paths] == ["x", "y"]
    assert [path.read_bytes() for path in paths] == [b"1", b"2"]
    with pytest.raises(OutputError, match="exists and is kept"):
        write_into(tmp_path / "a" / "b", {"y": b"3"})
    write_into(tmp_path / "a" / "b", {"y": b"3"}, force=True)
    assert paths[1].read_bytes() == b"3"
    with pytest.raises(OutputError, match="cannot write"):
        write_into(paths[0], {"z": b"4"})
