from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import msgspec
import pytest
from fake_crew import FakeCrew
from fake_shell import FakeShell

from tests import canned
from trtdbg.analysis.findings import Evidence, find
from trtdbg.commands import build
from trtdbg.commands import crew as crew_options
from trtdbg.commands.options import Choices
from trtdbg.errors import ExitCode, OutputError, UsageError, WorkerError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import BuildRecord
from trtdbg.worker.alone import answered
from trtdbg.worker.messages import Build

CHOICES = Choices(policy=TruncationPolicy(), settings=Settings(), target=None)


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (canned.BUILT, ExitCode.CLEAN),
        (canned.FAILED, ExitCode.FAILED),
        (canned.UNAVAILABLE, ExitCode.UNAVAILABLE),
    ],
)
def test_exit_code_tells_how_the_builds_ended(
    model: str, second: BuildRecord, code: ExitCode
) -> None:
    shell = FakeShell({model: canned.built(canned.UPSTREAM, canned.BUILT, second)})
    assert build.run(shell, (model,), CHOICES) is code


def test_tensorrts_own_sentence_and_the_missing_run_time_are_shown(model: str) -> None:
    shell = FakeShell({model: canned.built(canned.UPSTREAM, canned.BUILT, canned.FAILED)})
    build.run(shell, (model,), CHOICES)
    assert canned.FAILED.error is not None
    assert canned.FAILED.error in " ".join(shell.stdout.split())
    assert "Execution time not available: no CUDA device" in shell.stdout
    assert "0.41" in shell.stdout
    assert "34.5 kB" in shell.stdout


def test_json_holds_the_build_records(model: str) -> None:
    shell = FakeShell({model: canned.built(canned.UPSTREAM, canned.BUILT, canned.FAILED)})
    build.run(shell, (model,), CHOICES, json_to="-")
    builds = [engine["build"] for engine in json.loads(shell.stdout)["engines"]]
    assert [record["status"] for record in builds] == ["built", "failed"]
    assert builds[0]["bytes"] == 34_512


def test_several_models_are_saved_into_a_folder_each(tmp_path: Path) -> None:
    models = [tmp_path / name / "net.pt2" for name in ("a", "b")]
    for path in models:
        path.parent.mkdir()
        path.write_bytes(b"PK")
    names = tuple(str(path) for path in models)
    shell = FakeShell(dict.fromkeys(names, canned.CLEAN))
    save = tmp_path / "engines"
    build.run(shell, names, CHOICES, save=str(save))
    saved = [request.save for request in shell.requests if isinstance(request, Build)]
    assert saved == [str(save / "net"), str(save / "net-2")]


def test_a_filled_save_folder_is_kept_without_force(model: str, tmp_path: Path) -> None:
    shell = FakeShell({model: canned.CLEAN})
    with pytest.raises(OutputError, match="not empty"):
        build.run(shell, (model,), CHOICES, save=str(tmp_path))
    assert shell.requests == []
    build.run(shell, (model,), CHOICES, save=str(tmp_path), force=True)
    assert shell.requests[0].save == str(tmp_path)  # type: ignore[union-attr]


def test_a_failed_lowering_is_no_clean_build(model: str) -> None:
    shell = FakeShell({model: canned.LOWERING_FAILED})
    assert build.run(shell, (model,), CHOICES) is ExitCode.FAILED


def test_a_saved_report_cannot_be_built() -> None:
    shell = FakeShell()
    assert build.run(shell, ("saved.json",), CHOICES) is ExitCode.USAGE
    assert "give the .pt2 file" in shell.failures[0][1]


def test_no_cache_asks_for_a_build_anew(model: str) -> None:
    for cache in (True, False):
        shell = FakeShell({model: canned.built(canned.UPSTREAM, canned.BUILT, canned.BUILT)})
        build.run(shell, (model,), dataclasses.replace(CHOICES, cache=cache))
        (request,) = shell.requests
        assert isinstance(request, Build)
        assert request.cache is cache


