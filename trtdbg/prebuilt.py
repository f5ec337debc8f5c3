"""Programs that torch_tensorrt compiled and saved: engines, bindings, what runs around them.

`torch_tensorrt.save` writes an exported program whose engines are pickled objects. It is read
here without torch and without TensorRT: the graph is JSON, and of the pickles only lists,
strings and numbers are made, whatever they ask for. Layers and run times need TensorRT and a
GPU, verdicts and passes are not in such a file.

Source: torch 2.13, `_export/serde/schema.py`; torch_tensorrt 2.13,
`dynamo/runtime/_TRTEngine.py` (EngineSerializer) and `_serialized_engine_layout.py`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from trtdbg.counted import computes
from trtdbg.errors import ModelError, UsageError
from trtdbg.policy import Settings, Timing, TruncationPolicy
from trtdbg.records import (
    Binding,
    BuildRecord,
    BuildStatus,
    EngineRecord,
    Environment,
    ModelInfo,
    NodeRecord,
    Report,
    Source,
)

_CALL: Final = "execute_engine"
_MARK: Final = b"tensorrt.execute_engine"
_MARKS: Final = (_MARK, b"no_op_placeholder_for_execute_engine")
_MOST_JSON: Final = 256 << 20
_MOST_ENGINE: Final = 4 << 30

_BYTES, _INPUTS, _OUTPUTS, _FIELDS = 3, 4, 5, 12
"""Places in the list that an engine is pickled as, and how many fields it has at least."""

_RECONSTRUCT: Final = ("torch_tensorrt.dynamo.runtime._TRTEngine", "_reconstruct_trt_engine")

_DTYPES: Final = dict(
    enumerate(
        (
            *(None, "uint8", "int8", "int16", "int32", "int64", "float16", "float32"),
            *("float64", "complex32", "complex64", "complex128", "bool", "bfloat16"),
        )
    )
) | {28: "uint16", 29: "float8_e4m3fn", 30: "float8_e5m2"}

KIND: Final = "compiled by torch_tensorrt"

NO_LAYERS: Final = "layers and run times of a compiled program need TensorRT and a GPU"


def is_compiled(path: str) -> bool:
    """Returns whether a file is a program whose engines are built already."""
    if not os.path.isfile(path):
        # A pipe or a device might make whoever opens it wait for ever.
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            graph = _graph_entry(archive)
            if graph is None:
                return False
            data = _read(archive, graph, _MOST_JSON)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError):
        return False
    return any(mark in data for mark in _MARKS)


def refuse(path: str) -> None:
    """Refuses a program whose engines are built already, where one as exported is needed.

    Raises:
        UsageError: it is such a program.
    """
    if is_compiled(path):
        raise UsageError(
            f"{path} is {KIND} already: it holds built engines, and can only be looked at",
            remedy="give the .pt2 that it was compiled from; `trtdbg report` opens this one",
        )


def read(path: str, trtdbg: str) -> Report:
    """Returns what is known of a compiled program.

    Args:
        path: the file.
        trtdbg: this version, for the record.

    Raises:
        ModelError: it is damaged, or holds engines that are written in another way.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entry = _graph_entry(archive)
            if entry is None:
                raise ModelError(f"{path} holds no graph")
            document = json.loads(_read(archive, entry, _MOST_JSON))
            program = _Program(path, document, _engines(path, archive))
            nodes = tuple(program.nodes())
            engines = tuple(program.engines)
    except ModelError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ModelError(f"{path} is a damaged compiled program: {error!r:.80}") from error
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Report(
        model=ModelInfo(
            path=path,
            sha256=digest,
            nodes=len(nodes),
            bytes=Path(path).stat().st_size,
            prebuilt=KIND,
        ),
        environment=Environment(
            trtdbg=trtdbg, python="", platform="", torch=document.get("torch_version")
        ),
        policy=TruncationPolicy(timing=Timing.OFF),
        settings=Settings(),
        nodes=nodes,
        engines=engines,
        torch_ops=tuple(
            node.target
            for node in nodes
            if node.op == "call_function" and node.engine is None and computes(node.target)
        ),
    )


