from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from trtdbg.commands.options import Choices, analysis_options, parse_target
from trtdbg.errors import UsageError
from trtdbg.policy import (
    BUILD_SETTINGS,
    KeepRule,
    Partitioner,
    Precision,
    Settings,
    Timing,
    TruncationPolicy,
    VerdictSource,
)
from trtdbg.worker.messages import Job


def choose(*arguments: str) -> Choices:
    """Returns what a command would be given for these arguments."""
    seen: list[Choices] = []

    @click.command()
    @analysis_options
    def command(choices: Choices) -> None:
        seen.append(choices)

    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return seen[0]


def toml(folder: Path, text: str) -> str:
    path = folder / "file.toml"
    path.write_text(text)
    return str(path)


def test_nothing_given_is_what_torch_tensorrt_does() -> None:
    upstream = TruncationPolicy(timing=Timing.UPSTREAM)
    assert choose() == Choices(upstream, Settings(), None, timing_named=False)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ("--inputs none", "--inputs"),
        ("--constants int64", "--constants"),
        ("--computed float64", "--computed"),
        ("--verdicts tensorrt", "--verdicts tensorrt"),
    ],
)
def test_what_counts_under_late_means_late_and_a_line_says_so(flags: str, word: str) -> None:
    choices = choose(*flags.split())
    assert choices.policy.timing is Timing.LATE
    (note,) = choices.notes
    assert note.startswith(f"timing late, which {word} means")
    named = choose(*flags.split(), "--timing", "early")
    assert (named.policy.timing, named.notes) == (Timing.EARLY, ())


def test_verdicts_of_validators_mean_no_timing() -> None:
    assert choose("--verdicts", "validators").policy.timing is Timing.UPSTREAM


def test_a_policy_file_without_timing_keeps_its_meaning(tmp_path: Path) -> None:
    choices = choose("--policy", toml(tmp_path, 'constants = "none"\n'))
    assert choices.policy == TruncationPolicy(constants=())
    assert "constants in" in choices.notes[0]


def test_as_compiled_takes_all_of_torch_tensorrts_own_settings() -> None:
    kept = ("--torch-executed-ops", "aten.mul.Tensor")
    assert choose("--as-compiled").settings == Settings.as_compiled()
    assert choose("--as-compiled").settings.truncate_double is False
    assert choose("--as-compiled", *kept).settings.torch_executed_ops == (
        "torch.ops.aten.mul.Tensor",
    )


def test_flags_make_policy_settings_and_target() -> None:
    choices = choose(
        *("--timing", "early", "--inputs", "int64,float64", "--constants", "none"),
        *("--computed", "torch.float64", "--verdicts", "validators", "--target", "8.9"),
        *("--min-block-size", "3", "--partitioner", "fast"),
        *("--torch-executed-ops", "aten.cumsum.default, torch.ops.aten.mul.Tensor"),
    )
    assert choices.policy == TruncationPolicy(
        timing=Timing.EARLY, inputs=("float64", "int64"), constants=(), computed=("float64",)
    )
    assert choices.settings == Settings(
        min_block_size=3,
        partitioner=Partitioner.FAST,
        torch_executed_ops=("torch.ops.aten.cumsum.default", "torch.ops.aten.mul.Tensor"),
    )
    assert choices.target == "sm89"
    assert "timing" in choices.given


def test_tensorrt_can_be_given_the_verdict_and_the_time_to_reach_it(tmp_path: Path) -> None:
    choices = choose("--verdicts", "tensorrt", "--probe-seconds", "7.5")
    assert choices.policy.verdicts is VerdictSource.TENSORRT
    assert choices.probe_seconds == 7.5
    assert choose("--policy", toml(tmp_path, 'verdicts = "tensorrt"')).policy == choices.policy
    assert choose("--probe-seconds", "0").probe_seconds == 0


def test_probing_takes_as_long_by_default_as_the_worker_would_take() -> None:
    assert choose().probe_seconds == Job(model="m.pt2", settings=Settings()).probe_seconds


def test_the_flags_that_a_policy_prints_make_the_same_policy() -> None:
    policy = TruncationPolicy(timing=Timing.EARLY, inputs=(), constants=("float64", "int64"))
    assert choose(*policy.flags().split()).policy == policy


