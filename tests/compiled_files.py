"""Programs as torch_tensorrt saves them when it has compiled them, made by hand."""

from __future__ import annotations

import base64
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

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


def compiled_file(folder: Path) -> str:
    """Returns the path of a program with an engine and an operator behind it."""
    engine = pickled(engine_fields("x", "output0%output1"))
    return written(folder / "compiled.pt2", document(), engine)