def _graph_entry(archive: zipfile.ZipFile) -> str | None:
    names = [n for n in archive.namelist() if re.search(r"(^|/)models/[^/]+\.json$", n)]
    return names[0] if len(names) == 1 else None


def _read(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    if archive.getinfo(name).file_size > most:
        raise ValueError(f"{name} is larger than {most} bytes")
    with archive.open(name) as file:
        return file.read(most)


def _engines(path: str, archive: zipfile.ZipFile) -> dict[str, list[Any] | None]:
    """Returns the fields of each pickled engine, by the name of its constant."""
    names = archive.namelist()
    config = next((n for n in names if n.endswith("model_constants_config.json")), None)
    found: dict[str, list[Any] | None] = {}
    if config is None:
        return found
    folder = config.rpartition("/")[0]
    table = json.loads(_read(archive, config, _MOST_JSON))["config"]
    for name, payload in table.items():
        if not payload.get("use_pickle") or payload.get("tensor_meta") is not None:
            continue
        data = _read(archive, f"{folder}/{payload['path_name']}", _MOST_ENGINE)
        # A C++ object is written as an archive of TorchScript, which only torch reads.
        found[name] = None if data.startswith(b"PK") else _fields(path, name, data)
    return found


def _fields(path: str, name: str, data: bytes) -> list[Any]:
    try:
        fields = _Plain(io.BytesIO(data)).load()
    except ModelError:
        raise
    except Exception as error:
        # Damaged pickles raise whatever their bytes lead to.
        raise ModelError(f"{path}: the engine {name} is damaged: {error!r:.80}") from error
    if not isinstance(fields, list) or len(fields) < _FIELDS:
        raise ModelError(
            f"{path}: the engine {name} is not written as torch_tensorrt 2.13 does"
        )
    return fields


class _Plain(pickle.Unpickler):
    """Makes lists, strings and numbers only; every name but that of an engine is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns what keeps the fields of an engine as they are.

        Raises:
            ModelError: anything else is asked for.
        """
        if (module, name) == _RECONSTRUCT:
            return _as_it_is
        raise ModelError(
            f"the file asks to import {module}.{name}, which no saved engine needs",
            remedy="do not load it elsewhere unless you trust where it comes from",
        )

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuses references to what is outside of the pickle."""
        raise ModelError("the file refers to data outside of an engine")


def _as_it_is(fields: Any) -> Any:
    return fields


class _Program:
    """The graph of a compiled program, read node by node."""

    def __init__(
        self, path: str, document: Mapping[str, Any], built: Mapping[str, list[Any] | None]
    ) -> None:
        self._path = path
        module = document["graph_module"]
        self._graph = module["graph"]
        self._values = self._graph["tensor_values"]
        self._built = built
        self._objects = {
            spec["custom_obj"]["arg"]["name"]: spec["custom_obj"]["custom_obj_name"]
            for spec in module["signature"]["input_specs"]
            if "custom_obj" in spec
        }
        self.engines: list[EngineRecord] = []

    def nodes(self) -> Iterator[NodeRecord]:
        """Yields inputs and calls, and fills `engines` on the way."""
        for item in self._graph["inputs"]:
            name = _name(item)
            if name is not None and name in self._values:
                yield NodeRecord(
                    name=name,
                    op="placeholder",
                    target=name,
                    shape=self._shape(name),
                    original=self._dtype(name),
                )
        for node in self._graph["nodes"]:
            outputs = [name for name in map(_name, _flat(node["outputs"])) if name]
            operands = [
                n for each in node["inputs"] for n in map(_name, _flat(each["arg"])) if n
            ]
            engine = self._engine(node, operands, outputs) if _CALL in node["target"] else None
            yield NodeRecord(
                name=node.get("name") or (outputs[0] if outputs else "call"),
                op="call_function",
                target=node["target"].removeprefix("torch.ops."),
                shape=self._shape(outputs[0]) if len(outputs) == 1 else None,
                original=_one(tuple(self._dtype(name) for name in outputs)),
                engine=engine,
                operands=tuple(operands),
                source=_source(node.get("metadata") or {}),
            )

    def _engine(self, node: Mapping[str, Any], operands: list[str], outputs: list[str]) -> int:
        index = len(self.engines)
        fields, constant = self._fields_of(node)
        given = [name for name in operands if name in self._values]
        name = node.get("name") or f"engine_{index}"
        self.engines.append(
            EngineRecord(
                index=index,
                name=str(constant or name),
                nodes=(name,),
                inputs=tuple(self._bindings(_names(fields, _INPUTS), given)),
                outputs=tuple(self._bindings(_names(fields, _OUTPUTS), outputs)),
                build=BuildRecord(status=BuildStatus.BUILT, bytes=_size(fields)),
                timing_unavailable=NO_LAYERS,
            )
        )
        return index

    def _fields_of(self, node: Mapping[str, Any]) -> tuple[list[Any] | None, str | None]:
        """Returns the fields of the engine that a node runs, and the name of its constant."""
        plain = [
            each["arg"]["as_string"] for each in node["inputs"] if "as_string" in each["arg"]
        ]
        if len(plain) >= _FIELDS:
            # A cross-compiled program holds them as arguments.
            return plain, plain[1]
        for each in node["inputs"]:
            custom = each["arg"].get("as_custom_obj")
            if custom is not None:
                constant = self._objects.get(custom["name"], custom["name"])
                return self._built.get(constant), constant
        return None, None

    def _bindings(self, names: list[str], values: list[str]) -> Iterator[Binding]:
        for place, value in enumerate(values):
            name = names[place] if len(names) == len(values) else value
            dtype = self._dtype(value)
            yield Binding(name=name, declared=dtype, bound=None, shape=self._shape(value))

    def _dtype(self, name: str) -> str | None:
        known = self._values.get(name)
        return _DTYPES.get(known["dtype"]) if known is not None else None

    def _shape(self, name: str) -> tuple[int | str, ...] | None:
        known = self._values.get(name)
        if known is None:
            return None
        return tuple(
            each["as_int"] if "as_int" in each else str(each["as_expr"]["expr_str"])
            for each in known["sizes"]
        )


def _one(dtypes: tuple[str | None, ...]) -> Any:
    return dtypes[0] if len(dtypes) == 1 else dtypes or None


def _names(fields: list[Any] | None, place: int) -> list[str]:
    text = fields[place] if fields is not None else ""
    return text.split("%") if isinstance(text, str) and text else []


def _size(fields: list[Any] | None) -> int | None:
    """Returns the bytes of an engine, which is held as base64."""
    text = fields[_BYTES] if fields is not None else None
    if not isinstance(text, (str, bytes)):
        return None
    padding = text[-2:].count("=" if isinstance(text, str) else b"=")  # type: ignore[arg-type]
    return len(text) * 3 // 4 - padding


def _name(item: Any) -> str | None:
    """Returns the name of a tensor in an argument of the graph's JSON."""
    if not isinstance(item, dict):
        return None
    tensor = item.get("as_tensor", item)
    name = tensor.get("name") if isinstance(tensor, dict) else None
    return name if isinstance(name, str) else None


def _flat(item: Any) -> Iterator[Any]:
    if isinstance(item, list):
        for each in item:
            yield from _flat(each)
    elif isinstance(item, dict) and "as_tensors" in item:
        yield from item["as_tensors"]
    elif isinstance(item, dict) and "as_tensor" in item:
        yield item["as_tensor"]


def _source(metadata: Mapping[str, Any]) -> Source | None:
    """Returns the last line of the user's in a stack trace."""
    frames = re.findall(
        r'File "([^"]+)", line (\d+), in [^\n]*\n\s*([^\n]*)',
        metadata.get("stack_trace") or "",
    )
    own = [f for f in frames if "torch/" not in f[0].replace("\\", "/")] or frames
    if not own:
        return None
    file, line, code = own[-1]
    stack = [each.split(",") for each in (metadata.get("nn_module_stack") or "").split(";")]
    module = stack[-1][1] if stack and len(stack[-1]) > 2 else ""
    return Source(file=file, line=int(line), code=code.strip(), module=module or None)
