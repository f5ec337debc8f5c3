"""`repro --code TD503` cuts an engine that TensorRT really refuses down to a few operators."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")])}
SAYS = "MyelinCheckException"
"""What TensorRT-RTX 1.5 refuses a split with whose first part is transposed."""


def trtdbg(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trtdbg", *words],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


def reproduced(script: Path) -> str:
    """Returns what a script prints where trtdbg cannot be imported."""
    blocked = (
        "import runpy, sys; sys.modules['trtdbg'] = None; "
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", blocked], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def operators(program: Path) -> list[str]:
    loaded = torch.export.load(program)
    called = [n for n in loaded.graph.nodes if n.op == "call_function"]
    return [str(n.target) for n in called if isinstance(n.target, torch._ops.OpOverload)]


def test_the_part_runs_alone_and_prints_tensorrts_sentence(
    tmp_path: Path, torch_tensorrt_ready: None
) -> None:
    model, out = str(ROOT / "samples" / "split_heads.pt2"), tmp_path / "out"
    done = trtdbg("repro", model, "-o", str(out), "--code", "TD503", "--format", "issue")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "td503_engine_0.md",
        "td503_engine_0.pt2",
        "td503_engine_0.py",
    ]
    assert SAYS in done.stderr
    assert len(operators(out / "td503_engine_0.pt2")) <= 5
    assert SAYS in reproduced(out / "td503_engine_0.py")
    issue = (out / "td503_engine_0.md").read_text()
    assert "`td503_engine_0.pt2`" in issue
    assert SAYS in issue


@pytest.mark.slow
def test_a_pass_that_raises_is_cut_down_to_the_operator_it_raises_on(
    tmp_path: Path, torch_tensorrt_ready: None
) -> None:
    class Scatter(torch.nn.Module):
        def forward(self, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
            y = torch.relu(x * 2)
            y = torch.zeros_like(y).scatter_reduce(0, index, y, "sum", include_self=False)
            return torch.tanh(y) + 1

    model, out = tmp_path / "scatter.pt2", tmp_path / "out"
    args = torch.randn(4, 3), torch.zeros(4, 3, dtype=torch.int64)
    torch.export.save(torch.export.export(Scatter().eval(), args), model)
    done = trtdbg("repro", str(model), "-o", str(out), "--format", "issue")
    assert done.returncode == 0, done.stderr
    assert operators(out / "td501_lowering.pt2") == ["aten.scatter_reduce.two"]
    assert "include_self False" in reproduced(out / "td501_lowering.py")
    assert "`td501_lowering.pt2`" in (out / "td501_lowering.md").read_text()


@pytest.mark.slow
def test_gpt2_of_transformers_is_cut_to_fewer_than_15_operators(
    tmp_path: Path, torch_tensorrt_ready: None
) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"n_embd": 64, "n_head": 4, "vocab_size": 256, "n_positions": 64}
    config = transformers.GPT2Config(n_layer=4, use_cache=False, **sizes)

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = transformers.GPT2LMHeadModel(config)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.model(ids).logits

    model, out = tmp_path / "gpt2.pt2", tmp_path / "out"
    ids = torch.randint(0, 256, (1, 16))
    torch.export.save(torch.export.export(Logits().eval(), (ids,), strict=False), model)
    done = trtdbg("repro", str(model), "-o", str(out), "--code", "TD503")
    assert done.returncode == 0, done.stderr
    assert len(operators(out / "td503_engine_0.pt2")) < 15
    assert SAYS in reproduced(out / "td503_engine_0.py")
