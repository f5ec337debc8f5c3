"""Values to run a program on: its example inputs, those of a file, or seeded random ones."""

from __future__ import annotations

import math
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sympy
import torch
from torch.export import ExportedProgram
from torch.export._tree_utils import reorder_kwargs
from torch.export.graph_signature import ConstantArgument, InputKind
from torch.utils._pytree import tree_flatten

from trtdbg.errors import UnavailableError, UsageError
from trtdbg.graphs.graph import dtype_name, first_line, value_shape
from trtdbg.graphs.replay import ProgramInputs
from trtdbg.records import shape_text

RANDOM_INTEGERS = 2
"""Random integers are below this: as indices 0 and 1 are valid in nearly every table."""

_POSITIONAL = re.compile(r"arr_(\d+)")
"""How numpy names arrays that `savez` is given without a name."""


@dataclass(frozen=True)
class _Slot:
    """A user input: what export recorded, or the number or None that it was exported with."""

    name: str
    recorded: Any
    fixed: bool

    def text(self) -> str:
        if isinstance(self.recorded, torch.Tensor):
            return f"{self.name}: {_tensor_text(self.recorded)}"
        if self.fixed:
            return f"{self.name}: {self.recorded!r}"
        return f"{self.name}: a number"


def program_inputs(
    program: ExportedProgram,
    example_inputs: tuple[tuple[Any, ...], dict[str, Any]] | None,
    path: str | None = None,
    seed: int | None = None,
) -> ProgramInputs:
    """Returns values for the user inputs of a program.

    From `path` if there is one, else random ones if `seed` is given or the program holds no
    example inputs, else the example inputs. A `.pt` file holds the arguments of the call (one
    tensor, a tuple, or a dict by input name or keyword) and is read with weights_only, an
    `.npz` arrays by input name, or in order if they have no names. Random floats are normal,
    integers 0 or 1, sizes those of the export.

    Raises:
        UsageError: the file cannot be read, or does not hold what the program takes.
        UnavailableError: an `.npz` file, and numpy is not installed.
    """
    slots = _slots(program)
    if path is not None:
        values = _Arguments(program, slots, path).values(_read(path))
        return ProgramInputs(_checked(program, slots, values, path), path, seed or 0)
    if seed is None and example_inputs is not None:
        origin = "example inputs"
        values = _Arguments(program, slots, origin).of_call(*example_inputs)
        return ProgramInputs(_checked(program, slots, values, origin), origin, 0)
    generator = torch.Generator().manual_seed(seed or 0)
    sizes = _Sizes(program)
    values = [_random(slot, sizes, generator) for slot in slots]
    return ProgramInputs(tuple(values), f"random inputs, seed {seed or 0}", seed or 0)


def _slots(program: ExportedProgram) -> list[_Slot]:
    recorded = {
        n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"
    }
    slots = []
    for spec in program.graph_signature.input_specs:
        if spec.kind is not InputKind.USER_INPUT:
            continue
        if isinstance(spec.arg, ConstantArgument):
            slots.append(_Slot(spec.arg.name, spec.arg.value, fixed=True))
        else:
            slots.append(_Slot(spec.arg.name, recorded[spec.arg.name], fixed=False))
    return slots


def _read(path: str) -> Any:
    suffix = Path(path).suffix.lower()
    if suffix not in (".pt", ".npz"):
        raise UsageError(
            f"cannot read inputs from {path}", remedy="give a .pt or an .npz file"
        )
    try:
        if suffix == ".npz":
            return _read_npz(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"{path} holds more than tensors, and is not unpickled",
            remedy="save a tuple or a dict of tensors with torch.save",
        ) from error
    except (MemoryError, RecursionError, UnavailableError):
        raise
    except Exception as error:  # Each reader raises what it comes upon in a damaged file.
        raise UsageError(
            f"{path} holds no inputs: {type(error).__name__}: {first_line(error)[:200]}",
            remedy="save tensors with torch.save, or arrays with numpy.savez",
        ) from error


