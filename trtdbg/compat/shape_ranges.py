"""Repairs of a program's shape environment, which all its copies share."""

from __future__ import annotations

from collections.abc import Iterator

import sympy
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import ExportedProgram
from torch.fx import GraphModule
from torch.fx.experimental.symbolic_shapes import ShapeEnv


def drop_derived_ranges(program: ExportedProgram) -> None:
    """Forgets the ranges of expressions such as `2*s0` in a loaded program, in place.

    A saved program has a range for each size of an input, and loading enters all of them as
    if each were a symbol. Whatever traces the program anew (`run_decompositions`) then
    raises "expected sympy.Symbol". The range of an expression follows from its symbols,
    so nothing is lost.

    Source: torch 2.13, `_export/serde/serialize.py` (GraphModuleDeserializer.deserialize) and
    `export/exported_program.py` (_get_updated_range_constraints).
    """
    for env in _shape_envs(program.graph_module):
        ranges = env.var_to_range
        for key in [key for key in ranges if not isinstance(key, sympy.Symbol)]:
            del ranges[key]
    constraints = program.range_constraints
    for key in [key for key in constraints if not isinstance(key, sympy.Symbol)]:
        del constraints[key]


def forget_unbound_sizes(program: ExportedProgram) -> None:
    """Forgets sizes that earlier runs of the program's operators made and gave to no value.

    The fake kernels of `nonzero` and its like note each size that depends on data, and the
    next trace in the same shape environment raises PendingUnbackedSymbolNotFound for those
    that are in none of its own results.

    Source: torch 2.13, `fx/experimental/symbolic_shapes.py` (compute_unbacked_bindings).
    """
    for env in _shape_envs(program.graph_module):
        env.pending_fresh_unbacked_symbols.clear()


def _shape_envs(module: GraphModule) -> Iterator[ShapeEnv]:
    seen: set[int] = set()
    for node in module.graph.nodes:
        value = node.meta.get("val")
        env = value.fake_mode.shape_env if isinstance(value, FakeTensor) else None
        if env is not None and id(env) not in seen:
            seen.add(id(env))
            yield env