def test_an_engine_from_the_cache_and_tensorrts_warnings_are_named(model: str) -> None:
    warned = msgspec.structs.replace(canned.BUILT, cached=True, log=("slow", "slow"))
    shell = FakeShell({model: canned.built(canned.UPSTREAM, canned.BUILT, warned)})
    build.run(shell, (model,), CHOICES)
    assert "cached" in shell.stdout
    assert "Engine 1, TensorRT: slow (2 times)" in shell.stdout


def invoke(shell: FakeShell, *args: str) -> ExitCode:
    code = build.command.main(list(args), obj=shell, standalone_mode=False)
    return ExitCode(code)


def test_models_built_side_by_side_are_told_as_they_end_and_shown_in_order(
    model: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = str(tmp_path / "missing.pt2")
    good = canned.built(canned.LATE, canned.BUILT)
    died = WorkerError("the worker process died of SIGSEGV")
    crew = FakeCrew(lambda request: died if request.job.model == other else good)
    monkeypatch.setattr(crew_options, "LocalCrew", crew)
    shell = FakeShell()
    code = invoke(
        shell,
        *(other, missing, "saved.json", model, "--jobs", "2", "--json", "-"),
        *("--save", str(tmp_path / "engines"), "--no-cache"),
    )
    crashed, absent, saved, built = json.loads(shell.stdout)
    assert crashed["error"] == str(died)
    assert (absent["exit_code"], saved["exit_code"]) == (2, 2)
    assert built["engines"][0]["build"]["status"] == "built"
    assert code is ExitCode.FAILED
    assert shell.notes == [
        f"[3/4] other.pt2: {died}",
        "[4/4] island.pt2: 1 engine: 1 built; no operators left to PyTorch under late",
    ]
    assert [subject for subject, _ in shell.failures] == [other, missing, "saved.json"]
    assert crew.work == {answered}
    assert crew.jobs == 2
    assert [Path(request.save).name for request in crew.tasks] == ["other", "island"]
    assert not any(request.cache for request in crew.tasks)
    assert shell.requests == [], "the program's own worker has nothing to do"


def test_paths_are_absolute_where_a_cluster_builds(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(model).parent
    monkeypatch.chdir(folder)
    crew = FakeCrew(lambda request: canned.built(canned.LATE, canned.BUILT))
    monkeypatch.setattr(crew_options, "DaskCrew", lambda address: crew)
    monkeypatch.setattr(FakeCrew, "workers", lambda self: 4, raising=False)
    shell = FakeShell()
    words = ("--dask", "tcp://h:1", "--save", "engines", "--import", "ops.py")
    assert invoke(shell, "island.pt2", *words) is ExitCode.CLEAN
    (request,) = crew.tasks
    assert request.job.model == model
    assert request.save == str(folder / "engines")
    assert request.job.access.imports == (str(folder / "ops.py"),)
    assert not any("no workers" in note for note in shell.notes)


def test_here_and_elsewhere_do_not_go_together(model: str) -> None:
    with pytest.raises(UsageError, match="leave one out"):
        invoke(FakeShell(), model, "--jobs", "2", "--dask", "tcp://h:1")


@pytest.mark.parametrize(("node", "pointed"), [(None, 1), ("sin", 0)])
def test_a_refusal_that_names_no_operator_points_on_to_what_finds_them(
    model: str, node: str | None, pointed: int
) -> None:
    refused = msgspec.structs.replace(canned.FAILED, node=node, error="no kernel")
    report = canned.built(canned.LATE, refused)
    shell = FakeShell(
        {model: msgspec.structs.replace(report, findings=tuple(find(report, Evidence())))}
    )
    assert build.run(shell, (model,), CHOICES) is ExitCode.FAILED
    assert len([note for note in shell.notes if "--code TD503" in note]) == pointed


def test_no_name_of_a_model_leads_out_of_the_folder(tmp_path: Path) -> None:
    from trtdbg.commands.build import _save_folders

    models = ("a/...pt2", "b/..pt2", "x.pt2", "c/...pt2")
    names = [Path(str(folder)).name for folder in _save_folders(models, str(tmp_path))]
    assert names == ["model", "model-2", "x", "model-3"]
