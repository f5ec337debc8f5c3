"""Random programs of the forms that export knows: control flow, sizes, buffers, arguments.

Each is put together from parts that are drawn one by one: how the inputs are nested and which
are keywords, in which form a size is dynamic, a buffer of any dtype and whether it is written,
what control flow the values go through, and what is returned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

Dim = torch.export.Dim

BUFFERS = (
    *("uint8", "int8", "int16", "int32", "int64", "bool"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)
SIZES: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "named": lambda: Dim("n"),
    "bounds": lambda: Dim("n", min=3, max=9),
    "derived": lambda: 2 * Dim("n", min=2, max=9),
    "shifted": lambda: Dim("n", min=3, max=9) + 1,
    "AUTO": lambda: Dim.AUTO,
    "DYNAMIC": lambda: Dim.DYNAMIC,
    "STATIC": lambda: Dim.STATIC,
}
"""Every form in which a size may be dynamic; of `unbacked` it is read from a tensor."""
SHAPES = (*SIZES, "unbacked")
DTYPES = ("float32", "float64", "float16", "int64", "int32")
FLOWS = ("none", "cond", "nested cond", "while_loop", "map", "scan")
NESTED = ("plain", "dict", "list", "keyword", "nested keyword")
HANDED = ("x", "y", "h", "buffer", "size")
STEPS: dict[str, Callable[[Any], Any]] = {
    "relu": torch.relu,
    "double": lambda v: v.double() * 2,
    "float": lambda v: v.float() + 1,
    "half": lambda v: v.half(),
    "round": lambda v: (v * 3).long(),
    # Without converters, so that there is a PyTorch part.
    "bessel": lambda v: torch.special.i0(torch.tanh(v)),
    "cummax": lambda v: torch.cummax(v, -1)[0],
    "sum": lambda v: v + v.sum(-1, keepdim=True),
}
ENDS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "one": lambda v: (v,),
    "twice": lambda v: (v, v),
    "topk": lambda v: tuple(torch.topk(v, 2)),
    "split": lambda v: tuple(torch.split(v, 2, -1)),
    "norm": lambda v: torch.native_layer_norm(v.float(), [4], None, None, 1e-5),
    "var_mean": lambda v: tuple(torch.var_mean(v.float(), -1)),
}


@dataclass(frozen=True)
class Form:
    """The parts of a program."""

    dtype: str
    nested: str
    size: str
    buffer: str | None
    written: bool
    steps: tuple[str, ...]
    flow: str
    end: str
    handed: tuple[str, ...]
    """What is returned as it came in, beside the results."""

    def export(self) -> Any:
        """Returns the exported program; a size that the steps fix is static."""
        try:
            return self._exported(self.size)
        except Exception:
            if self.size in ("none", "unbacked"):
                raise
            # A step needs a fixed size; control flow and the rest are as good with one.
            return self._exported("none")

    def _exported(self, size: str) -> Any:
        x = torch.linspace(-1, 4, 24).reshape(6, 4).to(getattr(torch, self.dtype))
        args, kwargs = self._nest(x, torch.ones(4), torch.tensor(3))
        shapes = None
        if size in SIZES and size != "none":
            dynamic = {0: SIZES[size]()}
            given, named = self._nest(dynamic, {}, {})
            shapes = dict(zip(("batch", "y", "n"), given, strict=False)) | named
        with torch.no_grad():
            return torch.export.export(self._module(), args, kwargs, dynamic_shapes=shapes)

    def _nest(self, x: Any, y: Any, n: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns three inputs as arguments and keywords."""
        return {
            "plain": ((x, y, n), {}),
            "dict": (({"x": x, "more": [y, n]},), {}),
            "list": (([x, (y, n)],), {}),
            "keyword": ((x,), {"y": y, "n": n}),
            "nested keyword": ((x,), {"y": {"y": y}, "n": [n]}),
        }[self.nested]

    def _open(self, batch: Any, y: Any, n: Any) -> tuple[Any, Any, Any]:
        match self.nested:
            case "dict":
                return batch["x"], *batch["more"]
            case "list":
                return batch[0], *batch[1]
            case "nested keyword":
                return batch, y["y"], n[0]
        return batch, y, n

    def _module(self) -> Any:
        form = self

        class Drawn(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.register_buffer("seen", torch.zeros((), dtype=torch.float64))
                kept = torch.tensor([1, 0, 1, 1]).to(getattr(torch, form.buffer or "float32"))
                self.register_buffer("table", kept)

            def forward(self, batch: Any, y: Any = None, n: Any = None) -> Any:
                return form._run(self, *form._open(batch, y, n))

        return Drawn().eval()

    def _run(self, module: Any, x: Any, y: Any, n: Any) -> dict[str, Any]:
        h = x
        for step in self.steps:
            h = STEPS[step](h)
        if self.size == "unbacked":
            k = n.item()
            torch._check(k >= 1)
            torch._check(k <= 9)
            h = h + torch.ones(k, dtype=torch.float64).sum()
        h = flow(self.flow, h.float())
        if self.buffer is not None:
            h = h + (module.table != 0).sum()
        if self.written:
            module.seen.add_(x.double().sum())
            h = h + module.seen.float()
        values = {"x": x, "y": y, "h": h, "buffer": module.table, "size": x.shape[0]}
        given = [values[name] for name in self.handed]
        return {"results": ENDS[self.end](h * y), "handed": given}


def flow(kind: str, h: Any) -> Any:
    """Returns a value that control flow of a kind has computed."""
    from torch._higher_order_ops import while_loop
    from torch._higher_order_ops.map import map as each
    from torch._higher_order_ops.scan import scan

    def inner(v: Any) -> Any:
        return torch.cond(v.mean() > 1, lambda v: v + 1, lambda v: v.exp(), (v,))

    match kind:
        case "cond":
            return torch.cond(h.sum() > 0, lambda v: v.sin(), lambda v: v.cos() * 2, (h,))
        case "nested cond":
            return torch.cond(h.sum() > 0, inner, lambda v: v.cos(), (h,))
        case "while_loop":
            start = torch.zeros((), dtype=torch.int64), h
            return while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, v.sin()), start)[1]
        case "map":
            return each(lambda row: row.double().tanh().float(), h)
        case "scan":
            carry, rows = scan(lambda c, r: (c + r, r.exp()), torch.zeros(4), h)
            return rows + carry
    return h


def forms() -> Any:
    """Draws a form."""
    return st.builds(
        Form,
        dtype=st.sampled_from(DTYPES),
        nested=st.sampled_from(NESTED),
        size=st.sampled_from(SHAPES),
        buffer=st.sampled_from((None, *BUFFERS)),
        written=st.booleans(),
        steps=st.lists(st.sampled_from(tuple(STEPS)), max_size=4).map(tuple),
        flow=st.sampled_from(FLOWS),
        end=st.sampled_from(tuple(ENDS)),
        handed=st.lists(st.sampled_from(HANDED), max_size=3).map(tuple),
    )
