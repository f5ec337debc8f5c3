"""What an analysis may cost, in counts that are the same on every machine.

A budget is what was counted, exactly. To raise one deliberately: run the test, see what the
message counted, say in the commit what the calls buy, and write the new number here. A lower
count fails too, so that what is gained is kept; other versions of torch and torch_tensorrt
count otherwise, and so these stand for the versions of `constraints.txt` alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import by_version
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.session.session import Session
from trtdbg.worker.messages import Job

COUNTING = Path(__file__).with_name("counting.py")
SAMPLES = Path(__file__).parents[3] / "samples"

NOTHING = (0, 0, 0, 0, 0)
BUDGETS: dict[str, dict[str, tuple[int, ...]]] = {
    "attention_float64": {
        "load": (146, 0, 0, 0, 0),
        "late": (1474, 1388, 673, 1, 1),
        "off": (24, 512, 37, 1, 0),
        "again": NOTHING,
        "headline": (20, 1528, 258, 3, 0),
        "headline again": NOTHING,
    },
    "boundary_mixed": {
        "load": (31, 0, 0, 0, 0),
        "late": (385, 170, 157, 1, 1),
        "off": (3, 54, 23, 1, 0),
        "again": NOTHING,
        "headline": (26, 190, 120, 3, 0),
        "headline again": NOTHING,
    },
}
"""Of loading, the first analysis, a switch, switching back, and `upstream` with its headline:
fake-tensor dispatches, validator calls, records made of nodes for snapshots, runs of a
partitioner, and how often torch fetches all of its composite operators."""


def new_constants(session: Session, policy: TruncationPolicy) -> int:
    """Returns how many tensors of the partitioned program share no memory with the file's."""
    program = session._loaded.program
    given = [*program.state_dict.values(), *program.constants.values()]
    known = {t.untyped_storage().data_ptr() for t in given if isinstance(t, torch.Tensor)}
    analysed = session._analyses[policy].analysed
    assert analysed.program is not None
    held: set[int] = set()
    for module in analysed.program.module.modules():
        for value in vars(module).values():
            held |= _pointers(value)
        for value in (*module._parameters.values(), *module._buffers.values()):
            held |= _pointers(value)
    return len(held - known)


def _pointers(value: Any) -> set[int]:
    return {value.untyped_storage().data_ptr()} if isinstance(value, torch.Tensor) else set()


@by_version.only("budgets of an analysis")
@pytest.mark.parametrize("sample", BUDGETS)
def test_an_analysis_asks_no_more_than_it_did(sample: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(COUNTING), str(SAMPLES / f"{sample}.pt2")],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    spent = json.loads(ran.stdout.splitlines()[-1])
    assert {step: tuple(counts) for step, counts in spent.items()} == BUDGETS[sample]


CONSTANTS = {"attention_float64": (0, 0), "boundary_mixed": (6, 0)}
"""Constants that are no longer the file's own memory, under `late` and then under `off`."""


@pytest.mark.parametrize("sample", CONSTANTS)
def test_an_analysis_copies_only_the_constants_that_it_changes(
    sample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    job = Job(model=str(SAMPLES / f"{sample}.pt2"), settings=Settings(), probe_seconds=0.0)
    session = Session(job, lambda _: None)
    late, off = TruncationPolicy(), TruncationPolicy(timing=Timing.OFF)
    for policy in (late, off):
        session.analyze(policy)
    assert tuple(new_constants(session, p) for p in (late, off)) == CONSTANTS[sample]
