"""Compiled programs, made by hand: engines, bindings, and pickles that ask for more."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.compiled_files import BLOB, compiled_file, document, written
from trtdbg import cli, prebuilt
from trtdbg.errors import ModelError
from trtdbg.worker import client


@pytest.fixture
def compiled(tmp_path: Path) -> str:
    return compiled_file(tmp_path)


def test_engines_bindings_and_what_runs_around_them_are_read(compiled: str) -> None:
    report = prebuilt.read(compiled, "1")
    (engine,) = report.engines
    assert [(b.name, b.declared, b.shape) for b in engine.inputs] == [
        ("x", "float64", ("s0", 4))
    ]
    assert [(b.name, b.declared) for b in engine.outputs] == [
        ("output0", "float32"),
        ("output1", "int64"),
    ]
    assert engine.build.bytes == len(BLOB)
    assert report.torch_ops == ("aten.special_i0.default",)
    node = report.nodes[-1]
    assert (str(node.source), node.operands, node.original) == (
        "net.py:41",
        ("getitem",),
        "float32",
    )
    assert report.environment.torch == "2.13.0"


def test_the_command_line_shows_it_without_a_worker(
    compiled: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client, "Worker", None)
    assert cli.main(["report", compiled]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 engine, 1 operator in PyTorch, compiled by torch_tensorrt" in shown
    assert "layers need TensorRT and a GPU" in shown
    assert "left to PyTorch when the program was compiled" in shown
    assert "timing" not in shown
    assert cli.main(["report", compiled, "--timing", "late"]) == 2
    assert "--timing does not go with" in capsys.readouterr().err


def test_a_pickle_that_asks_for_anything_else_is_refused_and_runs_nothing(
    tmp_path: Path,
) -> None:
    class Planted:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "owned"),)

    path = written(tmp_path / "bad.pt2", document(), pickle.dumps(Planted()))
    with pytest.raises(ModelError, match=r"asks to import posix\.mkdir"):
        prebuilt.read(path, "1")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "engine", [b"", b"\x80\x04", b"not a pickle", pickle.dumps(["short"])]
)
def test_damaged_engines_are_one_clear_error(tmp_path: Path, engine: bytes) -> None:
    path = written(tmp_path / "bad.pt2", document(), engine)
    with pytest.raises(ModelError, match="the engine _run_on_acc_0 is"):
        prebuilt.read(path, "1")


@pytest.mark.parametrize("missing", ["graph", "signature"])
def test_damaged_graphs_are_one_clear_error(tmp_path: Path, missing: str) -> None:
    made = document()
    made["graph_module"][missing] = None
    with pytest.raises(ModelError, match="is a damaged compiled program"):
        prebuilt.read(written(tmp_path / "bad.pt2", made, None), "1")


def test_an_ordinary_program_and_other_files_are_not_taken_for_one(tmp_path: Path) -> None:
    samples = Path(__file__).parents[2] / "samples"
    assert not prebuilt.is_compiled(str(samples / "ids_float64_island.pt2"))
    assert not prebuilt.is_compiled(str(tmp_path / "nothing.pt2"))
    (tmp_path / "x.pt2").write_bytes(b"PK")
    assert not prebuilt.is_compiled(str(tmp_path / "x.pt2"))


def test_python_opens_it_too(compiled: str) -> None:
    import trtdbg

    model = trtdbg.open(compiled)
    assert len(model.engines) == 1
    assert model.by_operator()[0].target == "aten.special_i0.default"
    with pytest.raises(trtdbg.UsageError, match="it holds built engines"):
        model.build()


@pytest.mark.parametrize(
    "words",
    [
        ("build",),
        ("check", "--build"),
        ("report", "--block-sizes"),
        ("repro", "-o", "out"),
        ("precision", "--low", "float16"),
    ],
    ids=" ".join,
)
def test_what_needs_the_exported_program_says_so_and_never_offers_trust(
    words: tuple[str, ...],
    compiled: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([words[0], compiled, *words[1:]]) == 2
    said = capsys.readouterr().err
    assert "is compiled by torch_tensorrt already: it holds built engines" in said
    assert "--trust" not in said
    assert not (tmp_path / "out").exists()
