"""Opens a `.pt2`: an ExportedProgram with example inputs, or one line that says why not."""

from __future__ import annotations

import contextlib
import logging
import pickle
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch._export.serde import serialize
from torch._export.serde.schema import SCHEMA_VERSION
from torch.export import ExportedProgram
from torch.export.pt2_archive import _package
from torch.utils._pytree import tree_leaves

from trtdbg.archive import container as archives
from trtdbg.archive import payloads
from trtdbg.archive.container import Archive
from trtdbg.archive.custom import how_to_register
from trtdbg.archive.mapping import mapped_weights
from trtdbg.compat.devices import absent_devices_on_cpu, move_autocast
from trtdbg.errors import ModelError
from trtdbg.graphs.graph import first_line


@dataclass(frozen=True)
class LoadedProgram:
    """A program as it was exported, apart from devices that this machine lacks."""

    program: ExportedProgram
    path: str
    sha256: str
    bytes: int
    """Size of the file."""
    example_inputs: tuple[tuple[Any, ...], dict[str, Any]] | None
    """Positional and keyword arguments of the export; None if the archive holds none."""
    moved_from: tuple[str, ...] = ()
    """Devices such as `cuda:0` whose tensors are on the CPU now; () if none was moved."""


def load(path: str | Path, *, trust: bool = False) -> LoadedProgram:
    """Opens a `.pt2`; tensors of devices that this machine lacks go to the CPU.

    Args:
        path: the file.
        trust: let the file run code: objects in it may be pickled in any way.

    Raises:
        ModelError: the file cannot be read, is not what `torch.export.save` writes, or would
            run code and is not trusted.
    """
    archive = archives.inspect(path, trust=trust)
    payloads.check(archive, trust=trust)
    unpickling = contextlib.nullcontext() if trust else payloads.restricted_unpickling()
    quick = _types_looked_up_once()
    with absent_devices_on_cpu() as moved, unpickling, mapped_weights(archive), quick:
        try:
            program = _deserialize(archive)
            move_autocast(program, moved)
            example_inputs = _example_inputs(program)
        except (MemoryError, RecursionError):
            raise
        except Exception as cause:
            if "DefaultCPUAllocator" in str(cause):  # torch 2.13 raises a plain RuntimeError.
                raise MemoryError(str(cause)) from cause
            raise _explain(archive, cause) from cause
    return LoadedProgram(
        program=program,
        path=archive.path,
        sha256=archive.sha256,
        bytes=archive.bytes,
        example_inputs=example_inputs,
        moved_from=tuple(sorted(moved)),
    )


def _deserialize(archive: Archive) -> ExportedProgram:
    if archive.legacy:
        with _without_logged_tracebacks("torch.export"):
            return torch.export.load(archive.path)
    # torch.export.load calls this, but logs a RuntimeError and raises another in its place.
    with _readable(archive.path) as source:
        contents = _package.load_pt2(source)
    program: ExportedProgram = contents.exported_programs["model"]
    return program


@contextlib.contextmanager
def _types_looked_up_once() -> Iterator[None]:
    """Remembers, while torch reads a program, which types the fields of its classes have.

    It looks them up again for every node and argument, which is half of what reading takes.

    Source: torch 2.13, `_export/serde/serialize.py` (_dict_to_dataclass), which reads all
    classes by the names in one module.
    """
    known: dict[Any, dict[str, Any]] = {}

    def get_type_hints(cls: Any, **names: Any) -> dict[str, Any]:
        if cls not in known:
            known[cls] = typing.get_type_hints(cls, **names)
        return known[cls]

    looking_up = getattr(serialize, "typing", None)
    if looking_up is None:
        yield
        return
    # The name inside that module alone is replaced: typing itself is everybody's.
    serialize.typing = types.SimpleNamespace(
        **vars(typing) | {"get_type_hints": get_type_hints}
    )
    try:
        yield
    finally:
        serialize.typing = looking_up


@contextlib.contextmanager
def _without_logged_tracebacks(logger_name: str) -> Iterator[None]:
    """Hides that torch.export.load tries the newer format first and logs how that failed."""

    def is_plain(record: logging.LogRecord) -> bool:
        return not record.exc_info

    logger = logging.getLogger(logger_name)
    logger.addFilter(is_plain)
    try:
        yield
    finally:
        logger.removeFilter(is_plain)


@contextlib.contextmanager
def _readable(path: str) -> Iterator[str | BinaryIO]:
    """Yields what load_pt2 reads without a warning; of paths it wants those in `.pt2`."""
    if path.endswith(".pt2"):
        yield path
        return
    with open(path, "rb") as file:
        yield file


def _example_inputs(
    program: ExportedProgram,
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    if not program.example_inputs:
        return None
    args, kwargs = program.example_inputs
    if any(
        isinstance(each, torch.Tensor) and each.is_meta for each in tree_leaves((args, kwargs))
    ):
        # They have no values.
        return None
    return tuple(args), dict(kwargs)


def _explain(archive: Archive, cause: Exception) -> ModelError:
    """Returns what is wrong with an archive that torch could not deserialize."""
    serialized = archives.serialized_program(archive)
    missing = sorted(set(_unregistered_operators(serialized)))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return ModelError(
            f"{archive.path} needs the custom operator {missing[0]}{more}, "
            "which is not registered",
            remedy=how_to_register(missing[0]),
        )
    if isinstance(cause, pickle.UnpicklingError):
        return ModelError(
            f"{archive.path} is refused: a pickle in it needs more than tensors are made of "
            f"({first_line(cause)})",
            remedy=archives.TRUST,
        )
    if _is_other_schema(serialized.get("schema_version")):
        version = serialized["schema_version"]
        here = ".".join(map(str, SCHEMA_VERSION))
        return ModelError(
            f"{archive.path} was saved by torch {serialized.get('torch_version', '?')} with "
            f"schema {version['major']}.{version['minor']}; torch {torch.__version__} here "
            f"reads schema {here}",
            remedy="install the torch that saved it, or export the model with this one",
        )
    return ModelError(
        f"{archive.path} cannot be loaded: {first_line(cause)}",
        remedy=f"{archives.DAMAGED} with torch {torch.__version__}",
    )


def _is_other_schema(version: object) -> bool:
    match version:
        case {"major": int(major), "minor": int(minor)}:
            supported_major, supported_minor = SCHEMA_VERSION
            return bool(major != supported_major or minor > supported_minor)
        case _:
            return False


def _unregistered_operators(serialized: object) -> Iterator[str]:
    """Yields `namespace::name` of the operators that nothing in this process registers."""
    if isinstance(serialized, list):
        for item in serialized:
            yield from _unregistered_operators(item)
    if not isinstance(serialized, dict):
        return
    target = serialized.get("target")
    if isinstance(target, str) and target.startswith("torch.ops."):
        namespace, _, name = target.removeprefix("torch.ops.").partition(".")
        if not _is_registered(namespace, *name.split(".")):
            yield f"{namespace}::{name.partition('.')[0]}"
    for value in serialized.values():
        yield from _unregistered_operators(value)


def _is_registered(*path: str) -> bool:
    found: Any = torch.ops
    for name in path:
        found = getattr(found, name, None)
    return found is not None
