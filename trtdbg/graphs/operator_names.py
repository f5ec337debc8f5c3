"""Names of operators that a setting keeps in PyTorch: whether torch knows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import torch
from torch.fx import Graph

from trtdbg.errors import UsageError

_PREFIX = "torch.ops."


def check_operators(names: Iterable[str], graph: Graph | None = None) -> None:
    """Checks that torch has each operator, after the libraries of a model are imported.

    Args:
        names: such as `torch.ops.aten.cumsum.default`.
        graph: the program, whose operators are proposed first in place of a wrong name.

    Raises:
        UsageError: there is no such operator, or the name leaves its overload open.
    """
    for name in names:
        short = name.removeprefix(_PREFIX)
        parts = short.split(".")
        if len(parts) == 2:
            overloads = _overloads(*parts)
            if overloads:
                full = ", ".join(f"{short}.{each}" for each in overloads[:6])
                raise UsageError(
                    f"--torch-executed-ops: {short} leaves its overload open",
                    remedy=f"name one: {full}",
                )
        elif len(parts) == 3 and parts[2] in _overloads(parts[0], parts[1]):
            continue
        near = _near(short, graph)
        raise UsageError(
            f"--torch-executed-ops: torch has no operator {short}",
            remedy=f"did you mean {' or '.join(near)}?"
            if near
            else "spell it like aten.cumsum.default, and import the library that registers "
            "it with --import",
        )


def _overloads(namespace: str, name: str) -> Sequence[str]:
    packet = getattr(getattr(torch.ops, namespace), name, None)
    return packet.overloads() if isinstance(packet, torch._ops.OpOverloadPacket) else ()


def _near(name: str, graph: Graph | None) -> list[str]:
    used = {
        str(node.target)
        for node in (graph.nodes if graph is not None else ())
        if isinstance(node.target, torch._ops.OpOverload)
    }
    near = get_close_matches(name, sorted(used), 2, cutoff=0.85)
    if near or name.rpartition(".")[0] in {each.rpartition(".")[0] for each in used}:
        return near or get_close_matches(name, sorted(used), 2)
    known = []
    for registered in torch._C._dispatch_get_all_op_names():
        qualified, _, overload = registered.partition(".")
        known.append(f"{qualified.replace('::', '.')}.{overload or 'default'}")
    return get_close_matches(name, sorted(set(known)), 2, cutoff=0.7)
