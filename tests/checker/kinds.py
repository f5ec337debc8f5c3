"""Programs of the kinds that export knows: control flow, sizes, buffers, arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

Dim = torch.export.Dim
BUFFERS = (
    *("uint8", "int8", "int16", "int32", "int64", "bool"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)
SIZES: dict[str, Callable[[], Any]] = {
    "named": lambda: Dim("n"),
    "bounds": lambda: Dim("n", min=3, max=9),
    "derived": lambda: 2 * Dim("n", min=2, max=9),
    "shifted": lambda: Dim("n", min=3, max=9) + 1,
    "AUTO": lambda: Dim.AUTO,
    "DYNAMIC": lambda: Dim.DYNAMIC,
    "STATIC": lambda: Dim.STATIC,
}
"""Every form in which a size may be dynamic."""


def module(forward: Callable[..., Any], **buffers: Any) -> Any:
    """Returns a module of a forward function, with buffers."""
    made = type("Kind", (torch.nn.Module,), {"forward": forward})()
    for name, value in buffers.items():
        made.register_buffer(name, value)
    return made.eval()


def exported(
    forward: Any, *args: Any, kwargs: Any = None, shapes: Any = None, **b: Any
) -> Any:
    """Returns the exported program of a forward function."""
    with torch.no_grad():
        return torch.export.export(module(forward, **b), args, kwargs, dynamic_shapes=shapes)


def _sized(form: str) -> Any:
    def forward(self: Any, x: Any) -> Any:
        return torch.relu(x.double() * x.shape[0]).float().reshape(-1, 2), x.shape[0] + 1

    return exported(forward, torch.randn(6, 4), shapes={"x": {0: SIZES[form]()}})


def _buffered(dtype: str) -> Any:
    def forward(self: Any, x: Any) -> Any:
        return torch.relu(x), self.table, torch.special.i0(x) + (self.table != 0).sum()

    table = torch.tensor([1, 0, 1]).to(getattr(torch, dtype))
    return exported(forward, torch.randn(4, 3), table=table)


def _computed_with(dtype: str) -> Any:
    def forward(self: Any, x: Any) -> Any:
        return x * self.table

    return exported(
        forward, torch.randn(4, 3), table=torch.tensor([1, 0, 1]).to(getattr(torch, dtype))
    )


def _mutated() -> Any:
    def forward(self: Any, x: Any) -> Any:
        self.seen.add_(x.double().sum())
        self.count.add_(1)
        return torch.relu(x) * self.seen.float() + self.count

    zero = torch.zeros((), dtype=torch.float64)
    return exported(forward, torch.randn(3, 4), seen=zero, count=torch.tensor(0))


def _handed_through() -> Any:
    def forward(self: Any, x: Any, y: Any) -> Any:
        doubled = x.double() * 2
        return x, y, doubled, doubled, self.weight, torch.relu(y)

    return exported(
        forward, torch.randn(3), torch.randn(3), weight=torch.randn(3, dtype=torch.float64)
    )


def _nested() -> Any:
    def forward(self: Any, batch: Any, *, scale: Any, pair: Any) -> Any:
        ids, features = batch["ids"], batch["features"]
        return {"out": features[0] * scale + ids.double(), "also": [pair[0] - pair[1]]}

    batch = {
        "ids": torch.arange(6),
        "features": [torch.randn(2, 6), torch.randn(1)],
    }
    wide = torch.randn(6, dtype=torch.float64)
    return exported(forward, batch, kwargs={"scale": wide, "pair": (wide, wide + 1)})


def _nested_dynamic() -> Any:
    def forward(self: Any, batch: Any) -> Any:
        return torch.relu(batch["x"][0].double()).sum(-1) + batch["y"]

    rows = Dim("rows", min=3, max=8)
    batch = {"x": [torch.randn(5, 4)], "y": torch.randn(5)}
    shapes = {"batch": {"x": [{0: rows}], "y": {0: rows}}}
    return exported(forward, batch, shapes=shapes)


def _several() -> Any:
    def forward(self: Any, x: Any) -> Any:
        best, place = torch.topk(x.double(), 2)
        low, high = torch.split(best, 1, -1)
        mean, other = torch.var_mean(x, -1)
        return best, place, low + high, mean, other, *torch.sort(x, -1, True)

    return exported(forward, torch.randn(3, 4))


def _norm() -> Any:
    def forward(self: Any, x: Any) -> Any:
        return torch.native_layer_norm(x.double(), [4], None, None, 1e-5)

    return exported(forward, torch.randn(3, 4))


def _unbacked() -> Any:
    def forward(self: Any, x: Any, n: Any) -> Any:
        size = n.item()
        torch._check(size >= 1)
        torch._check(size <= 9)
        return torch.ones(size, dtype=torch.float64).sum() * torch.relu(x)

    return exported(forward, torch.randn(3), torch.tensor(4))


def _numbers() -> Any:
    def forward(self: Any, x: Any, factor: Any, flag: Any) -> Any:
        return (x.double() * factor if flag else x), factor

    return exported(forward, torch.randn(3), 2.5, True)


def _cond() -> Any:
    def forward(self: Any, x: Any) -> Any:
        h = torch.relu(x.double())
        return torch.cond(h.sum() > 0, lambda h: h.sin(), lambda h: h.cos() * 2, (h,)) * 3

    return exported(forward, torch.randn(3, 4))


def _cond_of_buffers() -> Any:
    def forward(self: Any, x: Any) -> Any:
        then = lambda h: h + self.table  # noqa: E731
        return torch.cond(x.sum() > 0, then, lambda h: h - 1, (torch.relu(x),)).exp()

    return exported(forward, torch.randn(3), table=torch.randn(3))


def _loop() -> Any:
    from torch._higher_order_ops import while_loop

    def forward(self: Any, x: Any) -> Any:
        start = torch.zeros((), dtype=torch.int64), torch.relu(x.double())
        i, h = while_loop(lambda i, h: i < 3, lambda i, h: (i + 1, h.sin()), start)
        return h * 2 + i

    return exported(forward, torch.randn(3, 4))


def _map() -> Any:
    from torch._higher_order_ops.map import map as each

    def forward(self: Any, x: Any) -> Any:
        return each(lambda row: row.double().tanh(), torch.relu(x)) + 1

    return exported(forward, torch.randn(3, 4))


def _scan() -> Any:
    from torch._higher_order_ops.scan import scan

    def forward(self: Any, x: Any) -> Any:
        carry, rows = scan(lambda c, r: (c + r, torch.exp(r)), torch.zeros(4), torch.relu(x))
        return rows + carry

    return exported(forward, torch.randn(3, 4))


def _empty() -> Any:
    return exported(lambda self, x: x, torch.randn(3))


KINDS: dict[str, Callable[[], Any]] = {
    "buffers that change": _mutated,
    "values handed through": _handed_through,
    "nested inputs and keywords": _nested,
    "nested inputs with sizes": _nested_dynamic,
    "several outputs": _several,
    "three outputs of one dtype": _norm,
    "a size that is data": _unbacked,
    "numbers as inputs": _numbers,
    "cond": _cond,
    "cond that reads a buffer": _cond_of_buffers,
    "while_loop": _loop,
    "map": _map,
    "scan": _scan,
    "nothing": _empty,
    **{f"size {form}": (lambda form=form: _sized(form)) for form in SIZES},
    **{f"returned {dtype}": (lambda dtype=dtype: _buffered(dtype)) for dtype in BUFFERS},
    **{f"computed with {d}": (lambda d=d: _computed_with(d)) for d in BUFFERS},
}
