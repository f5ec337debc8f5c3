"""The samples: what their README says about them, and that they can be given to anybody."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest
from corpus_bench import SAMPLES, Bench, not_built

from trtdbg.outputs.report import encode
from trtdbg.outputs.schema import PUBLISHED
from trtdbg.policy import Timing, TruncationPolicy
from trtdbg.records import BuildStatus, Report

PARTITION = {
    "attention_float64": {"upstream": (5, 4), "late": (1, 0)},
    "batchnorm_float64": {"upstream": (1, 0), "late": (1, 0)},
    "boundary_mixed": {"upstream": (2, 2), "late": (2, 2)},
    "ids_float64_island": {"upstream": (2, 1), "late": (1, 0)},
    "split_heads": {"upstream": (1, 0), "late": (1, 0)},
    "vit_float64": {"upstream": (4, 3), "late": (1, 0)},
}
"""Engines and PyTorch operators of each sample, as samples/README.md states them."""

NAMES = sorted(PARTITION)
REFUSED = "split_heads"
"""The sample that TensorRT-RTX 1.5 builds under no policy."""

LARGEST_BYTES = 300_000


def partition(report: Report) -> tuple[int, int]:
    return len(report.engines), len(report.torch_ops)


def stack_frames(path: Path) -> list[tuple[str, int, str]]:
    """Returns file, line and code of every stack frame that an exported program records."""
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith("models/model.json"))
        graph = json.loads(archive.read(name))["graph_module"]["graph"]
    traces = "\n".join(n["metadata"].get("stack_trace", "") for n in graph["nodes"])
    frames = re.findall(r'File "([^"]+)", line (\d+), in .*\n *(.*)', traces)
    return [(file, int(line), code) for file, line, code in frames]


def test_every_script_has_its_exported_program_and_row() -> None:
    scripts = {path.stem for path in SAMPLES.glob("*.py")} - {"export"}
    programs = {path.stem for path in SAMPLES.glob("*.pt2")}
    assert scripts == programs == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_readme_states_the_partition(name: str) -> None:
    rows = (SAMPLES / "README.md").read_text().splitlines()
    row = next(row for row in rows if row.startswith(f"| `{name}` |"))
    stated = [tuple(map(int, pair)) for pair in re.findall(r"(\d+) / (\d+)", row)]
    assert stated == [PARTITION[name]["upstream"], PARTITION[name]["late"]]


@pytest.mark.parametrize("timing", list(Timing))
@pytest.mark.parametrize("name", NAMES)
def test_every_sample_is_analysed_under_every_timing(
    name: str, timing: Timing, bench: Bench
) -> None:
    report = bench.analyse(SAMPLES / f"{name}.pt2", TruncationPolicy(timing=timing))
    assert report.engines
    assert [p.name for p in report.passes if p.error] == []
    assert [o.bound for o in report.model.outputs] == [
        o.declared for o in report.model.outputs
    ]
    if timing.value in PARTITION[name]:
        assert partition(report) == PARTITION[name][timing.value]


@pytest.mark.parametrize("name", [name for name in NAMES if name != REFUSED])
def test_every_sample_builds_completely_under_late(name: str, bench: Bench) -> None:
    report = bench.build(SAMPLES / f"{name}.pt2", TruncationPolicy())
    assert report.engines
    assert not_built(report) == []


def test_a_split_of_heads_is_refused_with_no_operator_named(bench: Bench) -> None:
    report = bench.build(SAMPLES / f"{REFUSED}.pt2", TruncationPolicy())
    assert [finding.code for finding in report.findings] == ["TD503"]
    assert report.engines[0].build.node is None


def test_float64_batch_norm_does_not_build_under_upstream(bench: Bench) -> None:
    policy = TruncationPolicy(timing=Timing.UPSTREAM)
    report = bench.build(SAMPLES / "batchnorm_float64.pt2", policy)
    assert [engine.build.status for engine in report.engines] == [BuildStatus.FAILED]


def test_twelve_layers_are_13_engines_and_12_operators_under_upstream(
    attention_12: Path, bench: Bench
) -> None:
    report = bench.analyse(attention_12, TruncationPolicy(timing=Timing.UPSTREAM))
    assert partition(report) == (13, 12)
    assert set(report.torch_ops) == {"aten._to_copy.default"}


def test_twelve_layers_are_one_engine_that_builds_under_late(
    attention_12: Path, bench: Bench
) -> None:
    report = bench.build(attention_12, TruncationPolicy())
    assert partition(report) == (1, 0)
    assert not_built(report) == []


@pytest.mark.parametrize("name", NAMES)
def test_exported_programs_are_small(name: str) -> None:
    assert (SAMPLES / f"{name}.pt2").stat().st_size < LARGEST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_exported_programs_hold_no_absolute_path(name: str) -> None:
    paths = re.compile(
        rb"(?:/(?:home|root|tmp|usr|opt|work|Users|mnt|var)/|[A-Z]:\\\\|site-packages)"
    )
    with zipfile.ZipFile(SAMPLES / f"{name}.pt2") as archive:
        texts = [n for n in archive.namelist() if not n.split("/")[-1].startswith("weight_")]
        found = {n: paths.findall(archive.read(n)) for n in texts}
    assert {n: hits for n, hits in found.items() if hits} == {}
    files = {file for file, _, _ in stack_frames(SAMPLES / f"{name}.pt2")}
    assert {file.split("/")[0] for file in files} <= {"samples", "torch", "transformers"}


@pytest.mark.parametrize("name", NAMES)
def test_recorded_source_lines_are_the_scripts_own(name: str) -> None:
    script = (SAMPLES / f"{name}.py").read_text().splitlines()
    own = [f for f in stack_frames(SAMPLES / f"{name}.pt2") if f[0] == f"samples/{name}.py"]
    assert own
    assert [f for f in own if script[f[1] - 1].strip() != f[2].strip()] == []


@pytest.mark.parametrize("name", NAMES)
def test_exporting_again_gives_the_same_program(
    name: str, sample_exporter: ModuleType
) -> None:
    import torch

    if name == "vit_float64":
        pytest.importorskip("transformers", reason="only exporting this sample needs it")
    committed = torch.export.load(str(SAMPLES / f"{name}.pt2"))
    again = sample_exporter.export(name)
    assert str(again.graph) == str(committed.graph)
    assert again.graph_signature == committed.graph_signature
    for tensor, twin in zip(
        again.state_dict.values(), committed.state_dict.values(), strict=True
    ):
        torch.testing.assert_close(tensor, twin, rtol=0, atol=0)


def test_a_path_of_neither_kind_is_refused(sample_exporter: ModuleType) -> None:
    trace = '  File "/somewhere/else/model.py", line 3, in forward\n    return x'
    with pytest.raises(ValueError, match="neither a sample nor an installed package"):
        sample_exporter.portable_trace(trace)


def test_portable_traces_keep_line_and_code(sample_exporter: ModuleType) -> None:
    trace = (
        '  File "{}samples/vit_float64.py", line 31, in forward\n'
        "    tokens = self.vit(pixels)\n"
        '  File "{}torch/nn/modules/linear.py", line 134, in forward\n'
        "    return F.linear(input, self.weight, self.bias)"
    )
    here = trace.format(f"{SAMPLES.parent}/", "/env/lib/python3.12/site-packages/")
    assert sample_exporter.portable_trace(here) == trace.format("", "")


@pytest.mark.parametrize("name", NAMES)
def test_report_of_every_sample_fits_the_published_schema(name: str, bench: Bench) -> None:
    schema = json.loads((SAMPLES.parent / PUBLISHED).read_bytes())
    report = bench.analyse(SAMPLES / f"{name}.pt2", TruncationPolicy(timing=Timing.LATE))
    jsonschema.validate(json.loads(encode([report])), schema)
