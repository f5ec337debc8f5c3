"""Opens a `.pt2`: an ExportedProgram with example inputs, or one line that says why not."""

from __future__ import annotations

import contextlib
import pickle
import re
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch._export.serde import schema, serialize
from torch._export.serde.schema import SCHEMA_VERSION
from torch.export import ExportedProgram
from torch.utils._pytree import tree_leaves

from trtdbg.archive import container as archives
from trtdbg.archive import operators, payloads, tensors, vetting
from trtdbg.archive.container import Archive
from trtdbg.archive.custom import how_to_register
from trtdbg.archive.digest import Beside
from trtdbg.archive.entries import Entries, opened
from trtdbg.archive.symbols import patched_sympify
from trtdbg.compat.backstop import refused_events
from trtdbg.compat.devices import move_autocast, patched_device_lookup
from trtdbg.compat.shape_ranges import drop_derived_ranges
from trtdbg.errors import ModelError
from trtdbg.graphs.graph import first_line

ExampleInputs = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments."""


@dataclass(frozen=True)
class LoadedProgram:
    """A program as it was exported, apart from devices that this machine lacks."""

    program: ExportedProgram
    name: str
    """The program's name in the file; `model` where torch.export.save wrote it."""
    path: str
    sha256: str
    """Empty where `beside` reads it."""
    bytes: int
    """Size of the file."""
    example_inputs: ExampleInputs | None
    """Arguments of the export; None if the archive holds none."""
    programs: tuple[str, ...] = ()
    """Names of all programs in the file; () where its format holds one only."""
    moved_from: tuple[str, ...] = ()
    """Devices such as `cuda:0` whose tensors are on the CPU now; () if none was moved."""
    beside: Beside | None = None
    """Reads the digest of a large file."""

    def digest(self) -> str:
        """Returns SHA-256 of the file, once a large one is read.

        Raises:
            ModelError: it cannot be read any more.
        """
        return self.sha256 if self.beside is None else self.beside.result()


def load(
    path: str | Path,
    *,
    trust: bool = False,
    program: str | None = None,
    imports: Sequence[str] = (),
) -> LoadedProgram:
    """Opens a `.pt2`; tensors of devices that this machine lacks go to the CPU.

    Args:
        path: the file.
        trust: let the file run code: objects in it may be pickled in any way.
        program: the program's name, where the file holds several; None is `model`.
        imports: the libraries that the user imported; they may import more while torch reads.

    Raises:
        ModelError: the file cannot be read, is not what `torch.export.save` writes, or would
            run code and is not trusted.
    """
    archive = archives.inspect(path, trust=trust)
    name = archives.choose_program(archive, program)
    with opened(archive) as entries:
        vetted = _vetted(entries, name, trust=trust)
        with contextlib.ExitStack() as scope:
            moved = scope.enter_context(patched_device_lookup())
            scope.enter_context(_patched_typing())
            if not trust:
                scope.enter_context(payloads.restricted_unpickling())
                scope.enter_context(patched_sympify())
                made, example_inputs = _read_watched(entries, vetted, moved, imports)
            else:
                made, example_inputs = _read(entries, vetted, moved, trust=True)
    return LoadedProgram(
        program=made,
        name=name,
        path=archive.path,
        sha256=archive.sha256,
        beside=archive.beside,
        bytes=archive.bytes,
        example_inputs=example_inputs,
        programs=archive.programs,
        moved_from=tuple(sorted(moved)),
    )


def _vetted(entries: Entries, name: str, *, trust: bool) -> payloads.Vetted:
    """Returns a program that was vetted, with all others that the file holds."""
    for other in entries.archive.programs:
        if other != name:
            payloads.vetted(entries, other, trust=trust)
    vetted = payloads.vetted(entries, name, trust=trust)
    if not trust:
        payloads.check_pickles(entries)
        _refuse_unsafe_operators(entries.archive, vetting.operators(vetted.program))
    return vetted


def _read_watched(
    entries: Entries, vetted: payloads.Vetted, moved: set[str], imports: Sequence[str]
) -> tuple[ExportedProgram, ExampleInputs | None]:
    """Reads a program as `_read` does, and refuses it where that tried what it should not."""
    made = None
    failed: Exception | None = None
    with refused_events({name.partition(".")[0] for name in imports}) as watch:
        try:
            made = _read(entries, vetted, moved, trust=False)
        except Exception as error:
            failed = error
    if watch.refused is not None:
        raise ModelError(
            f"{entries.archive.path} is refused: reading it tried to {watch.refused}",
            remedy=archives.TRUST,
        )
    if failed is not None:
        raise failed
    assert made is not None
    return made


