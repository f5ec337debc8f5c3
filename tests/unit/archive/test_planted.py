"""Archives with something planted in them: nothing runs, each is refused in one line."""

import contextlib
import time
import warnings

import pytest
import torch

from tests import planting
from tests.planting import IMPOSSIBLE, RUNNING, plant, with_a_false_size
from trtdbg.archive.load import load
from trtdbg.errors import ExitCode, ModelError

SECONDS = 2.0
"""What a refusal may take."""


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.offset = torch.full((4,), 0.5, dtype=torch.float64)

    def forward(self, x):
        return self.linear(x) + self.offset


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "model.pt2"
    torch.export.save(torch.export.export(Model(), (torch.randn(2, 4),)), path)
    return path


def refusal(path, ran):
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        load(path)
    assert time.monotonic() - began < SECONDS
    assert not ran.exists()
    error = caught.value
    assert error.exit_code is ExitCode.USAGE
    assert str(path) in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 600
    return error


@pytest.mark.parametrize("what", RUNNING, ids=lambda each: each.__name__)
def test_what_could_run_code_is_refused_and_points_to_trust(good, tmp_path, what):
    error = refusal(*plant(good, tmp_path, what))
    assert error.remedy.startswith("--trust opens it all the same")


@pytest.mark.parametrize("what", IMPOSSIBLE, ids=lambda each: each.__name__)
def test_what_no_export_writes_is_refused_trusted_or_not(good, tmp_path, what):
    path, ran = plant(good, tmp_path, what)
    refusal(path, ran)
    if what in (planting.zips_inside_zips, planting.a_bomb_inside_the_sample_inputs):
        return
    with pytest.raises(ModelError):
        load(path, trust=True)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("what", "entry", "name"),
    [
        (planting.os_system_in_a_weight, "data/weights/weight_9", "system"),
        (planting.eval_in_a_weight_that_is_no_zip, "data/weights/weight_9", "builtins.eval"),
        (planting.a_reduce_under_a_fifth_protocol, "data/constants/tensor_9", "posix.mkdir"),
        (planting.a_reduce_in_the_sample_inputs, "data/sample_inputs/model.pt", "posix.mkdir"),
        (planting.os_system_as_an_operator, "models/model.json", "torch.os.system"),
        (planting.a_bomb_of_zeros, "data/weights/weight_0", "209,715,200"),
        (planting.code_in_a_guard, "models/model.json", "guards_code"),
    ],
)
def test_a_refusal_names_the_entry_and_what_is_in_it(good, tmp_path, what, entry, name):
    text = str(refusal(*plant(good, tmp_path, what)))
    assert entry in text
    assert name in text


@pytest.mark.parametrize(
    "what",
    [
        planting.os_system_in_a_weight,
        planting.a_reduce_in_a_constant,
        planting.a_reduce_in_the_sample_inputs,
        planting.code_in_a_symbolic_size,
        planting.code_in_a_guard,
        planting.code_in_the_name_of_an_input,
    ],
    ids=lambda each: each.__name__,
)
def test_trust_runs_what_is_planted_so_the_trace_can_be_seen(good, tmp_path, what):
    path, ran = plant(good, tmp_path, what)
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        load(path, trust=True).program.module()(torch.zeros(2, 4))
    assert ran.exists()


def test_a_directory_that_promises_gigabytes_is_refused(good, tmp_path):
    path = with_a_false_size(planting.Archive(good).write(tmp_path / "m.pt2"), 10)
    refusal(path, tmp_path / "ran")


def test_the_copy_without_anything_planted_opens(good, tmp_path):
    path = planting.Archive(good).write(tmp_path / "copy.pt2")
    assert load(path).program.module()(torch.zeros(2, 4)).dtype is torch.float64
    assert load(path, trust=True).sha256 == load(path).sha256


def test_symbolic_sizes_conditions_and_trees_of_inputs_of_torch_are_no_code(tmp_path):
    class Dynamic(torch.nn.Module):
        def forward(self, x, y, *, options):
            n = x.shape[0] // 2 + x.shape[1] ** 2
            k = y.max().item()
            torch._check(k >= 0)
            torch._check(k < 16)
            z = torch.cond(x.sum() > 0, lambda t: t + n, lambda t: t - 1, (x,))
            return {"sum": z * options["by"], "count": torch.zeros(k)}

    dim = torch.export.Dim.DYNAMIC
    args, kwargs = (torch.randn(4, 6), torch.tensor([3])), {"options": {"by": torch.ones(6)}}
    shapes = {"x": {0: dim, 1: dim}, "y": None, "options": {"by": {0: dim}}}
    program = torch.export.export(Dynamic(), args, kwargs, dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "dynamic.pt2")
    opened = load(tmp_path / "dynamic.pt2").program
    assert len(opened.graph.nodes) == len(program.graph.nodes)
    assert opened.range_constraints
