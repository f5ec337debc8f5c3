"""Random small programs: Python lines over tensors of many dtypes, as a module to export.

A program is made line by line and each line is run at once on real tensors. A line that
PyTorch refuses, or whose numbers run away, is left out, so that what remains always exports.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

DTYPES = ("float64", "float32", "float16", "int64", "int32", "bool")
BATCH, WIDTH = 4, 6
LARGEST = 1e4
"""Floats beyond this are left out: float16 ends at 6.5e4."""
LARGEST_INTEGER = 2**24


@dataclass(frozen=True)
class Line:
    """One statement: `{names} = {code}`, where code reads earlier names and `self`."""

    names: tuple[str, ...]
    code: str

    def __str__(self) -> str:
        return f"{', '.join(self.names)} = {self.code}"


@dataclass(frozen=True)
class Recipe:
    """A module in text form, with what it is called with."""

    inputs: dict[str, Any]
    constants: dict[str, Any]
    """Attribute path to tensor; a tensor that stands twice is shared."""
    lines: tuple[Line, ...]
    outputs: tuple[str, ...]
    dynamic: bool = False
    seed: int = 0

    def source(self) -> str:
        """Returns the forward function as Python."""
        body = [f"    {line}" for line in self.lines]
        returned = ", ".join(self.outputs)
        head = f"def forward(self, {', '.join(self.inputs)}):"
        return "\n".join([head, *body, f"    return ({returned},)"]) + "\n"

    def __repr__(self) -> str:
        """Returns what hypothesis prints of a failing example: the module as one reads it."""
        inputs = [f"#   {n}: {_kind(t)}" for n, t in self.inputs.items()]
        constants = [f"#   self.{n}: {_kind(t)}" for n, t in self.constants.items()]
        shape = f"batch {'dynamic' if self.dynamic else 'static'}, seed {self.seed}"
        return "\n".join(["", f"# {shape}", *inputs, *constants, self.source()])

    def module(self) -> Any:
        """Returns the module, with constants as parameters, buffers and in submodules."""
        name = f"<recipe {hash(self.source())}>"
        source = self.source()
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        scope: dict[str, Any] = {"torch": torch, "F": torch.nn.functional}
        exec(compile(source, name, "exec"), scope)
        root = type("Random", (torch.nn.Module,), {"forward": scope["forward"]})()
        parameters: dict[int, Any] = {}
        for path, tensor in self.constants.items():
            *folders, leaf = path.split(".")
            owner = root
            for folder in folders:
                if not hasattr(owner, folder):
                    owner.add_module(folder, torch.nn.Module())
                owner = getattr(owner, folder)
            if leaf.startswith("weight"):
                parameter = torch.nn.Parameter(tensor, requires_grad=False)
                owner.register_parameter(leaf, parameters.setdefault(id(tensor), parameter))
            else:
                owner.register_buffer(leaf, tensor)
        return root.eval()

    def export(self) -> Any:
        """Returns the exported program; a batch that cannot be dynamic is static."""
        module, args = self.module(), tuple(self.inputs.values())
        with torch.no_grad():
            if self.dynamic:
                batch = torch.export.Dim("batch", min=2, max=64)
                shapes = tuple({0: batch} if t.dim() == 2 else {} for t in args)
                try:
                    return torch.export.export(module, args, dynamic_shapes=shapes)
                except Exception:
                    # Some line needs a fixed batch; the dtypes are as good with one.
                    return torch.export.export(module, args)
            return torch.export.export(module, args)

    def run(self, jitter: Callable[[Any], Any] = lambda value: value) -> tuple[Any, ...]:
        """Runs the lines one by one, each value passed through `jitter`."""
        own = _Namespace({path: jitter(tensor) for path, tensor in self.constants.items()})
        env = {name: jitter(tensor) for name, tensor in self.inputs.items()}
        with torch.no_grad():
            for line in self.lines:
                execute(line, env, own, jitter)
            return tuple(evaluate(code, env, own) for code in self.outputs)


class _Namespace:
    """Stands in for `self`: attribute paths to tensors."""

    def __init__(self, values: Mapping[str, Any], prefix: str = "") -> None:
        self._values, self._prefix = values, prefix

    def __getattr__(self, name: str) -> Any:
        path = f"{self._prefix}{name}"
        if path in self._values:
            return self._values[path]
        return _Namespace(self._values, f"{path}.")


def evaluate(code: str, env: Mapping[str, Any], own: Any) -> Any:
    """Evaluates an expression of a program."""
    scope = {"torch": torch, "F": torch.nn.functional, "self": own, **env}
    return eval(code, scope)


def execute(line: Line, env: dict[str, Any], own: Any, jitter: Callable[[Any], Any]) -> None:
    """Runs one line in `env`."""
    value = evaluate(line.code, env, own)
    values = (value,) if len(line.names) == 1 else tuple(value)
    for name, item in zip(line.names, values, strict=True):
        env[name] = jitter(item)


def _kind(tensor: Any) -> str:
    shape = ", ".join(map(str, tensor.shape))
    return f"{str(tensor.dtype).removeprefix('torch.')}[{shape}] at {id(tensor) % 10000}"


OPERATORS: dict[str, tuple[tuple[str, str], ...]] = {
    "elementwise": (
        ("f", "torch.relu({0})"),
        ("f", "torch.tanh({0})"),
        ("f", "torch.sigmoid({0}) * 2.5"),
        ("n", "-{0}"),
        ("n", "torch.abs({0})"),
        ("w", "torch.sqrt(torch.abs({0}) + 0.1)"),
        ("f", "torch.exp(torch.clamp({0}, -2.0, 2.0))"),
        ("w", "torch.softmax({0}, -1)"),
    ),
    # Without a converter, so that there is a PyTorch part.
    "torch_only": (
        ("w", "torch.special.i0({0} * 0.1)"),
        ("f", "torch.special.i0(torch.tanh({0}))"),
        ("w", "torch.special.i1(torch.tanh({0}))"),
        ("ww", "torch.special.zeta(torch.abs({0}) + 2, torch.abs({1}) + 1)"),
        ("ii", "torch.bitwise_and({0}, {1})"),
        ("i", "torch.bitwise_or({0}, 3)"),
        ("i", "torch.gcd({0}, {0} + 2)"),
        ("w", "torch.cummax({0}, -1)[0]"),
        ("w", "torch.special.zeta(torch.abs({0}) + 2, self.var)"),
        ("i", "torch.take(self.c_float64, {0} % 6)"),
    ),
    "casts": (
        ("x", "{0}.double()"),
        ("x", "{0}.float()"),
        ("x", "{0}.half()"),
        ("x", "{0}.to(torch.int64)"),
        ("x", "{0}.to(torch.int32)"),
        ("x", "{0}.to(torch.float64)"),
        ("n", "({0} > 0)"),
        ("xx", "{0}.to({1}.dtype)"),
    ),
    "keywords": (
        ("n", "torch.sum({0}, -1, keepdim=True, dtype=torch.float64)"),
        ("n", "torch.cumsum({0}, -1, dtype=torch.float64)"),
        ("i", "torch.cumsum({0}, -1)"),
        ("f", "torch.softmax({0}, -1, dtype=torch.float64)"),
        ("x", "torch.full_like({0}, 0.3, dtype=torch.float64)"),
        ("x", "torch.zeros_like({0}, dtype=torch.int64)"),
        ("", "torch.arange(6, dtype=torch.float64)"),
        ("", "torch.arange(6)"),
        ("", "torch.ones(6, dtype=torch.float64) * 0.7"),
        ("", "torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], dtype=torch.float64)"),
        ("f", "torch.mean({0}, -1, keepdim=True)"),
    ),
    "arithmetic": (
        ("nn", "{0} + {1}"),
        ("nn", "{0} - {1}"),
        ("nn", "{0} * {1}"),
        ("nn", "torch.maximum({0}, {1})"),
        ("bnn", "torch.where({0}, {1}, {2})"),
        ("bn", "torch.where({0}, {1}, 0.25)"),
        ("nn", "{0} < {1}"),
        ("xx", "{0} == {1}"),
        ("bb", "{0} & {1}"),
        ("b", "~{0}"),
        ("n", "{0} * 0.5"),
        ("n", "{0} + 2"),
        ("n", "{0} / 3"),
        ("i", "{0} // 2"),
        ("i", "{0} % 5"),
        ("n", "torch.clamp({0}, -1, 3)"),
        ("fb", "{0}.masked_fill({1}, 1.5)"),
    ),
    "reductions": (
        ("i", "torch.sum({0}, -1, keepdim=True)"),
        ("b", "torch.sum({0}, -1, keepdim=True)"),
        ("x", "torch.any({0}, -1, keepdim=True)"),
        ("n", "torch.argmax({0}, -1, keepdim=True)"),
        ("n", "torch.argmin({0}, -1)"),
        ("n", "torch.amax({0}, -1, keepdim=True)"),
        ("n2", "torch.topk({0}, 3, -1)"),
        ("n2", "torch.sort({0}, dim=-1, descending=True)"),
        ("n2", "torch.max({0}, dim=-1, keepdim=True)"),
        ("x2", "torch.split({0}, 3, -1)"),
        ("w3", "torch.native_layer_norm({0}, [6], None, None, 1e-5)"),
        ("w2", "torch.var_mean({0}, -1, keepdim=True)"),
    ),
    # PyTorch wants int64 in places.
    "indices": (
        ("xi", "torch.gather({0}, -1, {1} % 3)"),
        ("xi", "torch.scatter({0}, -1, {1} % 3, {0})"),
        ("xi", "torch.index_select({0}, -1, ({1} % 3).flatten()[:3])"),
        ("xi", "{0}[:, ({1} % 3).flatten()[:6]]"),
        ("xi", "torch.take_along_dim({0}, {1} % 3, -1)"),
        ("i", "F.embedding({0} % 6, self.table)"),
        ("xi", "torch.gather({0}, -1, {1})"),
        ("xi", "torch.take({0}, {1})"),
        ("xi", "{0}[..., {1}.flatten()[:4]]"),
        ("wi", "torch.index_fill({0}, -1, {1}.flatten()[:2], 0.5)"),
        ("wi", "torch.index_copy({0}, -1, {1}.flatten()[:1], {0}[..., :1])"),
        ("i", "F.one_hot({0}, 6).sum(-1)"),
        (
            "wi",
            "F.cross_entropy({0}.reshape(-1, 2), {1}.flatten()[:1].expand({0}.numel() // 2)"
            " % 2, reduction='none')",
        ),
    ),
    "shapes": (
        ("x", "{0}[..., :3]"),
        ("x", "torch.cat([{0}, {0}], -1)[..., :6]"),
        ("x", "{0}.transpose(-1, -2).contiguous().transpose(-1, -2)"),
        ("x", "{0}.unsqueeze(0).squeeze(0)"),
        ("x", "{0}.reshape({0}.shape[0], -1)"),
        ("n", "{0} * {0}.shape[0]"),
    ),
    # Also folded ones, and operators that demand equal dtypes.
    "constants": (
        ("n", "{0} + self.c_float64"),
        ("n", "{0} * self.c_int64"),
        ("n", "{0} * self.inner.deep.c_float64"),
        ("n", "{0} / self.var"),
        ("n", "{0} + (self.c_float64 * 2 + 1)"),
        ("n", "{0} - self.c_int64.double()"),
        ("n", "{0} * self.weight_shared + self.tied.weight_shared"),
        ("n", "{0} + torch.tensor(0.7, dtype=torch.float64)"),
        ("x", "torch.where(self.c_bool, {0}, {0} + {0})"),
        ("f", "{0} @ self.weight_float64"),
        ("f", "{0} @ self.weight_float32"),
        ("f", "{0} @ self.weight_float16"),
        ("f", "F.linear({0}, self.weight_float64, self.weight_bias)"),
        ("f", "F.batch_norm({0}, self.mean, self.var, self.weight_bias, None, False)"),
        ("", "self.c_float64 * 3"),
        ("", "self.c_int64 + 1"),
    ),
}
"""By group: the kinds of operands, one letter each, and the number of results; then the code.

