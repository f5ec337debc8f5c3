"""Reproducers of failing corpus cases run as python and as pytest, without trtdbg."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.commands.fake_shell import FakeShell
from trtdbg.commands import repro
from trtdbg.commands.options import Choices
from trtdbg.errors import ExitCode
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.worker.messages import Job

CASES = {
    "double_island": ("td101_to_copy",),
    "bool_times_bool": ("td102_mul",),
    "topk_sort_int": ("td103_sort", "td103_getitem_2", "td103_getitem_3"),
    "to_copy_boundary_dynamic": ("td104_to_copy", "rejected_bitwise_and"),
}
"""A case of each kind of failure, and the files that it gives."""

BLOCKED = """
import sys
sys.modules["trtdbg"] = None
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""
"""Runs pytest where every import of trtdbg fails."""


def opened(model: str) -> Any:
    """Returns a session, imported late since it imports torch_tensorrt."""
    from trtdbg.session.session import Session

    return Session(Job(model=model, settings=Settings()), lambda event: None)


@pytest.mark.parametrize("case", CASES)
def test_reproducers_of_a_case_run_green_without_trtdbg(
    case: str,
    corpus_model: Callable[[str], Path],
    torch_tensorrt_ready: None,
    tmp_path: Path,
) -> None:
    model = str(corpus_model(case))
    report = opened(model).reproduce(TruncationPolicy(), (), ())
    shell = FakeShell({model: report})
    choices = Choices(policy=TruncationPolicy(), settings=Settings(), target=None)
    assert repro.run(shell, model, choices, str(tmp_path / "out")) is ExitCode.CLEAN
    files = sorted((tmp_path / "out").iterdir())
    assert [file.stem for file in files] == sorted(CASES[case])
    done = subprocess.run(
        [sys.executable, "-I", "-c", BLOCKED, *map(str, files)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(files)} passed" in done.stdout


def test_float64_weights_fail_under_upstream_and_the_file_says_with_which_words(
    corpus_model: Callable[[str], Path], torch_tensorrt_ready: None
) -> None:
    policy = TruncationPolicy(timing=Timing.UPSTREAM)
    recipes = (
        opened(str(corpus_model("double_conv_weights")))
        .reproduce(policy, (), ("TD102",))
        .recipes
    )
    assert recipes is not None
    assert [recipe.nodes for recipe in recipes] == [("_native_batch_norm_legit_no_training",)]
    assert recipes[0].after.truncate_double
    assert "torch.float64" in "".join(recipes[0].after.lines)
