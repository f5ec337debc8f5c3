"""What truncation does to the numbers of a node, and what a refused node costs."""

from __future__ import annotations

from trtdbg.analysis.numerics import largest_error
from trtdbg.analysis.summary import count
from trtdbg.records import Agreement, ConstantRecord, NodeRecord
from trtdbg_ui.model.loaded import Loaded
from trtdbg_ui.render.dtypes import dtype_span
from trtdbg_ui.text import BLANK, Line, Tone, join, line, wrap

_AGREEMENT = {
    Agreement.WITHIN: ("✓ within the tolerance", Tone.GOOD),
    Agreement.BEYOND: ("✖ beyond the tolerance", Tone.BAD),
    Agreement.NOT_COMPARED: ("? not compared", Tone.DIM),
}


def damage(record: ConstantRecord) -> list[Line]:
    """Returns what truncation does to a constant's values."""
    lines = [line("  ", dtype_span(record.original), " → ", dtype_span(record.truncated))]
    if record.original == record.truncated:
        return [line("  ", dtype_span(record.original), (" kept", Tone.DIM))]
    if record.elements:
        lines.append(line(f"  {count(record.elements, 'value')}"))
    if record.max_abs_error is not None:
        lines.append(line(f"  largest change {record.max_abs_error:.3g}"))
    if record.max_rel_error is not None:
        lines.append(line(f"  largest relative change {record.max_rel_error:.3g}"))
    if record.overflowed:
        lines.append(line((f"  ✖ {record.overflowed:,} do not fit", Tone.BAD)))
    if record.underflowed:
        lines.append(line((f"  ▲ {record.underflowed:,} became zero or subnormal", Tone.WARN)))
    return lines


def loss(record: ConstantRecord) -> Line:
    """Returns in a few words what narrowing does to a constant."""
    parts: list[Line] = []
    if record.overflowed:
        whole = count(record.elements, "value") if record.elements else "its values"
        parts.append(line((f"✖ {record.overflowed:,} of {whole} do not fit", Tone.BAD)))
    if record.underflowed:
        words = f"▲ {record.underflowed:,} became zero or subnormal"
        parts.append(line((words, Tone.WARN)))
    if record.overflowed:
        return join(parts, (", ", Tone.PLAIN))
    if record.max_rel_error:
        parts.append(line(f"largest relative change {record.max_rel_error:.2g}"))
    elif record.max_abs_error:
        parts.append(line(f"largest change {record.max_abs_error:.2g}"))
    if not parts:
        parts.append(line(("✓ exact: every value fits", Tone.GOOD)))
    return join(parts, (", ", Tone.PLAIN))


def numbers(loaded: Loaded, name: str, size: int) -> list[Line]:
    """Returns what a run of both programs found about a node; nothing if there was none."""
    measured = loaded.report.numerics
    if measured is None:
        return []
    lines = [BLANK, line(("numbers", Tone.HEAD), (f"  on {measured.inputs}", Tone.DIM))]
    error = loaded.damage_of.get(name)
    if error is None:
        return [*lines, line(("  not measured", Tone.DIM))]
    lines.append(line("  ", _AGREEMENT[error.agreement]))
    if error.agreement is not Agreement.NOT_COMPARED:
        lines += wrap(line(f"  {largest_error(error)}"), size, indent=2)
    if error.beyond:
        text = f"  {error.beyond:,} of {count(error.elements, 'value')} beyond it"
        lines += wrap(line((text, Tone.WARN)), size, indent=2)
    if error.wrapped:
        lines.append(line((f"  ✖ {error.wrapped:,} wrapped around", Tone.BAD)))
    if error.overflowed:
        lines.append(line((f"  ✖ {error.overflowed:,} became infinite", Tone.BAD)))
    if error.note:
        lines += wrap(line((f"  {error.note}", Tone.DIM)), size, indent=2)
    return lines


def consequence(loaded: Loaded, node: NodeRecord, size: int) -> list[Line]:
    """Returns what accepting a refused node alone would change, where that was weighed."""
    weighed, each = loaded.report.consequences, loaded.consequence_of.get(node.name)
    if weighed is None or each is None:
        return []
    if each.error is not None:
        text = f"if accepted: the partitioner raises, {each.error}"
    else:
        text = (
            f"if accepted: engines {weighed.engines} → {each.engines}, "
            f"PyTorch ops {weighed.torch_ops} → {each.torch_ops}"
        )
    return wrap(line((text, Tone.KEY)), size, indent=2)
