"""TD1xx: what the validators say of single operators."""

from __future__ import annotations

from collections.abc import Iterator

from trtdbg.analysis.causes import is_excluded
from trtdbg.analysis.codes import Code, Explanation
from trtdbg.analysis.conclusions import (
    PARTITIONER,
    PROBE,
    REFUSED,
    accepted_somewhere,
    answer_in_force,
    conclusion,
)
from trtdbg.analysis.findings.evidence import Evidence
from trtdbg.analysis.findings.making import maker
from trtdbg.analysis.needed import needing
from trtdbg.analysis.summary import is_operator
from trtdbg.dtypes import NARROWED, is_wide
from trtdbg.policy import Timing, VerdictSource
from trtdbg.records import (
    Finding,
    Level,
    NodeRecord,
    RefusalKind,
    Report,
    Scope,
    ValidatorVerdict,
    Verdict,
    dtype_text,
)

ENTRIES = (
    Explanation(
        code=Code.TD101,
        name="needless-rejection",
        level=Level.WARNING,
        what="A converter's validator refuses an operator because of a wide dtype that "
        "truncation removes.",
        cause="Before torch_tensorrt lets an engine hold an operator, the converter's "
        "validator looks at the dtypes of the operator. It sees them as the model wrote "
        "them, float64 say, although the engine will compute in float32. So it says no to "
        "something that would have worked, and the engine is cut in two around an operator "
        "that runs in PyTorch.",
        cure="Judge the truncated dtypes instead: `--timing late`, where this finding is "
        "only a note. With plain torch_tensorrt, remove the wide dtype from the model: write "
        "`x.float()` for `x.double()`, or drop the `dtype=` keyword at the source line shown.",
    ),
    Explanation(
        code=Code.TD102,
        name="false-accept",
        level=Level.ERROR,
        what="Every validator accepts an operator, but its converter or TensorRT itself then "
        "refuses it.",
        cause="Validators know only part of TensorRT's rules. Limits such as 'no "
        "multiplication of two bools' or 'no INT64 matrix product' are met only when the "
        "network is defined or built, and then the whole engine fails, not just this "
        "operator.",
        cure="Let TensorRT decide what an engine may hold (`--verdicts tensorrt`): only this "
        "operator is then left to PyTorch. With plain torch_tensorrt, keep the operator in "
        "PyTorch (`torch_executed_ops`, here `--torch-executed-ops OPERATOR`), or "
        "change its dtypes in the model as TensorRT's sentence in the message asks. Where "
        "the refused dtype is a wide constant, narrowing it can be enough: `--constants "
        "float64,int64`.",
    ),
    Explanation(
        code=Code.TD103,
        name="validator-crashed",
        level=Level.ERROR,
        what="A converter's validator raised an exception instead of answering yes or no.",
        cause="The validator reads something that this node does not have: an argument left "
        "at its default, a missing keyword, or metadata that lowering did not write. It is a "
        "defect of the installed torch_tensorrt, and it ends torch_tensorrt's own "
        "compilation.",
        cure="Export leaves out an argument that equals its default, also where the model "
        "writes it. Give an equal value that is not the default, such as a dimension counted "
        "from the front (`dim=1` for `dim=-1`), or keep the operator in PyTorch with "
        "`--torch-executed-ops`. `--timing late` goes on where torch_tensorrt's own "
        "compilation ends. Report the crash to torch_tensorrt with the node and the exception "
        "of the message.",
    ),
    Explanation(
        code=Code.TD104,
        name="scope-dependent-verdict",
        level=Level.ERROR,
        what="An operator is accepted in the whole graph and refused inside its engine, or "
        "the reverse.",
        cause="torch_tensorrt asks the validators twice: before partitioning, and again "
        "while it converts an engine. In between, operands have become engine inputs with "
        "other metadata, or a constant has become an input, so the same question gets "
        "another answer. Accepted first and refused later, the engine cannot be converted.",
        cure="Use `--verdicts tensorrt`, which asks inside the engines too and leaves the "
        "operator to PyTorch where it is refused there. With plain torch_tensorrt, keep it in "
        "PyTorch by name (`--torch-executed-ops`), or make the value that crosses the border "
        "part of the same engine.",
    ),
    Explanation(
        code=Code.TD105,
        name="unreadable-metadata",
        level=Level.WARNING,
        what="A validator refuses an operator because it could not read a dtype, not because "
        "it dislikes the dtype.",
        cause="Validators read dtypes from a node's metadata, some from `val` and some from "
        "`tensor_meta`. A lowering pass that creates or replaces a node without writing both "
        "leaves the validator with nothing, and it says no to be safe.",
        cure="Use `--timing late` or `early`, which write both entries anew before "
        "validators are asked. With plain torch_tensorrt, avoid the pass or operator named "
        "in the message.",
    ),
)

_finding = maker(ENTRIES)


def verdicts(report: Report) -> Iterator[Finding]:
    """Yields what validators and TensorRT say of each operator."""
    needed = needing(report)
    for node in report.nodes:
        found = conclusion(node)
        if found is None:
            continue
        if (
            found.inferred is Verdict.REJECT
            and found.truncated is Verdict.ACCEPT
            and report.policy.timing.narrows_engines
            # TD405 says of these that narrowing them changes the numbers.
            and node.name not in needed
        ):
            yield _needless_rejection(report, node)
        if (
            found.original is Verdict.REJECT
            and found.inferred is Verdict.ACCEPT
            and not report.policy.timing.narrows_pytorch
        ):
            yield _unreadable_metadata(report, node)
        if is_operator(node):
            # A result that is taken apart repeats the crash of the operator that made it.
            yield from _crashes(report, node)
        yield from inside(report, node)


