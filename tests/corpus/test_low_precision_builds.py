"""Samples, cases and architectures in a low precision: what builds in float32 builds low."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from architectures import ARCHITECTURES, export
from corpus_bench import SAMPLES, Bench, read_manifest

from trtdbg.policy import Precision, Timing, TruncationPolicy
from trtdbg.records import BuildStatus, Report

PLAIN = TruncationPolicy(timing=Timing.LATE)
SPELLED = {"float16": "HALF", "bfloat16": "BF16", "float32": "FLOAT"}
SAMPLE_NAMES = tuple(sorted(path.stem for path in SAMPLES.glob("*.pt2")))
QUICK = ("attention_float64", "split_heads")
CASES = tuple(sorted(read_manifest()))
RULES = {"rules": None, "no rules": ()}
FIRST = ("bert", "vit")
"""Architectures that are not left to deep runs."""


def low(precision: Precision, rules: tuple[()] | None) -> TruncationPolicy:
    """Returns a policy in a low precision, with the usual rules or with none."""
    policy = msgspec.structs.replace(PLAIN, precision=precision)
    return policy if rules is None else msgspec.structs.replace(policy, keep_rules=rules)


def check(plain: Report, report: Report) -> None:
    """Checks that engines build, layers have the dtypes shown, and outputs those promised."""
    failing = {
        node.name
        for node in plain.nodes
        if node.engine is not None
        and plain.engines[node.engine].build.status is not BuildStatus.BUILT
    }
    for engine in report.engines:
        held = {node.name for node in report.nodes if node.engine == engine.index}
        if not held & failing:
            assert engine.build.status is BuildStatus.BUILT, engine.build.error
    assert report.model.outputs == plain.model.outputs
    for one, other in zip(report.nodes, plain.nodes, strict=True):
        assert (one.name, one.truncated) == (other.name, other.truncated)
        if one.low is None or one.engine is None or one.low.dtype not in SPELLED:
            continue
        spelled = one.tensorrt if isinstance(one.tensorrt, tuple) else (one.tensorrt,)
        floats = [each for each in spelled if each in SPELLED.values()]
        assert set(floats) <= {SPELLED[one.low.dtype]}, one.name


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("precision", [Precision.FLOAT16, Precision.BFLOAT16])
@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.deep) for n in SAMPLE_NAMES],
)
def test_samples_build_low(
    name: str, precision: Precision, rules: str, bench: Bench, torch_tensorrt_ready: None
) -> None:
    model = SAMPLES / f"{name}.pt2"
    check(bench.build(model, PLAIN), bench.build(model, low(precision, RULES[rules])))


@pytest.mark.deep
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("precision", [Precision.FLOAT16, Precision.BFLOAT16])
@pytest.mark.parametrize("case", CASES)
def test_cases_build_low(
    case: str,
    precision: Precision,
    rules: str,
    corpus_model: Callable[[str], Path],
    bench: Bench,
) -> None:
    model = corpus_model(case)
    check(bench.build(model, PLAIN), bench.build(model, low(precision, RULES[rules])))


@pytest.fixture(scope="session")
def architecture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the exported program of an architecture, each exported once."""
    pytest.importorskip("transformers")
    folder, made = tmp_path_factory.mktemp("architectures"), {}

    def model(name: str) -> Path:
        if name not in made:
            made[name] = export(name, folder)
        return made[name]

    return model


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("precision", [Precision.FLOAT16, Precision.BFLOAT16])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow if n in FIRST else pytest.mark.deep)
        for n in ARCHITECTURES
    ],
)
def test_architectures_build_low(
    name: str,
    precision: Precision,
    rules: str,
    architecture: Callable[[str], Path],
    bench: Bench,
) -> None:
    model = architecture(name)
    check(bench.build(model, PLAIN), bench.build(model, low(precision, RULES[rules])))