def test_flags_override_files_and_files_override_as_compiled(tmp_path: Path) -> None:
    policy = toml(tmp_path, 'timing = "off"\ninputs = ["int64"]\ncomputed = "none"\n')
    choices = choose("--policy", policy, "--timing", "late")
    assert choices.policy == TruncationPolicy(inputs=("int64",), computed=())
    settings = toml(tmp_path, "min-block-size = 7\noptimization_level = 2\n")
    choices = choose("--as-compiled", "--settings", settings)
    assert choices.settings == Settings(
        truncate_double=False,
        min_block_size=7,
        partitioner=Partitioner.FAST,
        optimization_level=2,
    )
    choices = choose("--as-compiled", "--settings", settings, "--min-block-size", "2")
    assert choices.settings.min_block_size == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--inputs", "float32"), "--inputs: 'float32' is not a wide dtype"),
        (
            ("--verdicts", "tensorrt", "--probe-seconds", "0"),
            "--probe-seconds 0 asks nothing; give it some seconds",
        ),
        (("--target", "hopper"), "'hopper' is not a compute capability"),
        (("--torch-executed-ops", "mul"), "'mul' is not an operator"),
        (("--policy", "no/such.toml"), "cannot read no/such.toml: No such file or directory"),
    ],
)
def test_a_flag_that_makes_no_sense_is_named(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(*arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("--policy", "timing = ", "is not TOML"),
        ("--policy", 'timings = "late"', "there is no key 'timings'; use timing"),
        ("--policy", 'timing = "soon"', "Invalid enum value 'soon'"),
        ("--policy", "inputs = 64", "expected a list of dtypes, got 64"),
        ("--policy", 'inputs = ["half"]', "'half' is not a wide dtype"),
        ("--policy", 'verdicts = "model"', "Invalid enum value 'model'"),
        ("--settings", 'min_block_size = "two"', "Expected `int`, got `str`"),
        ("--settings", "min_block_size = 0", "at least 1"),
        ("--settings", "optimization_level = 9", "0 to 5"),
        ("--settings", "use_fp32 = true", "there is no key 'use_fp32'; use use_fp32_acc"),
    ],
)
def test_a_file_that_makes_no_sense_is_named_with_its_key(
    tmp_path: Path, flag: str, text: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        choose(flag, toml(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["sm86", "SM_86", "86", "8.6", " sm86 "])
def test_a_target_is_understood_as_people_write_it(text: str) -> None:
    assert parse_target(text) == "sm86"


def test_a_target_of_three_digits_is_kept_apart() -> None:
    assert parse_target("12.0") == "sm120"


def test_every_setting_can_stand_in_a_file(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "min_block_size": 2,
        "partitioner": '"fast"',
        "torch_executed_ops": '["aten.mul.Tensor"]',
        "optimization_level": 1,
        "engine_capability": '"safety"',
        "tiling_optimization_level": '"fast"',
        **{name: 7 for name in BUILD_SETTINGS if type(getattr(Settings(), name)) is int},
        "max_aux_streams": 2,
        "autocast_low_precision_type": '"float16"',
        "autocast_excluded_nodes": '["^norm"]',
        "autocast_excluded_ops": '["torch.ops.aten.softmax.int"]',
        "autocast_max_output_threshold": 64.0,
        "autocast_max_depth_of_reduction": 8,
        "autocast_calibration_file": '"inputs.pt"',
    }
    lines = [f"{name} = {values.get(name, 'true')}" for name in Settings.__struct_fields__]
    settings = choose("--settings", toml(tmp_path, "\n".join(lines))).settings
    assert settings.use_fp32_acc
    assert settings.autocast_excluded_nodes == ("^norm",)
    assert settings.torch_executed_ops == ("torch.ops.aten.mul.Tensor",)


def test_a_low_precision_and_what_it_keeps_are_flags(tmp_path: Path) -> None:
    policy = choose(
        *("--timing", "late", "--low", "bfloat16", "--keep-nodes", "exp,mul_1"),
        *("--keep-modules", "norm", "--keep-modules", "layers.0"),
        *("--keep-operators", "aten.exp.default", "--keep-rules", "range"),
    ).policy
    assert policy.precision is Precision.BFLOAT16
    assert policy.keep_nodes == ("exp", "mul_1")
    assert policy.keep_modules == ("norm", "layers.0")
    assert policy.keep_operators == ("aten.exp.default",)
    assert policy.keep_rules == (KeepRule.RANGE,)
    assert choose(*shlex.split(policy.flags())).policy == policy
    found = toml(tmp_path, 'precision = "float16"\nkeep_rules = []\nkeep_measured = ["exp"]')
    policy = choose("--policy", found).policy
    assert (policy.precision, policy.keep_rules) == (Precision.FLOAT16, ())
    assert policy.keep_measured == ("exp",)
    assert choose().policy.precision is Precision.NONE


@pytest.mark.parametrize(
    "flags", [("--low", "float8"), ("--keep-rules", "luck"), ("--keep-modules", "(")]
)
def test_a_low_precision_that_makes_no_sense_is_refused(flags: tuple[str, str]) -> None:
    with pytest.raises((UsageError, click.UsageError)):
        choose(*flags)
