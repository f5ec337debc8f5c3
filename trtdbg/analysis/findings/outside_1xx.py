"""TD106 to TD110: what keeps an operator outside the engines whatever its dtypes' width."""

from __future__ import annotations

from collections.abc import Iterator

from trtdbg.analysis.causes import CODES, operators_outside, reasons
from trtdbg.analysis.codes import Code, Explanation
from trtdbg.analysis.findings.making import maker
from trtdbg.records import Finding, Level, Report

ENTRIES = (
    Explanation(
        code=Code.TD106,
        name="no-converter",
        level=Level.WARNING,
        what="torch_tensorrt has no converter for an operator, or only for other overloads of "
        "it.",
        cause="An engine holds only operators that a converter can express in TensorRT's "
        "layers. Without one the operator runs in PyTorch, and the engine is cut in two "
        "around it.",
        cure="No setting helps: write the operator as others that have a converter, or "
        "register a converter for it (`torch_tensorrt.dynamo.conversion."
        "dynamo_tensorrt_converter`). `trtdbg repro MODEL -o DIR --node NODE` writes the "
        "operator with what it reads as a script for a feature request.",
    ),
    Explanation(
        code=Code.TD107,
        name="missing-in-flavour",
        level=Level.WARNING,
        what="The installed build of torch_tensorrt refuses an operator that the build for "
        "standard TensorRT takes.",
        cause="torch_tensorrt comes for TensorRT and for TensorRT-RTX. Where TensorRT-RTX "
        "lacks a layer or a plugin, its build says no, or its converter raises, whatever the "
        "dtypes are. It is no defect of the model and none of torch_tensorrt.",
        cure="Install `torch-tensorrt` in place of `torch-tensorrt-rtx` where the engine is "
        "to run on standard TensorRT. With TensorRT-RTX, write it as other operators, or "
        "leave it to PyTorch.",
    ),
    Explanation(
        code=Code.TD108,
        name="kept-out-by-setting",
        level=Level.NOTE,
        what="A compilation setting, or the partitioner, leaves an operator to PyTorch.",
        cause="`torch_executed_ops` names the operator, or the block around it has fewer "
        "operators than `min_block_size`, or the partitioner left it out.",
        cure="Take the operator off the list (`--torch-executed-ops`), or lower "
        "`--min-block-size`. Where the partitioner itself left it out no setting is known.",
    ),
    Explanation(
        code=Code.TD109,
        name="data-dependent-size",
        level=Level.NOTE,
        what="The size of an operator's result depends on the data, and a setting keeps such "
        "operators in PyTorch.",
        cause="The converter needs an output allocator, and `fallback_data_dependent_ops` is "
        "on.",
        cure="Turn `fallback_data_dependent_ops` off, or write the operator so that its size "
        "is known: a mask to multiply with in place of an index.",
    ),
    Explanation(
        code=Code.TD110,
        name="refused",
        level=Level.WARNING,
        what="A validator refuses an operator for its dtype, its sizes or an argument, and no "
        "truncation changes that.",
        cause="The converter does not cover this case: a dtype that TensorRT has no kernel "
        "for, a symbolic size, or an option. The message says what the validator looks at, "
        "as far as changing one thing at a time shows it.",
        cure="Write that part of the model otherwise, or leave the operator to PyTorch.",
    ),
)

_finding = maker(ENTRIES)
_OWN = {entry.code.value for entry in ENTRIES}


def outside(report: Report) -> Iterator[Finding]:
    """Yields the operators outside the engines whose first cause is of these codes."""
    for node in operators_outside(report):
        first = reasons(report, node)[0]
        code = CODES.get(first.kind)
        if code not in _OWN:
            continue
        fact = f" ({first.fact})" if first.fact else ""
        message = f"{node.name} ({node.target}) is left to PyTorch: {first.text}{fact}"
        yield _finding(Code(code), message, node)
