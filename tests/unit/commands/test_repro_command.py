"""`trtdbg repro`: what is written, what is not, and every wrong use in one line."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import msgspec
import pytest
from fake_shell import FakeShell

from tests import canned
from trtdbg.commands import reduction, repro
from trtdbg.commands.options import Choices
from trtdbg.errors import ExitCode, OutputError, UsageError
from trtdbg.outputs.repro import lowering, reduced, reproducer
from trtdbg.outputs.repro.lowering import RaisingPart
from trtdbg.outputs.repro.reduced import Reduced
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import Recipe, RecipeGraph, RecipeKind, Report, Source, Verdict
from trtdbg.worker import trial
from trtdbg.worker.messages import Access, Reproduce

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

    def run(name: str, text: str, *, beside: object = None) -> trial.Trial:
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


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the worker of a search answer as the model's name says: see `breaking.py`."""
    monkeypatch.setattr(reduction, "HANDLER", "tests.breaking:Breaking")


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Returns the path of a model whose engine is refused for operators 3 and 7."""
    monkeypatch.chdir(tmp_path)
    Path("refuse:3,7").write_bytes(b"PK")
    return "refuse:3,7"


def one_engine(*recipes: Recipe) -> Report:
    engine = msgspec.structs.replace(canned.UPSTREAM.engines[0], nodes=("_to_copy", "mul"))
    return msgspec.structs.replace(canned.UPSTREAM, engines=(engine,), recipes=recipes)


def test_an_engine_is_cut_down_run_and_written(
    refused: str, tmp_path: Path, tried: list[str], breaking: None
) -> None:
    out = tmp_path / "repro"
    shell = FakeShell({refused: one_engine()})
    code = repro.run(shell, refused, CHOICES, str(out), codes=("TD503",), issue=True)
    assert code is ExitCode.CLEAN
    assert tried == ["td503_engine_0.py"]
    names = ["td503_engine_0.pt2", "td503_engine_0.py", "td503_engine_0.md"]
    assert shell.stdout.splitlines() == [str(out / name) for name in names]
    assert (out / names[0]).read_text() == "(3, 7)"
    script = (out / names[1]).read_text()
    assert "#   v7 = aten.op7()" in script
    assert "no kernel for layer of # bytes" in script
    assert shell.notes[-1].startswith("reproduced: engine 0, 2 of 40 operators, ")


def test_a_part_that_does_not_reproduce_is_not_written(
    refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaking: None
) -> None:
    def run(name: str, text: str, *, beside: object = None) -> trial.Trial:
        return trial.Trial(False, "", "AssertionError")

    monkeypatch.setattr(trial, "run", run)
    out = tmp_path / "repro"
    shell = FakeShell({refused: one_engine()})
    assert repro.run(shell, refused, CHOICES, str(out), codes=("TD503",)) is ExitCode.FAILED
    assert not out.exists()
    assert "do not reproduce in a fresh process and are not written" in shell.notes[-1]


def test_engines_that_build_are_nothing_to_reproduce(
    tmp_path: Path, tried: list[str], breaking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("refuse:99").write_bytes(b"PK")
    shell = FakeShell({"refuse:99": one_engine()})
    code = repro.run(shell, "refuse:99", CHOICES, str(tmp_path / "a"), codes=("TD503",))
    assert code is ExitCode.CLEAN
    assert shell.notes[-1].endswith("nothing to reproduce, TensorRT refuses no engine")


def test_a_false_accept_that_is_none_alone_has_its_engine_cut_down(
    refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaking: None
) -> None:
    def run(name: str, text: str, *, beside: object = None) -> trial.Trial:
        return trial.Trial(beside is not None, "reproduced", "AssertionError")

    monkeypatch.setattr(trial, "run", run)
    false = recipe(kind=RecipeKind.FALSE_ACCEPT, code="TD102", nodes=("mul",), sentence="no")
    shell = FakeShell({refused: one_engine(false)})
    out = tmp_path / "repro"
    codes = ("TD102", "TD503")
    assert repro.run(shell, refused, CHOICES, str(out), codes=codes) is ExitCode.CLEAN
    assert sorted(path.name for path in out.iterdir()) == [
        "td503_engine_0.pt2",
        "td503_engine_0.py",
    ]
    assert any("does not reproduce alone" in note for note in shell.notes)


def test_what_was_tried_is_kept_and_a_node_chooses_its_engine(
    refused: str, tmp_path: Path, tried: list[str], breaking: None
) -> None:
    kept = str(tmp_path / "tried")
    for number, known in enumerate((False, True)):
        shell = FakeShell({refused: one_engine()})
        out = str(tmp_path / f"out{number}")
        words = ("TD503",)
        repro.run(shell, refused, CHOICES, out, ("mul",), words, resume=kept)
        assert any("attempts are known from" in note for note in shell.notes) == known
    assert len(tried) == 2


def test_what_was_found_when_the_time_was_over_is_written(
    tmp_path: Path, tried: list[str], breaking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("slow:0,39").write_bytes(b"PK")
    shell = FakeShell({"slow:0,39": one_engine()})
    choices = dataclasses.replace(CHOICES, access=Access(time_limit=6))
    out = tmp_path / "a"
    assert repro.run(shell, "slow:0,39", choices, str(out), codes=("TD503",)) is ExitCode.CLEAN
    assert (out / "td503_engine_0.pt2").read_text() != str((0, 39))
    assert "fewer may do" in (out / "td503_engine_0.py").read_text()
    assert "ended by --time-limit" in shell.notes[-1]


@pytest.mark.parametrize("crashed", [False, True])
def test_a_hostile_sentence_or_graph_stays_text(crashed: bool) -> None:
    hostile = '"""\nimport os; os.abort()\n\x1b{{ 1 }}\\'
    told = Reduced(
        code="TD503",
        engine=0,
        operators=(hostile,),
        graph=(hostile,),
        whole=3,
        sentence=hostile,
        crashed=crashed,
    )
    text = reduced.script(report(), told, "td503_engine_0")
    tree = ast.parse(text)
    assert "abort" not in {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert "\x1b" not in text


def raised(node: str | None = None) -> Report:
    *good, last = canned.LOWERING_FAILED.passes
    passes = (*good, msgspec.structs.replace(last, node=node))
    return msgspec.structs.replace(canned.LOWERING_FAILED, passes=passes)


def test_a_program_whose_lowering_raises_is_cut_down_run_and_written(
    refused: str, tmp_path: Path, tried: list[str], breaking: None
) -> None:
    out = tmp_path / "repro"
    shell = FakeShell({refused: raised()})
    assert repro.run(shell, refused, CHOICES, str(out), issue=True) is ExitCode.CLEAN
    assert tried == ["td501_lowering.py"]
    names = ["td501_lowering.pt2", "td501_lowering.py", "td501_lowering.md"]
    assert shell.stdout.splitlines() == [str(out / name) for name in names]
    assert (out / names[0]).read_text() == "(3, 7)"
    script = (out / names[1]).read_text()
    assert "#   v7 = aten.op7()" in script
    assert "no kernel for layer of # bytes" in script
    assert "pre_export_lowering(program, options)" in script
    said = "reproduced: lowering pass fuse_prims_broadcast, 2 of 40 operators, "
    assert shell.notes[-1].startswith(said)
    title = "# lowering pass fuse_prims_broadcast raises on 2 operators"
    assert (out / names[2]).read_text().startswith(title)


def test_what_raises_as_a_whole_only_is_written_as_a_whole(
    tmp_path: Path, tried: list[str], breaking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("whole:0").write_bytes(b"PK")
    shell = FakeShell({"whole:0": raised()})
    out = tmp_path / "repro"
    assert repro.run(shell, "whole:0", CHOICES, str(out)) is ExitCode.CLEAN
    assert (out / "td501_lowering.pt2").read_text() == str(tuple(range(40)))
    assert "No smaller part was found" in (out / "td501_lowering.py").read_text()
    assert "taken as it is" in shell.notes[0]


def test_a_program_that_is_lowered_as_it_was_exported_has_no_reproducer(
    tmp_path: Path, tried: list[str], breaking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("refuse:99").write_bytes(b"PK")
    shell = FakeShell({"refuse:99": raised()})
    out = tmp_path / "repro"
    assert repro.run(shell, "refuse:99", CHOICES, str(out)) is ExitCode.FAILED
    assert tried == []
    assert "is lowered without an exception" in shell.notes[-1]


def test_a_pass_is_reproduced_where_it_is_asked_for(
    refused: str, tmp_path: Path, tried: list[str], breaking: None
) -> None:
    for code, ended in {"TD501": ExitCode.CLEAN, "TD101": ExitCode.FAILED}.items():
        shell = FakeShell({refused: raised()})
        out = str(tmp_path / code)
        assert repro.run(shell, refused, CHOICES, out, codes=(code,)) is ended
    assert len(tried) == 1


@pytest.mark.parametrize("crashed", [False, True])
def test_a_hostile_exception_stays_text(crashed: bool) -> None:
    hostile = '"""\nimport os; os.abort()\n\x1b{{ 1 }}\\'
    part = RaisingPart(
        pass_name=hostile,
        operators=(hostile,),
        graph=(hostile,),
        whole=3,
        sentence=hostile,
        crashed=crashed,
    )
    text = lowering.script(report(), part)
    tree = ast.parse(text)
    assert "abort" not in {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert "\x1b" not in text


def test_the_search_is_offered_where_a_model_is_not_written_over(model: str) -> None:
    with pytest.raises(UsageError, match="--resume would write to the model"):
        repro.command.main(
            [model, "-o", "x", "--resume", "y.pt2"], obj=FakeShell(), standalone_mode=False
        )


def test_a_redacted_issue_names_neither_source_nor_paths(
    model: str, tmp_path: Path, tried: list[str]
) -> None:
    out = tmp_path / "repro"
    source = Source(file="/home/ada/net.py", line=41, code="y = self.secret(x)")
    said = "at /home/ada/net.py: y = self.secret(x)"
    told = msgspec.structs.replace(recipe(), source=source, message=said)
    shell = FakeShell({model: report(told)})
    repro.run(shell, model, CHOICES, str(out), issue=True, redact=True)
    text = "".join(path.read_text() for path in out.iterdir())
    assert tried == ["td101_to_copy.py"]
    assert "secret" not in text
    assert "home" not in text
    assert "at file2.py: <source>" in text
    with pytest.raises(UsageError, match="holds the model"):
        repro.run(shell, model, CHOICES, str(out), codes=("TD503",), redact=True, force=True)
