"""Reads what torch.save wrote, without torch's reader and without Python's unpickler.

A pickle is a program. The part of its language that tensors, numbers, texts and their
containers need is run here; each function that it may call is written here too. A pickle that
needs more is refused with the name of what it needs.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import torch

from trtdbg.archive import container as archives

_MOST_STEPS: Final = 5_000_000
"""Opcodes of one pickle."""

_LARGEST: Final = 1 << 62

Place = Callable[[torch.Tensor, str], torch.Tensor]
"""Moves a flat tensor of bytes to the device that a file names, or to what stands for it."""


class UnknownGlobalError(ValueError):
    """A pickle needs a function or class that tensors are not made of."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it names {name}")
        self.name = name


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Storage:
    flat: torch.Tensor
    dtype: torch.dtype


class _Mark:
    """Where a list of arguments begins on the stack."""


def saved(data: bytes, place: Place) -> Any:
    """Returns what torch.save wrote: tensors, numbers and texts in plain containers.

    Args:
        data: the file.
        place: moves the bytes of a storage to the device that the file names.

    Raises:
        UnknownGlobalError: it needs more than tensors are made of.
        ValueError: it is damaged, or not what torch.save writes.
    """
    entries = archives.entries_of(io.BytesIO(data))
    problem = archives.structural_problem(entries) or archives.bomb_in(entries)
    if problem is not None:
        raise ValueError(problem)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return _Reader(opened, place).read()


