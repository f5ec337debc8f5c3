"""`trtdbg repro`: what is written, what is not, and every wrong use in one line."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest
from fake_shell import FakeShell

from tests import canned
from trtdbg.commands import repro
from trtdbg.commands.options import Choices
from trtdbg.errors import ExitCode, OutputError, UsageError
from trtdbg.outputs import reproducer
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Recipe, RecipeGraph, RecipeKind, Report, Verdict
from trtdbg.session import trial
from trtdbg.session.messages import Reproduce

CHOICES = Choices(policy=TruncationPolicy(), settings=Settings(), target=None)


def recipe(**changes: object) -> Recipe:
    graph = RecipeGraph(
        lines=('x0 = one.input("x0", tensor([2], torch.float64), "fresh", inner=False)',),
        expected=Verdict.REJECT,
    )
    accepted = msgspec.structs.replace(graph, expected=Verdict.ACCEPT)
    made = Recipe(
        kind=RecipeKind.REJECTED,
        code="TD101",
        nodes=("_to_copy",),
        target="aten._to_copy.default",
        message="rejects because dtype=float64",
        before=graph,
        after=accepted,
    )
    return msgspec.structs.replace(made, **changes)


def report(*recipes: Recipe) -> Report:
    return msgspec.structs.replace(canned.UPSTREAM, recipes=recipes)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the scripts that were run; each succeeds whose node is not called `wrong`."""
    names: list[str] = []

    def run(name: str, text: str) -> trial.Trial:
        names.append(name)
        ast.parse(text)
        good = "wrong" not in name
        return trial.Trial(good, "torch 2.13\nreproduced\n", "" if good else "AssertionError")

    monkeypatch.setattr(trial, "run", run)
    return names


def test_each_recipe_is_run_and_then_written(
    model: str, tmp_path: Path, tried: list[str]
) -> None:
    out = tmp_path / "repro"
    shell = FakeShell({model: report(recipe(), recipe(nodes=("_to_copy", "b")))})
    assert repro.run(shell, model, CHOICES, str(out)) is ExitCode.CLEAN
    assert tried == ["td101_to_copy.py", "td101_to_copy_2.py"]
    assert sorted(path.name for path in out.iterdir()) == sorted(tried)
    assert shell.stdout.splitlines() == [str(out / name) for name in tried]
    assert "2 nodes alike" in shell.notes[1]


def test_one_that_does_not_reproduce_is_reported_and_not_written(
    model: str, tmp_path: Path, tried: list[str]
) -> None:
    out = tmp_path / "repro"
    shell = FakeShell({model: report(recipe(nodes=("wrong",)), recipe())})
    assert repro.run(shell, model, CHOICES, str(out)) is ExitCode.FAILED
    assert [path.name for path in out.iterdir()] == ["td101_to_copy.py"]
    assert shell.notes[0] == (
        "wrong (aten._to_copy.default) does not reproduce alone and is not written: "
        "AssertionError"
    )


def test_issue_holds_the_script_and_what_it_printed(
    model: str, tmp_path: Path, tried: list[str]
) -> None:
    out = tmp_path / "repro"
    shell = FakeShell({model: report(recipe())})
    repro.run(shell, model, CHOICES, str(out), issue=True)
    text = (out / "td101_to_copy.md").read_text()
    assert text.startswith("# aten._to_copy.default: the validator's answer hangs on")
    assert (out / "td101_to_copy.py").read_text() in text
    assert "```text\ntorch 2.13\nreproduced\n```" in text


def test_nothing_to_reproduce_writes_nothing(model: str, tmp_path: Path) -> None:
    shell = FakeShell({model: report()})
    assert repro.run(shell, model, CHOICES, str(tmp_path / "repro")) is ExitCode.CLEAN
    assert shell.notes == [f"{model}: nothing to reproduce"]
    assert not (tmp_path / "repro").exists()


def test_nodes_and_codes_reach_the_worker_by_code(model: str, tmp_path: Path) -> None:
    shell = FakeShell({model: report()})
    out = str(tmp_path / "repro")
    repro.run(shell, model, CHOICES, out, ("sin",), ("needless-rejection",))
    request = shell.requests[0]
    assert isinstance(request, Reproduce)
    assert (request.nodes, request.codes) == (("sin",), ("TD101",))


def test_wrong_uses_are_refused_before_any_work(model: str, tmp_path: Path) -> None:
    shell = FakeShell()
    with pytest.raises(UsageError, match="there is no reproducer for TD201"):
        repro.run(shell, model, CHOICES, str(tmp_path / "a"), codes=("TD201",))
    with pytest.raises(UsageError, match="holds no program"):
        repro.run(shell, "report.json", CHOICES, str(tmp_path / "a"))
    with pytest.raises(OutputError, match="not empty"):
        repro.run(shell, model, CHOICES, str(tmp_path))
    assert shell.requests == []


@pytest.mark.parametrize("kind", list(RecipeKind))
def test_a_hostile_name_or_message_stays_a_comment(kind: RecipeKind) -> None:
    hostile = '"""\nimport os; os.abort()\n\x1b{{ 1 }}\\'
    made = recipe(kind=kind, nodes=(hostile,), message=hostile, sentence=hostile)
    text = reproducer.script(report(made), made, "x.py")
    tree = ast.parse(text)
    assert "abort" not in {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert "\x1b" not in text
    assert reproducer.file_stem(made).isidentifier()
