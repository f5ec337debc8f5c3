"""Reports of the samples, byte for byte: what makes an analysis faster must not change them.

`UPDATE_GOLDEN=1 pytest` writes the golden table anew; its diff says which part of which report
changed. Left out are timings, the machine and its versions, and TensorRT's networks, which
depend on more than the versions that the table stands for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")

from tests import by_version  # noqa: E402
from trtdbg.policy import Settings, Timing, TruncationPolicy  # noqa: E402
from trtdbg.records import Report  # noqa: E402
from trtdbg.worker.messages import Job  # noqa: E402

GOLDEN = Path(__file__).parents[2] / "golden" / "report_digests.txt"
SAMPLES = Path(__file__).parents[3] / "samples"

BOTH = ("float64", "int64")
POLICIES = {
    "late": TruncationPolicy(),
    "off": TruncationPolicy(timing=Timing.OFF),
    "early": TruncationPolicy(timing=Timing.EARLY),
    "upstream": TruncationPolicy(timing=Timing.UPSTREAM),
    "late, int64": TruncationPolicy(inputs=BOTH, constants=BOTH, computed=BOTH),
    "early, int64": TruncationPolicy(
        timing=Timing.EARLY, inputs=BOTH, constants=BOTH, computed=BOTH
    ),
    "late, inputs": TruncationPolicy(constants=(), computed=()),
}
PARTS = {
    "passes": ("passes", "graph_nodes"),
    "nodes": ("nodes",),
    "partition": ("engines", "torch_ops", "boundary_casts", "constants"),
    "findings": ("findings",),
}
"""Columns of the table, each a digest of some keys of the report; the last is of all."""

pytestmark = [
    by_version.only("digests of reports"),
    pytest.mark.usefixtures("torch_tensorrt_ready"),
]


def analysed(sample: str, names: Iterable[str]) -> dict[str, Report]:
    """Returns the reports of one session under some policies, in the order given."""
    from trtdbg.session.session import Session

    job = Job(model=str(SAMPLES / f"{sample}.pt2"), settings=Settings(), probe_seconds=0.0)
    session = Session(job, lambda _: None)
    able = tuple(
        msgspec.structs.replace(each, possible=each.possible and "networks" not in each.name)
        for each in session.environment.capabilities
    )
    session.environment = msgspec.structs.replace(session.environment, capabilities=able)
    return {name: session.analyze(POLICIES[name]) for name in names}


def timeless(value: Any) -> Any:
    """Returns builtins without the keys that hold what something took."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if "seconds" not in k}
    if isinstance(value, (list, tuple)):
        return [timeless(item) for item in value]
    return value


def row(sample: str, name: str, report: Report) -> str:
    """Returns a report's line of the table."""
    content = timeless(msgspec.to_builtins(report))
    del content["environment"], content["model"]["path"]
    parts = [{key: content[key] for key in keys} for keys in PARTS.values()]
    counts = (report.engines, report.torch_ops, report.boundary_casts, report.findings)
    cells = [*(f"{len(each):>6}" for each in counts), *map(digest, (*parts, content))]
    return f"{sample:20} {name:13} {' '.join(cells)}"


def digest(content: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16]


def header() -> str:
    counts = " ".join(f"{title:>6}" for title in ("engine", "torch", "casts", "found"))
    digests = " ".join(f"{title:16}" for title in (*PARTS, "whole report"))
    return f"{'sample':20} {'policy':13} {counts} {digests}".rstrip()


def golden_rows(sample: str) -> list[str]:
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    assert lines[0] == header()
    return [line for line in lines if line.split()[0] == sample]


NAMES = tuple(sorted(path.stem for path in SAMPLES.glob("*.pt2")))


@pytest.mark.parametrize("sample", NAMES)
def test_reports_are_the_golden_ones(sample: str) -> None:
    rows = [row(sample, name, report) for name, report in analysed(sample, POLICIES).items()]
    if os.environ.get("UPDATE_GOLDEN"):
        known = {
            name: golden_rows(name) if GOLDEN.exists() and name != sample else []
            for name in NAMES
        } | {sample: rows}
        lines = [header(), *(line for name in NAMES for line in known[name])]
        GOLDEN.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert rows == golden_rows(sample)


@pytest.mark.parametrize("sample", ["boundary_mixed", "ids_float64_island"])
def test_the_order_of_policies_does_not_show_in_reports(sample: str) -> None:
    reports = analysed(sample, reversed(POLICIES))
    rows = [row(sample, name, reports[name]) for name in POLICIES]
    assert rows == golden_rows(sample)
