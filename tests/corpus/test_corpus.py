"""Every corpus case against its manifest: partition, casts, real builds, dtypes, findings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus_bench import Bench, not_built, read_manifest

from trtdbg.policy import Timing, TruncationPolicy, parse_dtypes
from trtdbg.records import BuildStatus

MANIFEST = read_manifest()

PROMISE_BROKEN = {
    ("autocast_half_double", Timing.OFF): "TD301",
    ("double_constant_only", Timing.UPSTREAM): "TD301",
    ("double_symint_boundary", Timing.OFF): "TD301",
    ("double_symint_boundary", Timing.UPSTREAM): "TD302",
    ("topk_sort_int", Timing.UPSTREAM): "TD502",
}
"""Where torch_tensorrt itself does not give the outputs that export promised, which `off` and
`upstream` have to show as it is, and the finding that says so."""

Model = Callable[[str], Path]


def policy_of(expected: dict[str, Any], timing: Timing) -> TruncationPolicy:
    """Returns a timing's default policy, changed by the manifest's `policy` flags."""
    flags = re.findall(r"--(inputs|constants|computed) (\S+)", expected.get("policy", ""))
    changes: dict[str, Any] = {path: parse_dtypes(text) for path, text in flags}
    return TruncationPolicy(timing=timing, **changes)


def stated(key: str) -> list[Any]:
    """Returns (case, timing, expectation) for each case and timing that states `key`."""
    return [
        pytest.param(case, timing, table, id=f"{case}-{timing.value}")
        for case, entry in MANIFEST.items()
        for timing in (Timing.UPSTREAM, Timing.LATE)
        if key in (table := entry.get(timing.value, {})) and "needs_probe" not in table
    ]


@pytest.mark.parametrize(("case", "timing", "expected"), stated("engines"))
def test_number_of_engines_is_the_manifests(
    case: str, timing: Timing, expected: dict[str, Any], corpus_model: Model, bench: Bench
) -> None:
    report = bench.build(corpus_model(case), policy_of(expected, timing))
    assert len(report.engines) == expected["engines"]


@pytest.mark.parametrize(("case", "timing", "expected"), stated("torch_ops"))
def test_number_of_pytorch_operators_is_the_manifests(
    case: str, timing: Timing, expected: dict[str, Any], corpus_model: Model, bench: Bench
) -> None:
    report = bench.build(corpus_model(case), policy_of(expected, timing))
    assert len(report.torch_ops) == expected["torch_ops"], report.torch_ops


@pytest.mark.parametrize(("case", "timing", "expected"), stated("boundary_casts"))
def test_number_of_boundary_casts_is_the_manifests(
    case: str, timing: Timing, expected: dict[str, Any], corpus_model: Model, bench: Bench
) -> None:
    report = bench.build(corpus_model(case), policy_of(expected, timing))
    assert len(report.boundary_casts) == expected["boundary_casts"], report.boundary_casts


@pytest.mark.parametrize(("case", "timing", "expected"), stated("builds"))
def test_engines_build_exactly_where_the_manifest_says_so(
    case: str, timing: Timing, expected: dict[str, Any], corpus_model: Model, bench: Bench
) -> None:
    report = bench.build(corpus_model(case), policy_of(expected, timing))
    builds = bool(report.engines) and not not_built(report)
    assert builds is expected["builds"], not_built(report)


@pytest.mark.parametrize(("case", "timing", "expected"), stated("builds"))
def test_an_engine_that_does_not_build_says_why_in_tensorrts_words(
    case: str, timing: Timing, expected: dict[str, Any], corpus_model: Model, bench: Bench
) -> None:
    report = bench.build(corpus_model(case), policy_of(expected, timing))
    for engine in report.engines:
        if engine.build.status is BuildStatus.FAILED:
            assert engine.build.error
            assert "__len__" not in engine.build.error


@pytest.mark.parametrize("timing", list(Timing))
@pytest.mark.parametrize("case", MANIFEST)
def test_output_dtypes_are_what_export_promised_or_a_finding_says_otherwise(
    case: str, timing: Timing, corpus_model: Model, bench: Bench
) -> None:
    import torch

    path = corpus_model(case)
    program = torch.export.load(str(path))
    promised = [
        str(value.dtype).removeprefix("torch.") if isinstance(value, torch.Tensor) else None
        for value in (node.meta.get("val") for node in program.graph.output_node().args[0])
    ]
    report = bench.analyse(path, TruncationPolicy(timing=timing))
    assert [output.declared for output in report.model.outputs] == promised
    bound = [output.bound for output in report.model.outputs]
    code = PROMISE_BROKEN.get((case, timing))
    if code is None:
        assert bound == promised
    else:
        assert bound != promised
        assert code in {finding.code for finding in report.findings}


def expectations(wanted: str) -> list[Any]:
    """Returns (case, code) for each code under the manifest's key."""
    return [
        pytest.param(case, code, id=f"{case}-{code}")
        for case, entry in MANIFEST.items()
        for code in entry.get(wanted, ())
    ]


@pytest.mark.parametrize(("case", "code"), expectations("must_find"))
def test_default_policy_finds_what_it_must(
    case: str, code: str, corpus_model: Model, bench: Bench
) -> None:
    report = bench.build(corpus_model(case), TruncationPolicy())
    assert code in {finding.code for finding in report.findings}


@pytest.mark.parametrize(("case", "code"), expectations("must_find_upstream"))
def test_upstream_timing_finds_what_it_must(
    case: str, code: str, corpus_model: Model, bench: Bench
) -> None:
    report = bench.build(corpus_model(case), TruncationPolicy(timing=Timing.UPSTREAM))
    assert code in {finding.code for finding in report.findings}


@pytest.mark.parametrize(("case", "code"), expectations("must_not_find"))
def test_default_policy_raises_no_false_alarm(
    case: str, code: str, corpus_model: Model, bench: Bench
) -> None:
    report = bench.build(corpus_model(case), TruncationPolicy())
    assert code not in {finding.code for finding in report.findings}