def _read(
    entries: Entries, vetted: payloads.Vetted, moved: set[str], *, trust: bool
) -> tuple[ExportedProgram, ExampleInputs | None]:
    """Returns the program and its example inputs, whatever torch raises as a ModelError."""
    try:
        program = _deserialize(entries, vetted, trust=trust)
        move_autocast(program, moved)
        drop_derived_ranges(program)
        return program, _example_inputs(program)
    except (MemoryError, RecursionError, ModelError):
        raise
    except Exception as cause:
        if "DefaultCPUAllocator" in str(cause):  # torch 2.13 raises a plain RuntimeError.
            raise MemoryError(str(cause)) from cause
        raise _explain(entries.archive, vetted.program, cause) from cause


def _deserialize(entries: Entries, vetted: payloads.Vetted, *, trust: bool) -> ExportedProgram:
    """Hands torch what was vetted: records of its schema and tensors, no bytes."""
    reader = tensors.Reader(entries, trust=trust)
    legacy = entries.archive.legacy
    files = _LEGACY_FILES if legacy else [each.format(vetted.name) for each in _SINGLE_FILES]
    if vetted.weights is None or vetted.constants is None:
        weights, constants = (reader.unpickled(file, dict) for file in files[:2])
    else:
        weights = reader.weights(tensors.config_of(vetted.weights))
        constants = reader.constants(tensors.config_of(vetted.constants))
    inputs = reader.unpickled(files[2], tuple) if entries.size_of(files[2]) else None
    serialized = serialize._dict_to_dataclass(schema.ExportedProgram, vetted.program)
    program: ExportedProgram = serialize.ExportedProgramDeserializer().deserialize(
        serialized, weights, constants, inputs
    )
    return program


_LEGACY_FILES: Final = (
    "serialized_state_dict.pt",
    "serialized_constants.pt",
    "serialized_example_inputs.pt",
)
"""Weights, constants and example inputs in an archive of torch 2.7 and before."""

_SINGLE_FILES: Final = (
    "data/weights/{}.pt",
    "data/constants/{}.pt",
    "data/sample_inputs/{}.pt",
)
"""The same in torch 2.8; later releases write one file a tensor, and the same inputs."""


def _refuse_unsafe_operators(archive: Archive, names: set[str]) -> None:
    """Refuses operators that trust their arguments: the analysis runs some on real weights."""
    unsafe = sorted(name for name in names if operators.is_unsafe(name))
    if unsafe:
        raise ModelError(
            f"{archive.path} is refused: a node of 'torch.ops.{unsafe[0]}' may read memory "
            "beyond its tensors",
            remedy=archives.TRUST,
        )


@contextlib.contextmanager
def _patched_typing() -> Iterator[None]:
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


def _example_inputs(program: ExportedProgram) -> ExampleInputs | None:
    if not program.example_inputs:
        return None
    args, kwargs = program.example_inputs
    if any(
        isinstance(each, torch.Tensor) and each.is_meta for each in tree_leaves((args, kwargs))
    ):
        # They have no values.
        return None
    return tuple(args), dict(kwargs)


def _explain(archive: Archive, serialized: dict[str, Any], cause: Exception) -> ModelError:
    """Returns what is wrong with an archive that torch could not deserialize."""
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
        f"{archive.path} cannot be loaded: {_said(cause)}",
        remedy=f"{archives.DAMAGED} with torch {torch.__version__}",
    )


def _said(cause: Exception) -> str:
    """Returns what torch stumbled over: the node, and what was raised first."""
    node = _NODE.search(str(cause))
    root: BaseException = cause
    while (deeper := root.__cause__ or root.__context__) is not None:
        root = deeper
    text = first_line(root).partition("Node(")[0][:_LONGEST_REASON].rstrip()
    if isinstance(root, KeyError):
        text = f"{root} is named and nothing of that name is there"[:_LONGEST_REASON]
    return f"node {node[1]!r}: {text}" if node is not None else text


_NODE: Final = re.compile(r"name='(\w{1,80})'\)")
"""Where torch says which node it could not read (2.13, SerializeError)."""

_LONGEST_REASON: Final = 160


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
