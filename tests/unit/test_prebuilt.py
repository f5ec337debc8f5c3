"""Compiled programs, made by hand: engines, bindings, and pickles that ask for more."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from trtdbg import cli, prebuilt
from trtdbg.errors import ModelError
from trtdbg.worker import client

FLOAT, DOUBLE, LONG = 7, 8, 5
BLOB = b"ftrt" + bytes(1001)
MODULE, NAME = "torch_tensorrt.dynamo.runtime._TRTEngine", "_reconstruct_trt_engine"
CONFIG = "model_constants_config.json"


def engine_fields(inputs: str, outputs: str) -> list[Any]:
    blob = base64.b64encode(BLOB).decode()
    return ["8", "_run_on_acc_0", "0%8%6%0%GPU", blob, inputs, outputs, *["0"] * 6]


def pickled(fields: Any) -> bytes:
    """Returns what `EngineSerializer.__reduce__` makes, without torch_tensorrt."""
    body = pickle.dumps(fields, 2)[2:-1]
    return b"\x80\x02c" + f"{MODULE}\n{NAME}\n".encode() + body + b"\x85R."


def value(dtype: int, *sizes: int | str) -> dict[str, Any]:
    return {
        "dtype": dtype,
        "sizes": [
            {"as_int": s} if isinstance(s, int) else {"as_expr": {"expr_str": s}}
            for s in sizes
        ],
    }


def call(
    target: str, outputs: Any, *arguments: Any, line: int | None = None
) -> dict[str, Any]:
    trace = f'File "net.py", line {line}, in forward\n    y = f(x)' if line else ""
    return {
        "target": target,
        "inputs": [
            {"name": str(i), "arg": each, "kind": 1} for i, each in enumerate(arguments)
        ],
        "outputs": outputs,
        "metadata": {"stack_trace": trace, "nn_module_stack": "L,,Net;L__block,block,Block"},
        "name": "call",
    }


def tensor(name: str) -> dict[str, Any]:
    return {"as_tensor": {"name": name}}


def document() -> dict[str, Any]:
    run = call(
        "torch.ops.tensorrt.execute_engine.default",
        [{"as_tensors": [{"name": "getitem"}, {"name": "getitem_1"}]}],
        {"as_tensors": [{"name": "x"}]},
        {"as_custom_obj": {"name": "obj_engine", "class_fqn": ""}},
    )
    i0 = call("torch.ops.aten.special_i0.default", [tensor("i0")], tensor("getitem"), line=41)
    graph = {
        "inputs": [tensor("x"), {"as_custom_obj": {"name": "obj_engine", "class_fqn": ""}}],
        "outputs": [tensor("i0")],
        "nodes": [run | {"name": "execute_engine"}, i0 | {"name": "special_i0"}],
        "tensor_values": {
            "x": value(DOUBLE, "s0", 4),
            "getitem": value(FLOAT, "s0", 4),
            "getitem_1": value(LONG, "s0"),
            "i0": value(FLOAT, "s0", 4),
        },
    }
    spec = {"arg": {"name": "obj_engine", "class_fqn": ""}, "custom_obj_name": "_run_on_acc_0"}
    return {
        "torch_version": "2.13.0",
        "graph_module": {"graph": graph, "signature": {"input_specs": [{"custom_obj": spec}]}},
    }


def written(path: Path, made: dict[str, Any], engine: bytes | None) -> str:
    payload = {"path_name": "opaque_obj_0", "use_pickle": True, "tensor_meta": None}
    config = {"_run_on_acc_0": payload} if engine is not None else {}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/models/model.json", json.dumps(made))
        archive.writestr(f"net/data/constants/{CONFIG}", json.dumps({"config": config}))
        archive.writestr("net/archive_format", "pt2")
        if engine is not None:
            archive.writestr("net/data/constants/opaque_obj_0", engine)
    return str(path)


@pytest.fixture
def compiled(tmp_path: Path) -> str:
    engine = pickled(engine_fields("x", "output0%output1"))
    return written(tmp_path / "compiled.pt2", document(), engine)


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
    with pytest.raises(trtdbg.UsageError, match="holds no program"):
        model.build()