def _read_npz(path: str) -> Any:
    try:
        import numpy
    except ImportError as error:
        raise UnavailableError(
            f"numpy is not installed, which {path} needs",
            remedy="install numpy, or save the inputs with torch.save to a .pt file",
        ) from error
    _check_npz(path)
    loaded = numpy.load(path, allow_pickle=False)
    if isinstance(loaded, numpy.ndarray):
        return torch.from_numpy(loaded)
    with loaded as arrays:
        tensors = {name: torch.from_numpy(arrays[name].copy()) for name in arrays.files}
    places = {name: match for name in tensors if (match := _POSITIONAL.fullmatch(name))}
    if tensors and len(places) == len(tensors):
        return [tensors[name] for name in sorted(places, key=lambda n: int(places[n][1]))]
    return tensors


def _check_npz(path: str) -> None:
    """Refuses arrays that say they hold more than the file does, before numpy makes them.

    Raises:
        ValueError: one does.
    """
    from numpy.lib import format as npy

    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as file:
                version = npy.read_magic(file)
                read = (
                    npy.read_array_header_1_0
                    if version == (1, 0)
                    else npy.read_array_header_2_0
                )
                shape, _, dtype = read(file)
            if dtype.hasobject or not dtype.itemsize:
                raise ValueError(f"{entry.filename} has the dtype {dtype}")
            if math.prod(shape) * dtype.itemsize > entry.file_size:
                raise ValueError(f"{entry.filename} holds fewer values than it says")


class _Arguments:
    """Brings what a file or an archive holds into the order of the program's inputs."""

    def __init__(self, program: ExportedProgram, slots: list[_Slot], origin: str) -> None:
        self.in_spec = program.call_spec.in_spec
        self.slots = slots
        self.origin = origin

    def values(self, content: Any) -> Sequence[Any]:
        if isinstance(content, Mapping):
            return self._named(dict(content))
        if not isinstance(content, (tuple, list)):
            content = (content,)
        if len(content) == 2 and isinstance(content[0], (tuple, list)):
            args, kwargs = content
            if isinstance(kwargs, dict) and (flat := self._flat(tuple(args), kwargs)):
                return flat
        if flat := self._flat(tuple(content), {}):
            return flat
        return self._counted(list(content))

    def of_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        leaves, _ = tree_flatten((args, kwargs))
        return self._flat(args, kwargs) or self._counted(leaves)

    def _named(self, given: dict[Any, Any]) -> Sequence[Any]:
        names = {slot.name for slot in self.slots}
        if not set(given) <= names and (flat := self._flat((), given)):
            return flat
        unknown = [str(name) for name in given if name not in names]
        missing = [s.name for s in self.slots if not s.fixed and s.name not in given]
        if unknown or missing:
            wrong = f"names {unknown[0]}" if unknown else f"lacks {missing[0]}"
            raise UsageError(f"{self.origin} {wrong}", remedy=self._takes())
        return [given.get(slot.name, slot.recorded) for slot in self.slots]

    def _flat(self, args: tuple[Any, ...], kwargs: dict[Any, Any]) -> list[Any] | None:
        """Returns the leaves of a call if it has the structure of the exported one."""
        if self.in_spec is None:
            return None
        expected = self.in_spec.child(1).context or ()
        if set(kwargs) == set(expected):
            kwargs = reorder_kwargs(kwargs, self.in_spec)
        leaves, spec = tree_flatten((args, kwargs))
        return leaves if spec == self.in_spec else None

    def _counted(self, leaves: list[Any]) -> list[Any]:
        if len(leaves) != len(self.slots):
            raise UsageError(
                f"{self.origin} holds {len(leaves)} of {len(self.slots)} inputs",
                remedy=self._takes(),
            )
        return leaves

    def _takes(self) -> str:
        return f"the program takes {', '.join(slot.text() for slot in self.slots) or 'none'}"


def _checked(
    program: ExportedProgram, slots: list[_Slot], values: Sequence[Any], origin: str
) -> tuple[Any, ...]:
    """Returns the values if each has the dtype, shape or number that its input takes.

    Raises:
        UsageError: one has not.
    """
    sizes = _Sizes(program)
    return tuple(
        _check(slot, value, sizes, origin) for slot, value in zip(slots, values, strict=True)
    )


