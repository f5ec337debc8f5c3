"""The machinery behind `python -m benchmarks`: order, statistics, history, completeness."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from benchmarks import __main__ as command
from benchmarks import history
from benchmarks.measure import Sides, compare
from benchmarks.table import ROWS, Row

ISSUE = {
    "analysis": 1.15,
    "snapshots": 1.05,
    "switch": 0.10,
    "switch-back": 0.05,
    "memory": 1.20,
    "linear": 1.2,
    "first-frame": 1.15,
    "help": 1.0,
    "table-frame": 1.5,
    "table-key": 2.0,
    "open": 3.0,
    "dot": 0.1,
    "second-command": 0.15,
    "second-opening": 0.15,
    "alike": 1.3,
    "low": 1.3,
    "low-evaluation": 1.2,
    "large": 0.36,
    "changed": 0.7,
    "many": 0.10,
    "many-jobs": 0.06,
    "weights": 1.3,
    "weights-memory": 1.0,
    "headline": 0.15,
    "wrong-file": 0.09,
    "bytes-move": 2.0,
    "bytes-page": 8.0,
    "bytes-help": 20.0,
}


def scripted(ours: list[float], reference: list[float], called: list[str]) -> Sides:
    def side(name: str, costs: list[float]) -> float:
        called.append(name)
        return costs.pop(0)

    return Sides(lambda: side("ours", ours), lambda: side("reference", reference))


def test_both_sides_run_in_turn_and_the_warm_up_does_not_count() -> None:
    called: list[str] = []
    spread = compare(scripted([90.0, 2.0, 6.0], [1.0, 1.0, 2.0], called), 2, warm_up=True)
    assert called == ["reference", "ours"] * 3
    assert (spread.median, spread.least, spread.most) == (2.5, 2.0, 3.0)
    assert spread.rounds == 2


def test_a_ratio_is_made_of_the_two_sides_of_one_round() -> None:
    # A slow moment in the second round slows both sides down.
    spread = compare(scripted([2.0, 20.0, 2.0], [1.0, 10.0, 1.0], []), 3, warm_up=False)
    assert (spread.least, spread.most) == (2.0, 2.0)


def test_no_round_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one round"):
        compare(scripted([], [], []), 0, warm_up=False)


def test_every_row_of_the_issue_is_measured_against_its_goal() -> None:
    assert {row.name: row.goal for row in ROWS} == ISSUE
    assert all(row.subjects for row in ROWS)


def fake_row(name: str, ratio: float) -> Row:
    def sides(_: str) -> Sides:
        return Sides(lambda: ratio, lambda: 1.0)

    return Row(name, "what", "against", 1.0, ("subject", "other"), sides)


def test_a_run_prints_its_rows_adds_one_line_and_says_what_missed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "ROWS", (fake_row("good", 0.5), fake_row("bad", 1.5)))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("XDG_STATE_HOME", "")
    file = tmp_path / "history.jsonl"
    assert command.main(["good", "--history", str(file)]) == 0
    assert command.main(["--quick", "--history", str(file)]) == 1
    assert command.main(["--quick", "--no-record", "--history", str(file)]) == 1
    assert "over their goals: bad" in capsys.readouterr().out
    first, second = (
        msgspec.json.decode(line, type=history.Run) for line in file.read_bytes().splitlines()
    )
    assert [(r.row, r.subject, r.rounds) for r in first.results] == [
        ("good", "subject", 5),
        ("good", "other", 5),
    ]
    assert [(r.row, r.reached) for r in second.results] == [("good", True), ("bad", False)]


def test_an_unknown_row_is_named_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["speed"])
    assert ended.value.code == 2
    assert "no row is called 'speed'" in capsys.readouterr().err


def test_the_history_names_no_machine_and_no_folder() -> None:
    known = {"time", "commit", "cores", "python", "versions", "results"}
    for line in history.FILE.read_text().splitlines():
        assert set(json.loads(line)) == known
        assert "/" not in line
