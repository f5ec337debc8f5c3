"""No string of a report, sent through any output, steers a terminal, a CI or a reader."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from tests import canned
from tests.poison import MARK, commands, poisoned, steering
from trtdbg import cli, plain
from trtdbg.outputs import report_pages
from trtdbg.outputs.report import encode
from trtdbg.outputs.repro import reproducer
from trtdbg.records import Recipe, RecipeGraph, RecipeKind, Report, Verdict

BUILT = canned.built(canned.UPSTREAM, canned.BUILT, canned.FAILED)


@pytest.fixture(params=[False, True], ids=["behind", "before"])
def evil(request: pytest.FixtureRequest) -> Report:
    report: Report = poisoned(BUILT, first=request.param)
    return report


@pytest.fixture
def saved(evil: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.json"
    path.write_bytes(msgspec.json.encode(evil))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("report",), 0),
        (("report", "--all-nodes"), 0),
        (("report", "--json", "-"), 0),
        (("report", "--by", "line"), 0),
        (("report", "--by", "module"), 0),
        (("report", "--by", "operator"), 0),
        (("report", "--by", "line", "--format", "markdown", "-o", "out.md"), 0),
        (("report", "--by", "module", "--format", "html", "-o", "out.html"), 0),
        (("report", "--redact"), 0),
        (("report", "--redact-names", "--format", "markdown"), 0),
        (("report", "--format", "markdown", "--all-nodes", "-o", "out.md"), 0),
        (("report", "--format", "html", "-o", "out.html"), 0),
        (("report", "--format", "markdown"), 0),
        (("check",), 1),
        (("check", "--format", "text", "-o", "out"), 1),
        (("check", "--format", "junit"), 1),
        (("check", "--format", "junit", "-o", "out"), 1),
        (("check", "--format", "sarif"), 1),
        (("check", "--format", "sarif", "-o", "out"), 1),
        (("check", "--format", "json"), 1),
        (("report", "--format", "model-explorer", "-o", "out"), 0),
        (("diff", "evil.json", "-o", "out.dot"), 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_saved_report_steers_nobody(
    arguments: tuple[str, ...],
    code: int,
    saved: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended, out, err = run(capsys, arguments[0], str(saved), *arguments[1:])
    assert ended == code, err
    files = [path for path in tmp_path.iterdir() if path.name.startswith("out")]
    assert len(files) == ("-o" in arguments)
    result = files[0].read_text("utf-8") if files else out
    assert result.count(MARK) > 3, "it is the report that was printed"
    for text in (out, err, result):
        assert not steering(text)
    assert not commands(out + err)


def test_github_gets_only_the_commands_that_are_ours(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(capsys, "check", str(saved), "--format", "github")
    assert not steering(out)
    ours = ("::notice ", "::warning ", "::error ")
    findings = [line for line in out.splitlines() if line.startswith(ours)]
    assert len(findings) == len(BUILT.findings)
    assert len(out.splitlines()) == len(findings) + 1


def test_what_changed_steers_nobody(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("clean.json").write_bytes(msgspec.json.encode(BUILT))
    for before, after in ((str(saved), "clean.json"), ("clean.json", str(saved))):
        code, out, err = run(capsys, "diff", before, after, "--by", "cause")
        assert code == 0, err
        assert MARK in out
        assert not steering(out + err)
        assert not commands(out + err)


def test_junit_is_xml(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "check", str(saved), "--format", "junit")
    assert ElementTree.fromstring(out).tag == "testsuites"


def test_json_loses_nothing(evil: Report) -> None:
    data = encode([evil])
    assert not steering(data.decode())
    assert msgspec.json.decode(data, type=Report) == evil
    astral = {"name": "\U000e0001\x7f\u202e"}
    assert json.loads(plain.escaped_json(msgspec.json.encode(astral))) == astral


def test_pages_steer_nobody(evil: Report) -> None:
    for text in (
        report_pages.markdown([evil], all_nodes=True),
        report_pages.page([evil]),
        report_pages.fragment(evil),
    ):
        assert not steering(text)
    assert not commands(report_pages.markdown([evil], all_nodes=True))


def test_a_reproducer_steers_nobody_and_is_python(evil: Report) -> None:
    graph = RecipeGraph(lines=("x = 1",), expected=Verdict.REJECT)
    recipe = Recipe(
        kind=RecipeKind.FALSE_ACCEPT,
        code="TD102",
        nodes=("mul",),
        target="aten.mul.Tensor",
        message="refused",
        before=graph,
        after=graph,
        sentence="it cannot",
    )
    attack: Recipe = poisoned(recipe)
    # The lines are made from the graph, as Python, by the worker.
    attack = msgspec.structs.replace(attack, before=graph, after=graph)
    text = reproducer.script(evil, attack, "repro.py")
    assert not steering(text)
    compile(text, "repro.py", "exec")
    assert not steering(reproducer.issue(evil, attack, text, "printed\x1b[2J"))


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
@pytest.mark.parametrize("kind", ["svg", "html"])
def test_a_picture_steers_nobody(
    kind: str, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "diff", str(saved), str(saved), "-o", f"out.{kind}")
    assert code == 0, err
    assert not steering((tmp_path / f"out.{kind}").read_text("utf-8"))


@pytest.mark.parametrize(
    "text", ["::error::x", "  ::error::x", "a\n::add-mask::x", "x ##[group]y", "##vso[a.b]c"]
)
def test_no_line_is_a_command(text: str) -> None:
    assert commands(text)
    assert not commands(plain.without_commands(text))


@pytest.mark.parametrize("text", ["a::b", "# ## title", "torch::ops", "x #[1]"])
def test_what_is_no_command_stays(text: str) -> None:
    assert plain.without_commands(text) == text


def test_a_long_error_keeps_what_to_do() -> None:
    text = plain.shortened("x" * 1000 + "; export it again", 100)
    assert len(text) == 100
    assert text.endswith("…; export it again")
    assert len(plain.shortened("y" * 1000, 100)) == 100
    assert plain.shortened("short; one", 100) == "short; one"