f is a float, w float32 or float64, i an integer, b a bool, n a number, x anything.
"""

HUGE: tuple[tuple[str, str], ...] = (
    ("i", "({0} + self.huge_int64) % 5"),
    ("i", "torch.clamp({0} + 2**40, 0, 4)"),
    ("i", "{0} < 2**40"),
    ("w", "torch.clamp(torch.minimum({0}, self.huge_float64), -1.0, 1.0)"),
    ("bw", "torch.softmax(torch.where({0}, {1}, -1e300), -1)"),
    ("bw", "torch.clamp({1}.masked_fill({0}, torch.finfo(torch.float64).min), -1.0, 1.0)"),
    ("bw", "torch.exp(torch.where({0}, {1}, self.huge_float64).clamp(max=0.0))"),
)
"""Lines whose numbers no narrow dtype can hold: truncation must say so."""


def _fits(letter: str, value: Any) -> bool:
    if not isinstance(value, torch.Tensor):
        return False
    name = str(value.dtype).removeprefix("torch.")
    return {
        "f": value.dtype.is_floating_point,
        "w": name in ("float32", "float64"),
        "i": name in ("int64", "int32"),
        "b": name == "bool",
        "n": name != "bool",
        "x": True,
    }[letter]


def _tame(value: Any) -> bool:
    """Tells whether a value can be computed on with narrow dtypes too."""
    if not isinstance(value, torch.Tensor):
        return True
    if value.numel() == 0 or value.dim() > 2:
        return False
    if value.dtype.is_floating_point:
        return bool(torch.isfinite(value).all()) and float(value.abs().max()) <= LARGEST
    return int(value.to(torch.int64).abs().max()) <= LARGEST_INTEGER


def make_tensor(dtype: str, shape: tuple[int, ...], generator: Any) -> Any:
    """Returns random values; float64 ones are not representable in fewer bits."""
    kind = getattr(torch, dtype)
    if kind.is_floating_point:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(kind)
    if kind is torch.bool:
        return torch.rand(shape, generator=generator) > 0.5
    return torch.randint(0, 6, shape, generator=generator).to(kind)


def make_constants(generator: Any) -> dict[str, Any]:
    """Returns every constant that a line can name."""

    def new(dtype: str, *shape: int) -> Any:
        return make_tensor(dtype, shape, generator)

    shared = new("float64", WIDTH)
    return {
        "c_float64": new("float64", WIDTH),
        "c_int64": new("int64", WIDTH),
        "c_bool": new("bool", WIDTH),
        "inner.deep.c_float64": new("float64", WIDTH),
        "weight_shared": shared,
        "tied.weight_shared": shared,
        "weight_float64": new("float64", WIDTH, WIDTH),
        "weight_float32": new("float32", WIDTH, WIDTH),
        "weight_float16": new("float16", WIDTH, WIDTH),
        "weight_bias": new("float64", WIDTH),
        "mean": new("float64", WIDTH),
        "var": new("float64", WIDTH).abs() + 0.5,
        "table": new("float64", WIDTH, WIDTH),
        "huge_int64": torch.tensor([2**40, -(2**35), 7, 2**31, 0, 1]),
        "huge_float64": torch.tensor([1e300, -1e-300, 1.0, 2.0, -1e300, 0.5]).double(),
    }


@st.composite
def recipes(draw: Any, lines: int = 12, outputs: int = 6) -> Recipe:
    """Draws a program of up to `lines` lines that returns up to `outputs` of its results.

    What no line reads is returned first, so that most lines matter; then more at random, the
    same value twice, an input or a constant.
    """
    seed = draw(st.integers(0, 7))
    generator = torch.Generator().manual_seed(seed)
    shapes = ((BATCH, WIDTH), (BATCH, WIDTH), (WIDTH,), ())
    kinds = draw(
        st.lists(
            st.tuples(st.sampled_from(DTYPES), st.sampled_from(shapes)),
            min_size=1,
            max_size=3,
        )
    )
    inputs = {f"x{i}": make_tensor(d, s, generator) for i, (d, s) in enumerate(kinds)}
    constants = make_constants(generator)
    env, own = dict(inputs), _Namespace(constants)
    made: list[Line] = []
    groups = {**OPERATORS, "huge": HUGE} if draw(st.integers(0, 3)) == 3 else OPERATORS
    names_of_groups = [*groups, "torch_only"]
    for group in draw(
        st.lists(st.sampled_from(names_of_groups), min_size=lines // 2, max_size=lines)
    ):
        letters, code = draw(st.sampled_from(groups[group]))
        count = int(letters[-1]) if letters[-1:].isdigit() else 1
        operands = []
        for letter in letters.rstrip("0123456789"):
            fitting = [name for name, value in env.items() if _fits(letter, value)]
            if not fitting:
                break
            # The last values first, so that programs are deep and shrink to short ones.
            operands.append(draw(st.sampled_from(fitting[::-1])))
        if len(operands) < len(letters.rstrip("0123456789")):
            continue
        names = tuple(f"v{len(env) - len(inputs) + i}" for i in range(count))
        line = Line(names, code.format(*operands))
        if _runs(line, env, own):
            made.append(line)
    results = [name for line in made for name in line.names] or list(inputs)
    read = set(re.findall(r"\w+", " ".join(line.code for line in made)))
    returned = [name for name in results[::-1] if name not in read][:outputs] or results[-1:]
    for _ in range(draw(st.integers(0, 2))):
        returned.append(draw(st.sampled_from([*results[::-1], *inputs, "self.c_float64"])))
    if draw(st.integers(0, 7)) == 7:
        returned.append(f"{next(iter(inputs))}.shape[0]" if kinds[0][1] else "3")
    made = _live(made, returned)
    used = " ".join([*(line.code for line in made), *returned])
    kept = {path: t for path, t in constants.items() if f"self.{path}" in used}
    return Recipe(
        inputs=inputs,
        constants=kept,
        lines=tuple(made),
        outputs=tuple(returned),
        dynamic=draw(st.integers(0, 4)) == 4,
        seed=seed,
    )


def _live(lines: list[Line], returned: list[str]) -> list[Line]:
    """Returns the lines that the outputs depend on, so that shrinking can drop the others."""
    wanted, kept = set(re.findall(r"\w+", " ".join(returned))), []
    for line in reversed(lines):
        if wanted & set(line.names):
            wanted |= set(re.findall(r"\w+", line.code))
            kept.append(line)
    return kept[::-1]


def _runs(line: Line, env: dict[str, Any], own: Any) -> bool:
    """Runs a line in `env` if PyTorch takes it and its values are tame."""
    trial = dict(env)
    try:
        with torch.no_grad():
            execute(line, trial, own, lambda value: value)
    except Exception:
        return False
    if not all(_tame(trial[name]) for name in line.names):
        return False
    env.update(trial)
    return True
