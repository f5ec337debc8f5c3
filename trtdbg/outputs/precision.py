"""What a search for the operators to keep in float32 found, as lines for a terminal."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable

from trtdbg.analysis.summary import count, operator_text
from trtdbg.plain import one_line
from trtdbg.records.precision import KeptLow, PrecisionSearch, UpstreamSettings


def lines(found: PrecisionSearch) -> list[str]:
    """Returns the answer first, then the set, what it costs, and how to use it."""
    told = [_answer(found), found.ending]
    told += [f"  {each}" for each in map(_kept, found.keep)]
    if not found.found:
        return told
    told += ["", "trtdbg, in `build` and `report`, and for `trtdbg.compile` by --policy FILE:"]
    told.append(f"  trtdbg build {shlex.quote(found.model)} {found.policy.flags()}")
    if found.settings is not None:
        told += ["", *_settings(found.settings)]
    return told


def _answer(found: PrecisionSearch) -> str:
    inputs = " and ".join(found.inputs) or "the example inputs"
    tried = f"{count(found.evaluations, 'evaluation')} on {inputs}"
    where = f"within rtol {found.tolerance.rtol:g}"
    atol = found.tolerance.atol
    where += f" and atol {atol:g}" if atol is not None else ""
    where += ", sums rounded at each step" if found.accumulate == "low" else ""
    if not found.found:
        return f"{found.model}: no set keeps the outputs {where} ({tried})"
    stay = count(len(found.keep), "operator")
    verb = "stays" if len(found.keep) == 1 else "stay"
    head = f"{stay} of {found.candidates} {verb} in float32, the rest is {found.precision}"
    if not found.keep:
        head = f"all {found.candidates} operators can be {found.precision}"
    error = "" if found.error is None else f", {found.error:.2g} times the tolerance at most"
    return f"{found.model}: {head}: the outputs are {where}{error} ({tried})"


def _kept(each: KeptLow) -> str:
    place = f" ({each.source})" if str(each.source or "") else ""
    text = f"{each.name} ({operator_text(each.target)}){place}: {each.reason}"
    if each.tried_without:
        says = "nan or infinite" if each.error_without is None else ""
        says = says or f"{each.error_without:.3g} times the tolerance"
        text += f"; without it the outputs are {says}"
    return one_line(text)


def ending(*, possible: bool, finished: bool, keep: int, minimal: bool, smallest: bool) -> str:
    """Returns how a search ended, in a sentence that promises no more than was tried."""
    if not possible:
        return (
            "Even with every operator in float32 the outputs are beyond it: truncation, or "
            "the tolerance, is to blame."
        )
    if not finished:
        return (
            "The time was over: this is the smallest set that was seen within the tolerance, "
            "and smaller ones may be."
        )
    if not keep:
        return "Nothing has to stay."
    if smallest:
        return "No smaller set does, if keeping more never hurts."
    if minimal:
        return (
            "None of them can be left out; whether other operators make a smaller set was not "
            "tried to the end."
        )
    return "Smaller sets may be."


def _settings(found: UpstreamSettings) -> Iterable[str]:
    if found.error is not None:
        yield "torch_tensorrt's own pass cannot be used here: its lowering raises"
        yield f"  {one_line(found.error)}"
        return
    if found.exact:
        yield "torch_tensorrt.dynamo.compile keeps the same set with:"
    else:
        names = ", ".join(found.also_kept[:5])
        more = f" and {len(found.also_kept) - 5} more" if len(found.also_kept) > 5 else ""
        wider = f"these also keep {names}{more}" if names else "a node has no module path"
        yield f"torch_tensorrt's settings cannot say exactly this set; {wider}:"
    yield "  enable_autocast=True,"
    yield f"  autocast_low_precision_type=torch.{found.autocast_low_precision_type},"
    yield f"  autocast_excluded_nodes={json.dumps(found.autocast_excluded_nodes)},"
    yield f"  autocast_excluded_ops={json.dumps(found.autocast_excluded_ops)},"
