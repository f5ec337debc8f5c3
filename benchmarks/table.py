"""The table: what is measured, against what, and how far it may go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import analysis, imports, low, reports, terminal, ui, work
from benchmarks.measure import Sides


@dataclass(frozen=True)
class Row:
    """One ratio, on one or more subjects."""

    name: str
    """As it is chosen on the command line."""
    what: str
    against: str
    goal: float
    """The most that the ratio may be."""
    subjects: tuple[str, ...]
    """What it is measured on, in words; the first alone with `--quick`."""
    sides: Callable[[str], Sides]
    """Prepares a subject and returns what to run."""
    warm_up: bool = True
    """Whether the first round is thrown away; child processes are always cold."""


DECODERS = ("12 layers", "48 layers")

ROWS = (
    Row(
        "analysis",
        "full analysis",
        "load, plain lowering and partition",
        1.15,
        DECODERS,
        analysis.full_analysis,
    ),
    Row(
        "snapshots",
        "the passes with snapshots",
        "the passes without",
        1.05,
        DECODERS,
        analysis.passes_with_snapshots,
    ),
    Row(
        "switch",
        "a policy switch",
        "the first analysis",
        0.10,
        tuple(analysis.SWITCHES),
        analysis.policy_switch,
    ),
    Row(
        "switch-back",
        "switching back",
        "the switch",
        0.05,
        DECODERS,
        analysis.switching_back,
    ),
    Row(
        "memory",
        "peak memory of the analysis",
        "peak memory of plain lowering",
        1.20,
        DECODERS,
        analysis.peak_memory,
        warm_up=False,
    ),
    Row(
        "linear",
        "cost per node at 10,000 nodes",
        "at 1,000 nodes",
        1.2,
        ("chain",),
        analysis.cost_per_node,
        warm_up=False,
    ),
    Row(
        "first-frame",
        "first frame of the UI",
        "a bare Textual app",
        1.15,
        ("process", "app"),
        ui.first_frame,
    ),
    Row(
        "help",
        "trtdbg --help",
        "importing textual",
        1.0,
        ("process",),
        imports.help_text,
    ),
    Row(
        "table-frame",
        "table first frame at 10,000 nodes",
        "at 10 nodes",
        1.5,
        ("app",),
        ui.table_first_frame,
    ),
    Row(
        "table-key",
        "key to repaint at 10,000 nodes",
        "at 10 nodes",
        2.0,
        ui.KEYS,
        ui.key_to_repaint,
    ),
    Row(
        "open",
        "saved report open, 10,000 nodes",
        "parsing its JSON with msgspec",
        3.0,
        ("report",),
        reports.open_saved,
    ),
    Row(
        "dot",
        "dot text of a dtype diff, 10,000 nodes",
        "FxGraphDrawer(...).get_dot_graph()",
        0.1,
        ("full", "as drawn", "as drawn, scattered changes"),
        reports.dot_text,
    ),
    Row(
        "second-command",
        "report of a model seen before",
        "the first report",
        0.15,
        ("boundary_mixed", "12 layers"),
        work.second_command,
        warm_up=True,
    ),
    Row(
        "second-opening",
        "the UI's answer on a model seen before",
        "the first time",
        0.15,
        ("boundary_mixed", "12 layers"),
        work.second_opening,
    ),
    Row(
        "alike",
        "an analysis and the consequences of refusals alike",
        "the analysis",
        1.3,
        ("24 layers",),
        work.alike,
        warm_up=False,
    ),
    Row(
        "low",
        "full analysis with --low float16",
        "without",
        1.3,
        ("12 layers",),
        low.low_analysis,
    ),
    Row(
        "low-evaluation",
        "an evaluation of the search for what must stay",
        "a plain run of the numbers",
        1.2,
        ("12 layers",),
        low.low_evaluation,
    ),
    Row(
        "large",
        "full analysis of 10,000 nodes",
        "load, plain lowering and partition",
        0.36,
        ("10000 nodes",),
        analysis.full_analysis,
        warm_up=False,
    ),
    Row(
        "changed",
        "a model with a line changed, TensorRT's answers known",
        "the first analysis",
        0.7,
        ("12 layers", "12 layers, --watch"),
        work.changed,
    ),
    Row(
        "many",
        "check of 100 small models",
        "100 single runs",
        0.10,
        ("100 models",),
        work.many,
        warm_up=False,
    ),
    Row(
        "many-jobs",
        "the same with --jobs 2",
        "100 single runs",
        0.06,
        ("100 models, two jobs",),
        work.many,
        warm_up=False,
    ),
    Row(
        "weights",
        "full analysis with 4 GiB of weights",
        "with 4 MiB",
        1.3,
        ("4096",),
        work.weights,
    ),
    Row(
        "weights-memory",
        "anonymous memory of an analysis of 4 GiB of weights, beyond torch's loading",
        "0.1 GB",
        1.0,
        ("4096",),
        work.memory_of_weights,
        warm_up=False,
    ),
    Row(
        "headline",
        "what late would bring, beside upstream",
        "the first analysis",
        0.15,
        ("12 layers",),
        work.headline,
    ),
    Row(
        "wrong-file",
        "a damaged archive to its line",
        "the first report of the smallest sample",
        0.09,
        ("process",),
        work.wrong_file,
    ),
    *(
        Row(
            f"bytes-{name.rpartition(' ')[2]}",
            f"bytes to the terminal: {name}",
            "a kilobyte",
            goal,
            (name,),
            terminal.bytes_sent,
            warm_up=False,
        )
        for name, goal in (("a move", 2.0), ("a page", 8.0), ("help", 20.0))
    ),
)