def globals_of(data: bytes) -> set[str]:
    """Returns the globals that the pickle inside of a file of torch.save names.

    Raises:
        ValueError: they cannot be told without running it.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        name = next(n for n in opened.namelist() if n.endswith("/data.pkl"))
        program = opened.read(name)
    found: set[str] = set()
    for opcode, argument, _ in pickletools.genops(program):
        if opcode.name == "GLOBAL":
            found.add(str(argument).replace(" ", "."))
        elif opcode.name in (
            "STACK_GLOBAL",
            "INST",
            "OBJ",
            "NEWOBJ_EX",
            "EXT1",
            "EXT2",
            "EXT4",
        ):
            raise ValueError(f"its pickle has the instruction {opcode.name}")
    return found


class _Reader:
    """One file of torch.save that is being read."""

    def __init__(self, opened: zipfile.ZipFile, place: Place) -> None:
        self._opened = opened
        self._place = place
        names = [name for name in opened.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError("it is not what torch.save writes")
        self._root = names[0].removesuffix("data.pkl")
        self._storages: dict[str, _Storage] = {}
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self) -> Any:
        order = f"{self._root}byteorder"
        if order in self._opened.namelist() and self._opened.read(order) != b"little":
            raise ValueError("its numbers are not little-endian")
        pickled = self._opened.read(f"{self._root}data.pkl")
        try:
            for steps, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
                if steps > _MOST_STEPS:
                    raise ValueError("its pickle is too long")
                if opcode.name == "STOP":
                    return self._pop()
                self._run(opcode.name, argument)
        except (IndexError, KeyError, TypeError, AttributeError, OverflowError) as cause:
            raise ValueError(f"its pickle is damaged ({type(cause).__name__})") from cause
        raise ValueError("its pickle has no end")

    def _run(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in ("PROTO", "FRAME"):
            return
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self._memo[argument] = self._stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self._stack.append(self._memo[argument])
        elif name == "GLOBAL":
            self._stack.append(_found(str(argument).replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            self._stack.append(_found(".".join(map(str, self._popped(2)))))
        elif name == "BINPERSID":
            self._stack.append(self._storage(self._pop()))
        elif name == "REDUCE":
            function, arguments = self._popped(2)
            self._stack.append(_called(function, arguments))
        elif name == "BUILD":
            self._build()
        else:
            self._gather(name)

    def _gather(self, name: str) -> None:
        match name:
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self._stack.append(tuple(self._popped(int(name[-1]))))
            case "TUPLE":
                self._stack.append(tuple(self._since_mark()))
            case "LIST":
                self._stack.append(self._since_mark())
            case "APPEND" | "APPENDS":
                items = [self._pop()] if name == "APPEND" else self._since_mark()
                _as(list, self._stack[-1]).extend(items)
            case "SETITEM" | "SETITEMS":
                pairs = self._popped(2) if name == "SETITEM" else self._since_mark()
                target = _as(dict, self._stack[-1])
                for key, value in zip(pairs[::2], pairs[1::2], strict=True):
                    target[key] = value
            case "DICT":
                pairs = self._since_mark()
                self._stack.append(dict(zip(pairs[::2], pairs[1::2], strict=True)))
            case "POP":
                self._pop()
            case _:
                raise ValueError(f"its pickle has the instruction {name}")

    def _build(self) -> None:
        """Takes the empty state that torch saves with an ordered dictionary of hooks."""
        state = self._pop()
        if not isinstance(self._stack[-1], OrderedDict) or not isinstance(state, dict):
            raise ValueError("its pickle changes an object")

    def _pop(self) -> Any:
        value = self._stack.pop()
        if isinstance(value, _Mark):
            raise ValueError("its pickle is damaged")
        return value

    def _popped(self, count: int) -> list[Any]:
        return [self._pop() for _ in range(count)][::-1]

    def _since_mark(self) -> list[Any]:
        items = []
        while not isinstance(item := self._stack.pop(), _Mark):
            items.append(item)
        return items[::-1]

    def _storage(self, identity: Any) -> _Storage:
        kind, storage, key, location, count = _as(tuple, identity)
        if kind != "storage" or not isinstance(storage, torch.dtype):
            raise ValueError("its pickle names a strange storage")
        if not isinstance(key, str) or not isinstance(location, str):
            raise ValueError("its pickle names a strange storage")
        if key not in self._storages:
            data = bytearray(self._opened.read(f"{self._root}data/{key}"))
            size = storage.itemsize * _whole(count)
            if len(data) < size:
                raise ValueError(f"its storage {key!r} is cut")
            self._storages[key] = _Storage(self._place(flat_of(data), location), storage)
        made = self._storages[key]
        return _Storage(made.flat, storage)


def flat_of(data: bytearray) -> torch.Tensor:
    """Returns bytes as a tensor of them."""
    if not data:
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(data, dtype=torch.uint8)


def view(
    flat: torch.Tensor,
    dtype: torch.dtype,
    size: Sequence[int],
    stride: Sequence[int],
    offset: int,
) -> torch.Tensor:
    """Returns a tensor over bytes, of which all elements are inside.

    Args:
        flat: the bytes.
        dtype: of the elements.
        size: elements along each axis.
        stride: elements from one to the next along each axis.
        offset: elements before the first.

    Raises:
        ValueError: it would reach beyond the bytes.
    """
    if len(size) != len(stride) or min([*size, *stride, offset], default=0) < 0:
        raise ValueError("a tensor has a strange size")
    held = flat.numel() // dtype.itemsize
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= held:
        raise ValueError(f"a tensor reaches to element {last} of a storage of {held}")
    if 0 in size:
        offset = min(offset, held)
    elements = flat[: held * dtype.itemsize].view(dtype)
    return torch.as_strided(elements, tuple(size), tuple(stride), offset)


def _found(name: str) -> Any:
    if name in _CALLED:
        return _Global(name)
    if name in _STORAGES:
        return _STORAGES[name]
    if name in _VALUES:
        return _VALUES[name]
    raise UnknownGlobalError(name)


def _called(function: Any, arguments: Any) -> Any:
    if not isinstance(function, _Global):
        raise ValueError("its pickle calls what is no function")
    return _CALLED[function.name](*_as(tuple, arguments))


def _tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    hooks: Any = None,
    metadata: Any = None,
) -> torch.Tensor:
    del hooks
    if metadata:
        raise ValueError("a tensor in it is conjugated or negated")
    held = _as(_Storage, storage)
    made = view(
        held.flat,
        held.dtype,
        [_whole(each) for each in _as(tuple, size)],
        [_whole(each) for each in _as(tuple, stride)],
        _whole(offset),
    )
    return made.requires_grad_(True) if requires_grad is True else made


def _tensor_of(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> torch.Tensor:
    """Makes a tensor whose elements are of a type that has no storage of its own."""
    held = _Storage(_as(_Storage, storage).flat, _as(torch.dtype, dtype))
    return _tensor(held, offset, size, stride, requires_grad, hooks, metadata)


def _parameter(data: Any, requires_grad: Any, hooks: Any) -> torch.nn.Parameter:
    del hooks
    return torch.nn.Parameter(_as(torch.Tensor, data), requires_grad is True)


def _sizes(*arguments: Any) -> torch.Size:
    return torch.Size([_whole(each) for each in (_as(tuple, arguments[0]))])


def _device(kind: Any, index: Any = None) -> torch.device:
    if index is None:
        return torch.device(_as(str, kind))
    return torch.device(_as(str, kind), _whole(index))


def _whole(value: Any) -> int:
    if value.__class__ is not int or not 0 <= value < _LARGEST:
        raise ValueError("its pickle holds a strange size")
    number: int = value
    return number


def _as(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError("its pickle is damaged")
    return value


def _number(real: Any, imaginary: Any) -> complex:
    return complex(_as(float, real), _as(float, imaginary))


def _ordered(*arguments: Any) -> OrderedDict[Any, Any]:
    return OrderedDict(*arguments)


def _slice(*arguments: Any) -> slice:
    if not all(isinstance(each, int | None) for each in arguments):
        _damaged()
    return slice(*arguments)


def _range(*arguments: Any) -> range:
    return range(*[_as(int, each) for each in arguments])


def _damaged() -> NoReturn:
    raise ValueError("its pickle is damaged")


_PUSHED: Final = frozenset(
    (
        *(
            "BININT",
            "BININT1",
            "BININT2",
            "INT",
            "LONG",
            "LONG1",
            "LONG4",
            "BINFLOAT",
            "FLOAT",
        ),
        *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    )
)
"""Instructions that put their argument on the stack."""

_CONSTANTS: Final[dict[str, Callable[[], Any]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": _Mark,
}

_CALLED: Final[dict[str, Callable[..., Any]]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of,
    "torch._utils._rebuild_parameter": _parameter,
    "collections.OrderedDict": _ordered,
    "torch.Size": _sizes,
    "torch.device": _device,
    "builtins.complex": _number,
    "__builtin__.complex": _number,
    "builtins.slice": _slice,
    "__builtin__.slice": _slice,
    "builtins.range": _range,
    "__builtin__.xrange": _range,
}
"""What a pickle may call."""

_VALUES: Final = {
    f"torch.{name}": value
    for name, value in vars(torch).items()
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format)
}

_STORAGES: Final = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.ComplexFloatStorage": torch.complex64,
    "torch.ComplexDoubleStorage": torch.complex128,
    "torch.storage.UntypedStorage": torch.uint8,
    "torch.UntypedStorage": torch.uint8,
}


KNOWN: Final = frozenset((*_CALLED, *_STORAGES, *_VALUES))
"""The globals that this reads."""