def _check(slot: _Slot, value: Any, sizes: _Sizes, origin: str) -> Any:
    wanted = slot.recorded
    if isinstance(value, torch.Tensor) and not isinstance(wanted, torch.Tensor):
        # What .npz can hold of a number.
        value = value.item() if value.dim() == 0 else value
    given = _tensor_text(value) if isinstance(value, torch.Tensor) else repr(value)
    error = UsageError(
        f"{origin}: input {slot.name} is {' '.join(given.split())}",
        remedy=f"the program takes {slot.text()}",
    )
    if slot.fixed:
        if type(value) is not type(wanted) or value != wanted:
            raise error
        return value
    if not isinstance(wanted, torch.Tensor):
        integral = isinstance(wanted, (int, torch.SymInt)) and not isinstance(wanted, bool)
        kinds = int if integral else (int, float)
        if not isinstance(value, kinds) or (integral and not sizes.fits(wanted, int(value))):
            raise error
        return value
    if not isinstance(value, torch.Tensor) or value.dtype != wanted.dtype:
        raise error
    if value.dim() != wanted.dim():
        raise error
    if not all(sizes.fits(w, g) for w, g in zip(wanted.shape, value.shape, strict=True)):
        raise error
    return value.detach().to("cpu")


def _tensor_text(value: torch.Tensor) -> str:
    return f"{dtype_name(value.dtype)} {shape_text(value_shape(value))}"


@dataclass
class _Sizes:
    """The symbolic sizes of a program, as far as values have fixed them."""

    program: ExportedProgram
    known: dict[sympy.Symbol, int] = field(default_factory=dict)

    def fits(self, wanted: Any, given: int) -> bool:
        """Returns whether a size can be `given`, and holds the sizes after it to that."""
        if isinstance(wanted, int):
            return wanted == given
        expression = wanted.node.expr.subs(self.known)
        unknown = sorted(expression.free_symbols, key=str)
        if not unknown:
            return bool(expression == given)
        if len(unknown) > 1:
            return True
        for solution in sympy.solve(expression - given, unknown[0]):
            if solution.is_integer and self._in_range(unknown[0], int(solution)):
                self.known[unknown[0]] = int(solution)
                return True
        return False

    def chosen(self, wanted: Any) -> int:
        """Returns the size of the export, or the smallest that its range allows."""
        if isinstance(wanted, int):
            return wanted
        if wanted.node.hint is not None:
            return int(wanted.node.hint)
        for symbol in wanted.node.expr.free_symbols:
            self.known.setdefault(symbol, self._smallest(symbol))
        return int(wanted.node.expr.subs(self.known))

    def _in_range(self, symbol: sympy.Symbol, size: int) -> bool:
        allowed = self.program.range_constraints.get(symbol)
        return allowed is None or bool(allowed.lower <= size <= allowed.upper)

    def _smallest(self, symbol: sympy.Symbol) -> int:
        allowed = self.program.range_constraints.get(symbol)
        # Sizes 0 and 1 are special to broadcasting: 2 if the range has it.
        least = int(allowed.lower) if allowed is not None else 2
        return 2 if least < 2 and self._in_range(symbol, 2) else least


def _random(slot: _Slot, sizes: _Sizes, generator: torch.Generator) -> Any:
    if slot.fixed:
        return slot.recorded
    wanted = slot.recorded
    if not isinstance(wanted, torch.Tensor):
        return 1.0 if isinstance(wanted, (float, torch.SymFloat)) else sizes.chosen(wanted)
    shape = [sizes.chosen(size) for size in wanted.shape]
    dtype = wanted.dtype
    if dtype.is_complex:
        part = torch.complex64 if dtype == torch.complex64 else torch.complex128
        return torch.randn(shape, generator=generator, dtype=part).to(dtype)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return torch.randint(0, RANDOM_INTEGERS, shape, generator=generator).to(dtype)
