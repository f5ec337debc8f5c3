"""What an interrupted comparison has made is taken up again, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from trtdbg.analysis.comparison import Row, without_figures
from trtdbg.batch.journal import Journal, key
from trtdbg.batch.rows import Numbers, Task
from trtdbg.errors import OutputError, WorkerError
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.worker.messages import Access, Job


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.pt2"
    path.write_bytes(b"PK")
    return path


@pytest.fixture
def kept(tmp_path: Path) -> str:
    return str(tmp_path / "rows.journal")


def task(model: Path, **changes: object) -> Task:
    job = Job(model=str(model), settings=Settings())
    plain = Task(model=model.name, name="late", policy=TruncationPolicy(), job=job)
    return msgspec.structs.replace(plain, **changes)


def row(task: Task, engines: int = 3) -> Row:
    return Row(
        model=task.model,
        name=task.name,
        policy=task.policy,
        settings=task.job.settings,
        engines=engines,
    )


def keep(path: str, *tasks: Task) -> None:
    with Journal(path) as journal:
        for each in tasks:
            assert journal.find(each) is None
            journal.keep(each, row(each))


def test_a_finished_row_is_known_to_the_next_run(model: Path, kept: str) -> None:
    keep(kept, task(model))
    with Journal(kept) as journal:
        assert journal.find(task(model)) == row(task(model))


def test_a_moved_model_and_a_renamed_policy_are_the_same(model: Path, kept: str) -> None:
    keep(kept, task(model))
    other = model.rename(model.with_name("moved.pt2"))
    renamed = task(other, name="mine.toml")
    with Journal(kept) as journal:
        assert journal.find(renamed) == row(renamed)


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": TruncationPolicy(timing=Timing.EARLY)},
        {"build": False},
        {"cache": False},
        {"numbers": Numbers()},
        {"job": Job(model="net.pt2", settings=Settings.as_compiled())},
        {"job": Job(model="net.pt2", settings=Settings(), target="sm89")},
        {"job": Job(model="net.pt2", settings=Settings(), access=Access(trust=True))},
    ],
)
def test_a_row_of_other_options_is_another_one(
    model: Path, kept: str, changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    plain = task(model, job=Job(model="net.pt2", settings=Settings()))
    keep(kept, plain)
    with Journal(kept) as journal:
        assert journal.find(plain) is not None
        assert journal.find(msgspec.structs.replace(plain, **changes)) is None


def test_limits_do_not_make_another_row(model: Path) -> None:
    limited = Job(
        model=str(model), settings=Settings(), access=Access(time_limit=1, memory_limit=2)
    )
    assert key(task(model, job=limited)) == key(task(model))


def test_files_count_by_what_they_hold(model: Path, tmp_path: Path) -> None:
    values = tmp_path / "values.npz"
    values.write_bytes(b"1")
    given = task(model, numbers=Numbers(inputs=str(values)))
    keys = {key(given)}
    values.write_bytes(b"2")
    keys.add(key(given))
    model.write_bytes(b"PK2")
    keys.add(key(given))
    assert len(keys) == 3


def test_another_version_of_trtdbg_makes_its_own_rows(
    model: Path, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(kept, task(model))
    monkeypatch.setattr("trtdbg.batch.identity.__version__", "99")
    with Journal(kept) as journal:
        assert journal.find(task(model)) is None


def test_a_row_that_ended_in_an_error_is_tried_again(model: Path, kept: str) -> None:
    made = task(model)
    with Journal(kept) as journal:
        assert journal.find(made) is None
        died = WorkerError("the worker died")
        journal.keep(made, without_figures("net.pt2", "late", made.policy, Settings(), died))
    with Journal(kept) as journal:
        assert journal.find(made) is None


def test_a_last_line_that_was_torn_costs_that_row_alone(model: Path, kept: str) -> None:
    first, second = task(model), task(model, build=False)
    keep(kept, first, second)
    whole = Path(kept).read_bytes()
    lines = whole.splitlines(keepends=True)
    for length in (1, 20, len(lines[2]) - 1):
        Path(kept).write_bytes(b"".join(lines[:2]) + lines[2][:length])
        with Journal(kept) as journal:
            assert journal.find(first) == row(first)
            assert journal.find(second) is None
            journal.keep(second, row(second))
        assert Path(kept).read_bytes() == whole


@pytest.mark.parametrize("length", [0, 1, 10])
def test_a_torn_first_line_is_written_anew(model: Path, kept: str, length: int) -> None:
    keep(kept, task(model))
    whole = Path(kept).read_bytes()
    Path(kept).write_bytes(whole[:length])
    keep(kept, task(model))
    assert Path(kept).read_bytes() == whole


@pytest.mark.parametrize("content", [b"PK\x03\x04 a model", b"{}\n", b"x" * 5000 + b"\n"])
def test_another_file_is_kept_as_it_is(kept: str, content: bytes) -> None:
    Path(kept).write_bytes(content)
    with pytest.raises(OutputError, match="is no file of `compare --resume` and is kept"):
        Journal(kept)
    assert Path(kept).read_bytes() == content


def test_a_damaged_line_in_the_middle_is_passed_over(model: Path, kept: str) -> None:
    first, second = task(model), task(model, build=False)
    keep(kept, first, second)
    lines = Path(kept).read_bytes().splitlines(keepends=True)
    lines[1] = b'{"key": "x"}\n'
    Path(kept).write_bytes(b"".join(lines))
    with Journal(kept) as journal:
        assert journal.find(first) is None
        assert journal.find(second) == row(second)


def test_two_runs_do_not_share_a_file(kept: str) -> None:
    with Journal(kept), pytest.raises(OutputError, match="in use by another run"):
        Journal(kept)
    with Journal(kept):
        pass


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "rows"):
        with pytest.raises(OutputError, match="cannot write"):
            Journal(str(path))
