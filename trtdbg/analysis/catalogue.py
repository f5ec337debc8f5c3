"""The catalogue of findings: what each code means, where it comes from, and what helps."""

from __future__ import annotations

from typing import Final

from trtdbg.errors import UsageError
from trtdbg.records import Level, Record


class Explanation(Record, frozen=True, kw_only=True):
    """What a finding's code means, in words for a reader who meets it for the first time."""

    code: str
    name: str
    level: Level
    """The usual level; milder where the policy in force already resolves it."""
    what: str
    """One sentence: what was seen."""
    cause: str
    """How it comes about."""
    cure: str
    """What to do about it."""


_ALL: Final = (
    Explanation(
        code="TD101",
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
        code="TD102",
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
        "PyTorch (`torch_executed_ops`, here `--torch-executed-ops aten.mul.Tensor`), or "
        "change its dtypes in the model as TensorRT's sentence in the message asks. Where "
        "the refused dtype is a wide constant, narrowing it can be enough: `--constants "
        "float64,int64`.",
    ),
    Explanation(
        code="TD103",
        name="validator-crashed",
        level=Level.ERROR,
        what="A converter's validator raised an exception instead of answering yes or no.",
        cause="The validator reads something that this node does not have: an argument left "
        "at its default, a missing keyword, or metadata that lowering did not write. It is a "
        "defect of the installed torch_tensorrt, and it ends torch_tensorrt's own "
        "compilation.",
        cure="Spell the defaulted arguments out in the model, or keep the operator in "
        "PyTorch with `--torch-executed-ops`. Report the crash to torch_tensorrt with the "
        "node and the exception of the message.",
    ),
    Explanation(
        code="TD104",
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
        code="TD105",
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
    Explanation(
        code="TD201",
        name="stale-dtype",
        level=Level.WARNING,
        what="The dtype recorded in the graph is not the dtype that the operator really "
        "computes.",
        cause="A pass changed the graph and left the old metadata on a node. Everything that "
        "trusts the record afterwards (validators, engine declarations, boundary casts) is "
        "misled. The message names the pass after which record and computation part.",
        cure="Use `--timing late` or `early`, which infer all dtypes anew. If the pass is "
        "your own, let it update `node.meta['val']` and `node.meta['tensor_meta']`.",
    ),
    Explanation(
        code="TD202",
        name="declared-dtype-mismatch",
        level=Level.WARNING,
        what="An engine input or output is declared with one dtype and bound with another.",
        cause="The graph around the engine says float64, say, while TensorRT's network takes "
        "or returns float32. Whoever reads the declaration reserves the wrong type, and "
        "values are cast silently, or not at all.",
        cure="Use `--timing late`, which declares engines with the truncated dtypes and "
        "inserts the casts that are needed, or cast the value explicitly in the model.",
    ),
    Explanation(
        code="TD203",
        name="converter-widened",
        level=Level.WARNING,
        what="A converter creates a wide value that the model never had.",
        cause="Some converters build helper constants or indices as INT64 or as float64 "
        "arrays although the operator's own operands are narrow. TensorRT then computes, or "
        "casts, in the wide type.",
        cure="Nothing in the model is wrong. It costs time and memory inside the engine; if "
        "that matters, keep the operator in PyTorch, or report the converter named in the "
        "message.",
    ),
    Explanation(
        code="TD301",
        name="missing-restoring-cast",
        level=Level.ERROR,
        what="A value leaves an engine narrower than the exported program promised, and "
        "nothing casts it back.",
        cause="Truncation made the engine compute float32 for what export promised as "
        "float64, and the repair after partitioning looked only at some of the values that "
        "cross.",
        cure="Use `--timing late`, which restores every promised dtype. With plain "
        "torch_tensorrt, cast the output yourself: `out = compiled(x).double()`.",
    ),
    Explanation(
        code="TD302",
        name="repair-crashed",
        level=Level.ERROR,
        what="torch_tensorrt's own repair of the engine boundaries raised an exception.",
        cause="With `truncate_double=True` torch_tensorrt 2.13 and 2.14 run every engine's "
        "subgraph once in PyTorch to learn its output dtypes. That fails for outputs that "
        "are plain numbers, symbolic sizes for instance.",
        cure="Use `--timing late`, which reads dtypes from inference and runs nothing. With "
        "plain torch_tensorrt, turn `truncate_double` off and remove float64 from the model.",
    ),
    Explanation(
        code="TD303",
        name="invalid-cast-in-pytorch",
        level=Level.ERROR,
        what="Truncation hands an operator that stays in PyTorch a dtype that it refuses.",
        cause="Some operators demand int64: `take`, `index_fill`, `one_hot`, the targets of a "
        "cross entropy, and in older versions of PyTorch every index. Others, such as "
        "`linear`, demand one dtype for all floats. `--timing early` narrows the PyTorch part "
        "too; what it may not narrow it leaves wide, and casts, which costs time and is a "
        "warning. Without a cast, as under `off` and `upstream`, the program raises when it "
        "runs.",
        cure="Use `--timing late`, which leaves the PyTorch part as it was, or do not narrow "
        "the dtype on that path: leave int64 out of `--inputs`, `--constants` or "
        "`--computed`.",
    ),
    Explanation(
        code="TD401",
        name="integer-overflow",
        level=Level.ERROR,
        what="An integer that is narrowed to int32 does not fit.",
        cause="A constant, a scalar or a value seen in a run lies outside -2147483648 to "
        "2147483647. Narrowed, it wraps around and becomes a different number without an "
        "error.",
        cure="Keep int64 where this value lives: leave int64 out of `--constants`, "
        "`--inputs` or `--computed`. TensorRT 10 and later compute INT64. If the value is "
        "only a marker such as -2**63 for 'nothing', use one that fits.",
    ),
    Explanation(
        code="TD402",
        name="precision-loss",
        level=Level.WARNING,
        what="A float that is narrowed becomes infinite, becomes zero, or changes by more "
        "than the tolerance.",
        cause="float32 ends at about 3.4e38, loses what is smaller than about 1e-38, and "
        "keeps 7 decimal digits where float64 keeps 16. Masks filled with -1e300 or "
        "`torch.finfo(torch.float64).min` become -inf, and -inf minus -inf is nan.",
        cure="Write the constant so that float32 can hold it "
        "(`torch.finfo(torch.float32).min`), or keep float64 constants wide with "
        "`--constants none` and let those operators stay in PyTorch.",
    ),
    Explanation(
        code="TD403",
        name="scalar-coerced",
        level=Level.WARNING,
        what="A Python number changes its value when a converter casts it to a tensor's "
        "dtype.",
        cause="PyTorch promotes `int_tensor * 0.5` to float. A converter that first makes "
        "the scalar an integer, because the tensor is one, multiplies by 0 instead.",
        cure="Make the promotion explicit in the model: `int_tensor.float() * 0.5`, or keep "
        "the operator in PyTorch with `--torch-executed-ops`.",
    ),
    Explanation(
        code="TD501",
        name="lowering-failed",
        level=Level.ERROR,
        what="A lowering pass of torch_tensorrt raised an exception, so nothing after it was "
        "analysed.",
        cause="The pass met a graph that it does not handle. The message names the pass, and "
        "the report shows the last graph that was still good.",
        cure="Look at the operators that the previous pass changed, and write that part of "
        "the model differently. Report the pass to torch_tensorrt with the smallest model "
        "that shows it.",
    ),
    Explanation(
        code="TD502",
        name="partition-failed",
        level=Level.ERROR,
        what="The partitioner raised an exception, so there are no engines.",
        cause="The partitioner found a graph that it cannot cut, or a validator raised while "
        "the partitioner asked it (TD103 names that one).",
        cure="Try the other partitioner (`--partitioner fast` or `global`), and keep the "
        "operator named in the message in PyTorch with `--torch-executed-ops`.",
    ),
    Explanation(
        code="TD503",
        name="build-failed",
        level=Level.ERROR,
        what="TensorRT could not build an engine.",
        cause="Every operator was accepted, yet TensorRT refused the network: a dtype "
        "combination that it has no kernel for, a shape that it cannot resolve, or a limit "
        "of its compiler. TensorRT's own sentence stands in the message.",
        cure="`trtdbg repro MODEL -o DIR --code TD503` cuts the engine down to the fewest "
        "operators that TensorRT refuses with the same words, as a .pt2 and a script for a "
        "bug report. Keep one of them in PyTorch with `--torch-executed-ops`, or write that "
        "part of the model otherwise. `trtdbg build MODEL --json -` holds TensorRT's log.",
    ),
)

CATALOGUE: Final[dict[str, Explanation]] = {entry.code: entry for entry in _ALL}
"""Every code, in the order of the codes."""


def explain(name: str) -> Explanation:
    """Returns the entry for a code (TD101) or a name (needless-rejection), in any case.

    Raises:
        UsageError: there is no such finding.
    """
    wanted = name.strip().lower()
    for entry in _ALL:
        if wanted in (entry.code.lower(), entry.name):
            return entry
    raise UsageError(
        f"there is no finding {name!r}", remedy="`trtdbg explain` lists all of them"
    )
