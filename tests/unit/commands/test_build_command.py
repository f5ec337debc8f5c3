from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from fake_shell import FakeShell

from tests import canned
from trtdbg.commands import build
from trtdbg.commands.options import Choices
from trtdbg.errors import ExitCode, OutputError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import BuildRecord
from trtdbg.session.messages import Build

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
        build.run(shell, (model,), CHOICES, cache=cache)
        (request,) = shell.requests
        assert isinstance(request, Build)
        assert request.cache is cache


def test_an_engine_from_the_cache_and_tensorrts_warnings_are_named(model: str) -> None:
    warned = msgspec.structs.replace(canned.BUILT, cached=True, log=("slow", "slow"))
    shell = FakeShell({model: canned.built(canned.UPSTREAM, canned.BUILT, warned)})
    build.run(shell, (model,), CHOICES)
    assert "cached" in shell.stdout
    assert "Engine 1, TensorRT: slow (2 times)" in shell.stdout
