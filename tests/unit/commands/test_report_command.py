from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from fake_shell import FakeShell

from tests import canned
from trtdbg.analysis.causes import derive
from trtdbg.commands import report
from trtdbg.commands.models import Run
from trtdbg.commands.options import Choices
from trtdbg.errors import CancelledError, ExitCode, OutputError, UsageError, WorkerError
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import Consequence, Consequences, Cure, CureKind, Report
from trtdbg.worker.messages import Analyze, Job, Measure, Weigh

CHOICES = Choices(
    policy=TruncationPolicy(timing=Timing.UPSTREAM), settings=Settings(), target="sm89"
)


def test_the_worker_is_asked_for_the_chosen_policy_settings_and_target(model: str) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    assert report.run(shell, (model,), CHOICES) is ExitCode.CLEAN
    job = Job(model=model, settings=CHOICES.settings, target="sm89")
    assert shell.requests == [Analyze(job=job, policy=CHOICES.policy)]
    assert "2 engines, 1 operator left to PyTorch" in shell.stdout


def test_json_of_one_model_is_an_object_that_reads_back(model: str) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    report.run(shell, (model,), CHOICES, json_to="-")
    assert msgspec.json.decode(shell.stdout, type=Report) == canned.UPSTREAM


def test_json_of_several_models_is_a_list_in_order_with_an_entry_for_the_failed(
    model: str, other: str, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing.pt2")
    shell = FakeShell({model: canned.UPSTREAM, other: WorkerError("the worker died")})
    code = report.run(shell, (other, missing, model), CHOICES, json_to="-")
    crashed, absent, good = json.loads(shell.stdout)
    assert crashed["model"]["path"] == other
    assert (crashed["error"], crashed["exit_code"]) == ("the worker died", 4)
    assert absent["exit_code"] == 2
    assert good["schema"] == "trtdbg.report/1"
    assert code is ExitCode.FAILED
    assert [subject for subject, _ in shell.failures] == [other, missing]


def test_json_file_is_written_beside_the_tables_and_kept_without_force(
    model: str, tmp_path: Path
) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    target = str(tmp_path / "out.json")
    report.run(shell, (model,), CHOICES, json_to=target)
    assert "2 engines" in shell.stdout
    assert shell.notes == [f"wrote {target}"]
    with pytest.raises(OutputError, match="--force"):
        report.run(shell, (model,), CHOICES, json_to=target)
    assert len(shell.requests) == 1, "an output that exists is refused before any work"
    report.run(shell, (model,), CHOICES, json_to=target, force=True)


def test_a_saved_report_is_shown_without_the_worker(model: str, tmp_path: Path) -> None:
    saved = str(tmp_path / "saved.json")
    default = Choices(policy=TruncationPolicy(), settings=Settings(), target=None)
    report.run(FakeShell({model: canned.UPSTREAM}), (model,), default, json_to=saved)
    shell = FakeShell()
    assert report.run(shell, (saved,), default) is ExitCode.CLEAN
    assert shell.requests == []
    assert "under upstream" in shell.stdout


def test_a_policy_flag_with_a_saved_report_is_refused(tmp_path: Path) -> None:
    shell = FakeShell()
    choices = Choices(TruncationPolicy(), Settings(), None, given=("policy_file",))
    assert report.run(shell, ("saved.json",), choices) is ExitCode.USAGE
    assert "--policy does not go with the saved report" in shell.failures[0][1]


def test_a_failed_lowering_pass_ends_with_exit_code_4_and_still_shows_the_passes(
    model: str,
) -> None:
    shell = FakeShell({model: canned.LOWERING_FAILED})
    assert report.run(shell, (model,), CHOICES) is ExitCode.FAILED
    assert "pass 'fuse_prims_broadcast' failed" in shell.stdout


def test_cancelling_ends_all_models_at_once(model: str, other: str) -> None:
    shell = FakeShell({model: CancelledError("cancelled"), other: canned.LATE})
    with pytest.raises(CancelledError):
        report.run(shell, (model, other), CHOICES)
    assert len(shell.requests) == 1


@pytest.mark.parametrize(("content", "word"), [(None, "folder"), (b"", "empty")])
def test_what_cannot_be_a_model_never_reaches_the_worker(
    tmp_path: Path, content: bytes | None, word: str
) -> None:
    path = tmp_path / "odd.pt2"
    path.mkdir() if content is None else path.write_bytes(content)
    shell = FakeShell()
    assert report.run(shell, (str(path),), CHOICES) is ExitCode.USAGE
    assert word in shell.failures[0][1]
    assert shell.requests == []


def invoke(shell: FakeShell, *args: str) -> None:
    """Runs the command as the command line does, with its own parsing."""
    report.command.main(list(args), obj=shell, standalone_mode=False)


def test_numerics_asks_for_a_run_with_the_tolerance_chosen(model: str) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    invoke(shell, model, "--numerics", "--seed", "7", "--atol", "0.5", "--timing", "upstream")
    policy = TruncationPolicy(timing=Timing.UPSTREAM)
    job = Job(model=model, settings=Settings())
    assert shell.requests == [
        Measure(job=job, policy=policy, seed=7, atol=0.5),
        Analyze(job=job, policy=policy),
    ]


@pytest.mark.parametrize("spelling", ["--inputs {}", "--inputs={}", "--input-values {}"])
@pytest.mark.parametrize("file", ["values.npz", "folder/values.PT"])
def test_inputs_means_a_file_by_its_ending_and_else_the_policy(
    model: str, spelling: str, file: str
) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    words = spelling.format(file).split()
    invoke(shell, model, "--numerics", "--inputs", "float64,int64", *words)
    request = shell.requests[0]
    assert isinstance(request, Measure)
    assert request.inputs == file
    assert request.policy.inputs == ("float64", "int64")


@pytest.mark.parametrize(
    "words", [["--seed", "1"], ["--atol", "1"], ["--rtol", "1"], ["--inputs", "x.npz"]]
)
def test_what_says_how_to_run_wants_numerics(model: str, words: list[str]) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    with pytest.raises(UsageError, match="add --numerics"):
        invoke(shell, model, *words)
    assert shell.requests == []


def test_numerics_of_a_saved_report_is_refused() -> None:
    shell = FakeShell()
    default = Choices(policy=TruncationPolicy(), settings=Settings(), target=None)
    assert report.run(shell, ("saved.json",), default, measured=Run()) is ExitCode.USAGE
    assert "--numerics does not go with the saved report" in shell.failures[0][1]


CONSEQUENCES = Consequences(
    engines=2,
    torch_ops=1,
    refused=1,
    tried=(Consequence(node="softmax", engines=1, torch_ops=0),),
)


def test_consequences_and_suggestion_are_asked_for_once_and_shown(model: str) -> None:
    weighed = msgspec.structs.replace(canned.UPSTREAM, consequences=CONSEQUENCES)
    shell = FakeShell({model: weighed})
    asked = report.Questions(consequences=True, suggestion=True)
    assert report.run(shell, (model,), CHOICES, questions=asked) is ExitCode.CLEAN
    request = shell.requests[-1]
    assert isinstance(request, Weigh)
    assert (request.policy, request.consequences, request.suggestion) == (
        CHOICES.policy,
        True,
        True,
    )
    assert "2 engines become 1" in shell.stdout


def test_a_saved_report_shows_its_consequences_and_has_no_more_to_ask(
    model: str, tmp_path: Path
) -> None:
    default = Choices(policy=TruncationPolicy(), settings=Settings(), target=None)
    saved = str(tmp_path / "saved.json")
    weighed = msgspec.structs.replace(canned.UPSTREAM, consequences=CONSEQUENCES)
    report.run(FakeShell({model: weighed}), (model,), default, json_to=saved)
    shell = FakeShell()
    asked = report.Questions(consequences=True)
    assert report.run(shell, (saved,), default, questions=asked) is ExitCode.CLEAN
    assert "2 engines become 1" in shell.stdout
    asked = report.Questions(suggestion=True)
    assert report.run(shell, (saved,), default, questions=asked) is ExitCode.USAGE
    assert "holds no program" in shell.failures[0][1]
    assert shell.requests == []


def test_a_trace_and_a_bisection_stand_in_place_of_the_tables(model: str) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    wide = next(n.name for n in canned.UPSTREAM.nodes if n.inferred == "float64")
    first = canned.UPSTREAM.graph_nodes[0].name
    asked = report.Questions(traces=(wide,), bisections=(first,))
    assert report.run(shell, (model,), CHOICES, questions=asked) is ExitCode.CLEAN
    assert "because " in shell.stdout
    assert "appeared" in shell.stdout
    assert "Passes" not in shell.stdout


def test_a_misspelled_node_fails_that_model_and_not_the_others(model: str, other: str) -> None:
    shell = FakeShell({model: canned.LOWERING_FAILED, other: canned.UPSTREAM})
    wide = next(n.name for n in canned.UPSTREAM.nodes if n.inferred == "float64")
    asked = report.Questions(traces=(wide,))
    code = report.run(shell, (model, other), CHOICES, questions=asked)
    assert code is ExitCode.USAGE
    assert [subject for subject, _ in shell.failures] == [model]
    assert "because " in shell.stdout


def test_text_about_nodes_does_not_go_into_json_on_stdout(model: str) -> None:
    asked = report.Questions(traces=("x",))
    with pytest.raises(UsageError, match="--json -"):
        report.run(FakeShell(), (model,), CHOICES, json_to="-", questions=asked)


def test_node_data_is_of_one_model_by_the_names_of_the_export(model: str) -> None:
    nodes = tuple(
        msgspec.structs.replace(node, from_node="to") if node.name == "_to_copy" else node
        for node in canned.UPSTREAM.nodes
    )
    shell = FakeShell({model: msgspec.structs.replace(canned.UPSTREAM, nodes=nodes)})
    page = report.ReportPage(report.Format.MODEL_EXPLORER)
    report.run(shell, (model,), CHOICES, page=page)
    data = json.loads(shell.stdout)
    assert data["name"] == "trtdbg: dtypes under upstream"
    assert {name: result["value"] for name, result in data["results"].items()} == {
        "x": "float32",
        "mul": "float32",
        "to": "left to PyTorch, float64",
        "sin": "float64 → float32",
        "weight": "float64 → float32",
    }
    assert {"value", "bgColor", "textColor"} == set(data["results"]["to"])
    with pytest.raises(UsageError, match="of one model"):
        report.run(shell, (model, model), CHOICES, page=page)
    broken = FakeShell({model: WorkerError("the worker died")})
    assert report.run(broken, (model,), CHOICES, page=page) is ExitCode.FAILED
    assert broken.stdout == ""


def test_markdown_goes_to_stdout_and_html_to_a_file(model: str, tmp_path: Path) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    report.run(shell, (model,), CHOICES, page=report.ReportPage(report.Format.MARKDOWN))
    assert shell.stdout.startswith("## island.pt2: 2 engines")
    out = tmp_path / "report.html"
    html = report.ReportPage(report.Format.HTML, str(out))
    report.run(shell, (model, model), CHOICES, page=html)
    assert out.read_text().count("<article>") == 2
    assert shell.notes == [f"wrote {out}"]
    with pytest.raises(OutputError, match="exists and is kept"):
        report.run(FakeShell(), (model,), CHOICES, page=html)


@pytest.mark.parametrize(
    ("page", "json_to", "traces", "told"),
    [
        (report.ReportPage(path="x.md"), None, (), "add --format markdown"),
        (report.ReportPage(report.Format.HTML), "-", (), "both write to stdout"),
        (report.ReportPage(report.Format.HTML), None, ("sin",), "only as text"),
    ],
)
def test_pages_that_cannot_be_delivered_are_refused_before_any_work(
    model: str,
    page: report.ReportPage,
    json_to: str | None,
    traces: tuple[str, ...],
    told: str,
) -> None:
    shell = FakeShell()
    asked = report.Questions(traces=traces)
    with pytest.raises(UsageError, match=told):
        report.run(shell, (model,), CHOICES, page=page, json_to=json_to, questions=asked)
    assert shell.requests == []


def test_by_line_and_by_module_fill_the_records_and_replace_the_tables(model: str) -> None:
    shell = FakeShell({model: canned.UPSTREAM})
    invoke(shell, model, "--by", "line", "--by", "Module", "--json", "-")
    report = msgspec.json.decode(shell.stdout, type=Report)
    assert report.lines is not None
    assert report.modules is not None
    assert report.lines[0].refused == report.modules[0].refused == 1
    shell = FakeShell({model: canned.UPSTREAM})
    invoke(shell, model, "--by", "line")
    assert "island.py:41" in shell.stdout
    assert "Modules" not in shell.stdout


def test_redact_reaches_every_output_and_the_models_that_fail(
    model: str, other: str, tmp_path: Path
) -> None:
    answers = {model: canned.UPSTREAM, other: WorkerError(f"cannot read {other}")}
    shell = FakeShell(answers)
    page, records = tmp_path / "page.html", tmp_path / "records.json"
    arguments = [model, other, "--redact", "--by", "line", "--json", str(records)]
    invoke(shell, *arguments, "--format", "html", "-o", str(page))
    for text in (page.read_text(), records.read_text()):
        assert "x.double()" not in text
        assert "island.p" not in text
        assert str(tmp_path) not in text
    with pytest.raises(UsageError, match="quote the source"):
        invoke(shell, model, "--redact", "--trace", "sin")


def test_it_is_said_that_the_time_for_cures_was_over(model: str) -> None:
    left, failed = derive(canned.UPSTREAM)[0], derive(canned.LOWERING_FAILED)[0]
    cured = msgspec.structs.replace(left, cures=(Cure(kind=CureKind.NONE, say="nothing"),))
    asked = report.Questions(cures=True)
    for causes, told in (((cured, failed), 1), ((cured, cured), 0), ((), 0)):
        shell = FakeShell({model: msgspec.structs.replace(canned.UPSTREAM, causes=causes)})
        assert report.run(shell, (model,), CHOICES, questions=asked) is ExitCode.CLEAN
        said = [note for note in shell.notes if "time for trying cures was over" in note]
        assert len(said) == told
        assert all("1 of 2 causes" in note for note in said)
