"""The page with every validator of a node: its answers, its reason and its source."""

from __future__ import annotations

from trtdbg.records import NodeRecord, ValidatorSource, ValidatorVerdict
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.render.detail import fate, head, indented, who
from trtdbg_ui.render.signs import VERDICT_SIGN
from trtdbg_ui.text import BLANK, Line, Tone, line, wrap


def validators(loaded: Loaded, node: NodeRecord, size: int) -> list[Line]:
    """Returns every validator's answers on a node in full: converters, scopes and reasons."""
    lines = head(node.name, node.op, node.target, size)
    lines += fate(loaded, node, size)
    if not node.verdicts:
        return [*lines, BLANK, line(("No validator was asked about this node.", Tone.DIM))]
    sources = {source.validator: source for source in loaded.report.validators}
    for record in node.verdicts:
        lines += [BLANK, *wrap(line((who(record), Tone.STRONG)), size, indent=2)]
        lines += wrap(
            line(("  validator ", Tone.DIM), " " + record.validator), size, indent=13
        )
        if record.converter:
            lines += wrap(
                line(("  converter ", Tone.DIM), " " + record.converter), size, indent=13
            )
        lines.append(line(("  judged in ", Tone.DIM), f" the {record.scope.value}"))
        for title, answer in (
            ("original", record.original),
            ("inferred", record.inferred),
            ("truncated", record.truncated),
        ):
            lines.append(line((f"  {title:<10} ", Tone.DIM), VERDICT_SIGN[answer]))
        if record.reason:
            lines += wrap(
                line(("  reason    ", Tone.DIM), " " + record.reason), size, indent=13
            )
        lines += abilities(record, size)
        source = sources.pop(record.validator, None)
        if source is not None:
            lines += source_lines(source, size)
    return [
        *lines,
        BLANK,
        *indented(
            "original: the metadata as lowering leaves it, which torch_tensorrt judges. "
            "inferred: as type inference finds it, nothing truncated. truncated: as it "
            "finds it under the policy.",
            size,
        ),
    ]


def abilities(record: ValidatorVerdict, size: int) -> list[Line]:
    """Returns where a candidate wins, and what its converter can and needs."""
    facts = []
    if record.wins:
        facts.append(f"taken as {', '.join(kind.value for kind in record.wins)}")
    if record.supports_dynamic_shapes is not None:
        facts.append(f"{'takes' if record.supports_dynamic_shapes else 'no'} dynamic shapes")
    if record.requires_output_allocator:
        facts.append("needs an output allocator")
    if record.requires_native_multidevice:
        facts.append("needs native multi-device")
    if not facts:
        return []
    return wrap(line(("  registry  ", Tone.DIM), " " + ", ".join(facts)), size, indent=13)


def source_lines(source: ValidatorSource, size: int) -> list[Line]:
    """Returns the source of a validator, numbered if its place is known."""
    # pygments takes its time, and the first frame is without it.
    from trtdbg_ui.render.python_source import highlighted

    where = f"{source.file}:{source.line}" if source.file else "source"
    lines = wrap(line((f"  {where}", Tone.DIM)), size, indent=4)
    for number, spans in enumerate(highlighted(source.text.rstrip())):
        shown = "" if source.line is None else str(source.line + number)
        margin = f"  {shown:>5} "
        lines += wrap(line((margin, Tone.DIM), *spans), size, indent=len(margin) + 2)
    return lines