def _unreadable_metadata(report: Report, node: NodeRecord) -> Finding:
    resolved = report.policy.timing is Timing.LATE
    why = _stated(node, RefusalKind.METADATA) or (
        "is rejected on the metadata that lowering leaves and accepted once it is "
        "refreshed, with the same dtypes"
    )
    return _finding(
        Code.TD105,
        f"{node.name} ({node.target}) {why}",
        node,
        level=Level.NOTE if resolved else None,
    )


def dissolved(report: Report, evidence: Evidence) -> Iterator[Finding]:
    """Yields refused operators that timing early removed, as notes."""
    for name, (target, why, source) in evidence.dissolved.items():
        place = f" ({source})" if source is not None and str(source) else ""
        resolved = f"timing {report.policy.timing.value} resolves it, and the operator is gone"
        yield Finding(
            code=Code.TD101.value,
            level=Level.NOTE,
            node=name,
            message=f"{name} ({target}) {why}; {resolved}{place}",
            source=source,
        )


def _needless_rejection(report: Report, node: NodeRecord) -> Finding:
    dtype = _wide_reason(node)
    accepts = NARROWED.get(dtype, dtype_text(node.truncated))
    resolved = node.verdict is Verdict.ACCEPT
    tail = f"; timing {report.policy.timing.value} resolves it" if resolved else ""
    why = _stated(node, RefusalKind.DTYPE) or (
        f"is rejected because of {dtype} and accepted with {accepts}"
    )
    return _finding(
        Code.TD101,
        f"{node.name} ({node.target}) {why}{tail}",
        node,
        level=Level.NOTE if resolved else None,
    )


def _stated(node: NodeRecord, kind: RefusalKind) -> str | None:
    """Returns the node's counterfactual as text if it is of a kind and turns the verdict."""
    found = node.counterfactual
    if found is None or found.kind is not kind or not found.changes:
        return None
    return found.text


def _wide_reason(node: NodeRecord) -> str:
    names = (node.inferred,) if isinstance(node.inferred, str) else node.inferred or ()
    return next((n for n in names if n is not None and is_wide(n)), dtype_text(node.inferred))


def _crashes(report: Report, node: NodeRecord) -> Iterator[Finding]:
    crash = next(
        (
            v
            for v in node.verdicts
            if v.validator not in (PARTITIONER, PROBE)
            and Verdict.CRASHED in (v.original, v.inferred, v.truncated)
        ),
        None,
    )
    if crash is not None:
        why = _stated(node, RefusalKind.CRASHED)
        tail = f"; {why.rpartition('; ')[2]}" if why is not None else ""
        kept = is_excluded(report, node)
        if kept:
            tail = "; nobody asks it: --torch-executed-ops keeps the operator in PyTorch"
        yield _finding(
            Code.TD103,
            f"{node.name} ({node.target}): {crash.validator} does not answer: "
            f"{crash.reason}{tail}",
            node,
            level=Level.NOTE if kept else None,
        )


def inside(report: Report, node: NodeRecord) -> Iterator[Finding]:
    """Yields what is said of a node inside its engine: by its validators, else by TensorRT."""
    dependent = conclusion(node, Scope.SUBGRAPH)
    if dependent is not None:
        yield _scope_dependent(report, node, dependent)
        return
    if not accepted_somewhere(node):
        return
    for row in node.verdicts:
        if row.scope is not Scope.SUBGRAPH or row.validator != PROBE:
            continue
        if row.truncated in REFUSED:
            yield false_accept(report, node, row.reason or "TensorRT refuses it")


def false_accept(report: Report, node: NodeRecord, sentence: str) -> Finding:
    """Returns the finding of an accepted operator that TensorRT refuses with a sentence."""
    nodes = {each.name: each for each in report.nodes}
    operands = ", ".join(dtype_text(nodes[o].truncated) for o in node.operands if o in nodes)
    resolved = report.policy.verdicts is VerdictSource.TENSORRT
    tail = "; it is left to PyTorch" if resolved else ""
    return _finding(
        Code.TD102,
        f"{node.name} ({node.target}, operands {operands or 'none'}) is accepted by its "
        f"validators, but: {sentence}{tail}",
        node,
        level=Level.WARNING if resolved else None,
    )


def _scope_dependent(report: Report, node: NodeRecord, verdict: ValidatorVerdict) -> Finding:
    inside = {
        Verdict.ACCEPT: "accepted inside its engine but not in the whole graph",
        Verdict.REJECT: "accepted in the whole graph but refused inside its engine",
        Verdict.CRASHED: "accepted in the graph, but its validator raises inside its engine",
    }.get(answer_in_force(report.policy, verdict), "judged otherwise inside its engine")
    resolved = report.policy.verdicts is VerdictSource.TENSORRT
    tail = "; it is left to PyTorch" if resolved and node.engine is None else ""
    return _finding(
        Code.TD104,
        f"{node.name} ({node.target}) is {inside}{tail}",
        node,
        level=Level.WARNING if tail else None,
    )
