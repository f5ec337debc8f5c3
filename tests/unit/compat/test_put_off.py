"""Modules that run when they are used: as if they had run before, and only then."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trtdbg.compat import put_off
from trtdbg.compat.put_off import PUT_OFF, Finder, text_of

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "samples" / "boundary_mixed.pt2"

MODULE = """import heavy_of_putting_off

constant = 3


def alone(
    values: list[int],
) -> int:
    return len(values)


def other() -> int:
    return heavy_of_putting_off.constant
"""
HEAVY = "constant = 4\n"


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Returns a module that is put off, with a function that is made alone."""
    (tmp_path / "late_of_putting_off.py").write_text(MODULE)
    (tmp_path / "heavy_of_putting_off.py").write_text(HEAVY)
    monkeypatch.syspath_prepend(tmp_path)
    digest = hashlib.sha256(text_of("alone", MODULE).encode()).hexdigest()
    finder = Finder({"late_of_putting_off": {"alone": digest, "other": "another text"}})
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    monkeypatch.setattr(put_off, "_globals", dict)
    yield importlib.import_module("late_of_putting_off")
    for name in ("late_of_putting_off", "heavy_of_putting_off"):
        sys.modules.pop(name, None)


def has_run() -> bool:
    return "heavy_of_putting_off" in sys.modules


def test_importing_it_and_looking_where_it_is_do_not_run_it(late: Any) -> None:
    assert late.__file__.endswith("late_of_putting_off.py")
    assert late.__spec__.name == "late_of_putting_off"
    assert inspect.getmodule(late) is late
    assert importlib.import_module("late_of_putting_off") is late
    assert not hasattr(late, "__path__")
    assert not has_run()


def test_a_function_whose_text_is_known_is_made_alone(late: Any) -> None:
    assert late.alone([1, 2]) == 2
    assert late.alone is late.alone
    assert not has_run()


def test_any_other_name_runs_it_and_it_is_a_usual_module_then(late: Any) -> None:
    assert late.constant == 3
    assert has_run()
    assert type(late) is type(sys)
    assert late.alone([1]) == 1
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = late.nothing


def test_a_function_whose_text_is_another_runs_the_module(late: Any) -> None:
    assert late.other() == 4
    assert has_run()


def test_the_text_of_a_function_ends_where_the_next_statement_begins() -> None:
    assert text_of("alone", MODULE).splitlines()[-1] == "    return len(values)"
    assert text_of("other", MODULE).endswith("heavy_of_putting_off.constant\n")
    assert text_of("nothing", MODULE) == ""


def test_another_version_of_torch_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(put_off, "_version", lambda _: "2.15.0")
    put_off.install()
    assert not any(isinstance(each, Finder) for each in sys.meta_path)
    monkeypatch.setattr(put_off, "_version", lambda _: "2.13.0+cpu")
    for _ in range(2):
        put_off.install()
    assert sum(isinstance(each, Finder) for each in sys.meta_path) == 1


def test_the_functions_that_are_made_alone_are_those_of_the_installed_torch() -> None:
    torch = pytest.importorskip("torch")
    if not torch.__version__.startswith("2.13"):
        pytest.skip("another torch was read")
    for name, digests in PUT_OFF.items():
        path = Path(torch.__file__).parents[1] / f"{name.replace('.', '/')}.py"
        for function, digest in digests.items():
            text = text_of(function, path.read_text())
            assert hashlib.sha256(text.encode()).hexdigest() == digest, function


LOOK = """
import hashlib, json, sys
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.session.server import Handler
from trtdbg.worker.messages import Analyze, Job
if sys.argv[2] == "at once":
    from trtdbg.compat import put_off
    put_off.install = put_off.register = lambda: None
handler = Handler(lambda _: None)
handler.prepare()
job = Job(model=sys.argv[1], settings=Settings(), probe_seconds=0.0)
for timing in Timing:
    handler.handle(Analyze(job=job, policy=TruncationPolicy(timing=timing)))
import torch
from torch._export.utils import _collect_all_valid_cia_ops
registered = torch._C._dispatch_get_registrations_for_dispatch_key
found = {
    "operators": sorted(torch._C._dispatch_get_all_op_names()),
    "composite": sorted(op.name() for op in _collect_all_valid_cia_ops()),
    "pytrees": len(torch.utils._pytree.SUPPORTED_NODES),
    "fake rules": sorted(map(str, torch._subclasses.fake_impls.op_implementations_dict)),
    **{key: sorted(registered(key)) for key in (
        "CPU", "Meta", "Autograd", "CompositeImplicitAutograd", "CompositeExplicitAutograd")},
    **{f"decompositions {kind}": sorted(map(str, table)) for kind, table in
       torch._decomp.global_decomposition_table.items()},
}
print(json.dumps([found, "torch._inductor.lowering" in sys.modules]))
"""


@pytest.mark.slow
def test_everything_that_torch_has_registered_is_the_same(tmp_path: Path) -> None:
    pytest.importorskip("torch_tensorrt")

    def look(when: str) -> Any:
        ran = subprocess.run(
            [sys.executable, "-c", LOOK, str(SAMPLE), when],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        return json.loads(ran.stdout.splitlines()[-1])

    (late, has_lowering), (at_once, had_lowering) = look("later"), look("at once")
    assert had_lowering
    assert not has_lowering, "an analysis needs none of it"
    assert late == at_once
