"""`run.py` of a saved build, run on the CPU with stand-ins for engines: it is the model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.staging import export, late, module  # noqa: E402
from trtdbg.graphs.graph import copy_graph_module, dtype_name, engine_nodes  # noqa: E402
from trtdbg.graphs.splits import engine_dtype, placeholders  # noqa: E402
from trtdbg.policy import Settings, TruncationPolicy  # noqa: E402
from trtdbg.stages import portable  # noqa: E402
from trtdbg.stages.assemble import assemble  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("torch_tensorrt_ready"),
    # The fixture of all cases is made once.
    pytest.mark.xdist_group("portable"),
]

DRIVER = """
import importlib.util, io, os, sys
import torch

def stand_in(entry, data):
    subgraph = torch.load(io.BytesIO(data), weights_only=False)
    def engine(*inputs):
        returned = subgraph(*inputs)
        values = returned if isinstance(returned, (tuple, list)) else (returned,)
        values = [torch.as_tensor(value).clone() for value in values]
        return values[0] if len(values) == 1 else tuple(values)
    return engine

for folder in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location("run", os.path.join(folder, "run.py"))
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    program = run.load(stand_in, device="cpu")
    args, kwargs = torch.load(os.path.join(folder, "in.pt"), weights_only=True)
    with torch.no_grad():
        torch.save(program(*args, **kwargs), os.path.join(folder, "out.pt"))
    # The operator of engines is that of one script in a process.
    run._LIBRARY._destroy()
assert not [name for name in sys.modules if name.startswith("trtdbg")]
"""
"""Runs the programs of all folders in one process, since torch takes seconds to import."""


def written(folder: Path, stages: Any, call: tuple[Any, ...], kwargs: Any = None) -> list[Any]:
    """Writes the folder as a build does, with pickled subgraphs for engines."""
    entries = []
    for index, (node, subgraph) in enumerate(engine_nodes(stages.program.module)):
        name = f"engine_{index}.engine"
        bare = copy_graph_module(subgraph)
        values = [each.meta.get("val") for each in placeholders(subgraph)]
        dtypes = tuple(
            dtype_name(engine_dtype(v)) if isinstance(v, torch.Tensor) else None
            for v in values
        )
        for each in bare.graph.nodes:
            each.meta.clear()
        torch.save(bare, folder / name)
        entries.append(
            portable.RunEntry(
                file=name,
                name=str(node.target),
                inputs=tuple(f"in{i}" for i in range(len(dtypes))),
                outputs=(),
                input_dtypes=dtypes,
                output_dtypes=(),
            )
        )
    table = portable.Table(
        engines=tuple(entries),
        torch=str(torch.__version__),
        torch_tensorrt=None,
        tensorrt=None,
        flavour=None,
        target="sm86",
    )
    names = portable.write(folder, stages.program, assemble, (call, kwargs or {}), table)
    assert names == ("program.pt2", "run.json", "run.py")
    return entries


@dataclass(frozen=True)
class Case:
    model: Any
    args: tuple[Any, ...]
    """What it is run on; in one case of another size than what it was exported with."""
    kwargs: dict[str, Any]
    entries: list[Any]
    folder: Path

    def returned(self) -> Any:
        return torch.load(self.folder / "out.pt")

    def expected(self) -> Any:
        return self.model(*self.args, **self.kwargs)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, torch_tensorrt_ready: None) -> list[Case]:
    """Each way to write a program, written, and run by its own script."""
    cases = []
    for make in (with_pytorch_between, with_dynamic_sizes, of_keywords):
        case = make(tmp_path_factory.mktemp(make.__name__))
        torch.save((case.args, case.kwargs), case.folder / "in.pt")
        cases.append(case)
    driver = tmp_path_factory.mktemp("driver") / "driver.py"
    driver.write_text(DRIVER)
    done = subprocess.run(
        [sys.executable, "-P", str(driver), *(str(case.folder) for case in cases)],
        capture_output=True,
        text=True,
        check=False,
        cwd=driver.parent,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return cases


def close(given: Any, wanted: Any) -> None:
    flat = torch.utils._pytree.tree_leaves
    assert [v.dtype for v in flat(given)] == [v.dtype for v in flat(wanted)]
    torch.testing.assert_close(flat(given), flat(wanted), rtol=1e-4, atol=1e-5)


def mixed(self: Any, x: Any, ids: Any) -> Any:
    a = (x * self.scale).exp()
    b = torch.special.i0(a) + a
    return {"sin": b.sin(), "a": a, "ids": ids & 3}


def with_pytorch_between(folder: Path) -> Case:
    model = module(mixed, scale=torch.tensor(0.3, dtype=torch.float64))
    args = torch.linspace(-1, 1, 6, dtype=torch.float64), torch.arange(6)
    return Case(model, args, {}, written(folder, late(export(model, *args)), args), folder)


def with_dynamic_sizes(folder: Path) -> Case:
    def forward(self: Any, x: Any) -> Any:
        y = (x * 2.0).exp()
        return torch.special.i0(y).flatten() * y.shape[0]

    rows = torch.export.Dim("rows", min=2, max=16)
    model, x = module(forward), torch.randn(4, 3)
    program = export(model, x, dynamic_shapes=({0: rows},))
    return Case(model, (torch.randn(7, 3),), {}, written(folder, late(program), (x,)), folder)


def of_keywords(folder: Path) -> Case:
    def forward(self: Any, x: Any, *, scale: Any) -> Any:
        return x * scale

    model = module(forward)
    args, kwargs = (torch.ones(2),), {"scale": torch.full((2,), 3.0)}
    stages = late(torch.export.export(model, args, kwargs), TruncationPolicy(), Settings())
    return Case(model, args, kwargs, written(folder, stages, args, kwargs), folder)


def test_engines_and_pytorch_part_together_are_the_model(ran: list[Case]) -> None:
    case = ran[0]
    assert len(case.entries) >= 2
    assert {dtype for entry in case.entries for dtype in entry.input_dtypes} >= {"float32"}
    close(case.returned(), case.expected())


def test_dynamic_sizes_stay_dynamic(ran: list[Case]) -> None:
    close(ran[1].returned(), ran[1].expected())


def test_keywords_and_engines_alone_are_taken(ran: list[Case]) -> None:
    close(ran[2].returned(), ran[2].expected())


def test_the_script_looks_first_and_says_what_is_missing(tmp_path: Path) -> None:
    model, x = module(lambda self, x: x.exp()), torch.randn(3)
    (entry,) = written(tmp_path, late(export(model, x)), (x,))
    (tmp_path / entry.file).unlink()
    table = json.loads((tmp_path / "run.json").read_text())
    table["torch"] = "1.0.0"
    (tmp_path / "run.json").write_text(json.dumps(table))
    done = subprocess.run(
        [sys.executable, "run.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "run.py: engine_0.engine is missing" in done.stderr
    assert "written by 1.0.0" in done.stderr
    assert "Traceback" not in done.stderr
