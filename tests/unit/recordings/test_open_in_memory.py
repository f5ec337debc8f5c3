"""`trtdbg.open` takes programs and modules, and `trtdbg.record` a call of torch_tensorrt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import trtdbg
from tests.recording_folders import ENTRY, made
from trtdbg.errors import ModelError, UsageError
from trtdbg.policy import Partitioner, Settings, Timing

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")


class Narrow(torch.nn.Module):  # type: ignore[misc]
    def forward(self, x: Any, *, y: Any = None) -> Any:
        return (x.double().cumsum(0) + (0 if y is None else y)).float()


def test_an_exported_program_is_a_model_whose_file_goes_with_it() -> None:
    program = torch.export.export(Narrow(), (torch.ones(3),))
    model = trtdbg.open(program)
    path = model.path
    assert torch.export.load(path).graph_signature == program.graph_signature
    del model
    assert not os.path.exists(path)


def test_a_module_is_exported_with_its_inputs_and_shapes() -> None:
    batch = torch.export.Dim("batch", min=2, max=8)
    model = trtdbg.open(
        Narrow(),
        inputs=(torch.ones(3),),
        kwargs={"y": torch.ones(1)},
        dynamic_shapes={"x": {0: batch}, "y": {}},
    )
    program = torch.export.load(model.path)
    assert model.path.endswith("Narrow.pt2")
    assert len(program.graph_signature.user_inputs) == 2
    (bounds,) = program.range_constraints.values()
    assert (bounds.lower, bounds.upper) == (2, 8)


@pytest.mark.parametrize(
    ("model", "more", "kind", "says"),
    [
        (Narrow(), {}, UsageError, "needs inputs to be exported with"),
        (3, {}, UsageError, "cannot open an object of int"),
        ("x.pt2", {"inputs": (1,)}, UsageError, "inputs goes with a module"),
        (Narrow(), {"inputs": ("text",)}, ModelError, "does not export the model"),
        (
            Narrow(),
            {"inputs": torch.ones(3)},
            UsageError,
            r"a Tensor, not a tuple; pass inputs=",
        ),
        (
            Narrow(),
            {"policy": (torch.ones(3),)},
            UsageError,
            "the policy is a tuple; .* inputs=",
        ),
        ("x.pt2", {"policy": "late"}, UsageError, "the policy is a str"),
        ("x.pt2", {"settings": {"min_block_size": 5}}, UsageError, "the settings are a dict"),
        ("x.pt2", {"imports": "mine"}, UsageError, "imports is the text 'mine'; pass a list"),
    ],
)
def test_what_cannot_be_opened_is_told_in_a_line(
    model: Any, more: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        trtdbg.open(model, **more)


def test_record_takes_what_torch_tensorrt_takes_and_keeps_its_settings() -> None:
    model = trtdbg.record(
        Narrow(), [torch.ones(3)], min_block_size=2, use_fast_partitioner=False
    )
    assert model.settings.min_block_size == 2
    assert model.settings.partitioner is Partitioner.GLOBAL
    report = model.report
    assert report.model.recorded is not None
    assert report.model.recorded.call == "torch_tensorrt.compile"
    assert report.model.recorded.file == __file__
    assert report.settings == model.settings
    assert not report.settings.truncate_double
    assert report.policy.timing is Timing.UPSTREAM


def test_record_says_what_it_does_not_support() -> None:
    with pytest.raises(UsageError, match="TorchScript is not supported"):
        trtdbg.record(Narrow(), [torch.ones(3)], ir="ts")


def test_a_recording_opens_with_its_settings_by_the_name_of_a_program(tmp_path: Path) -> None:
    entries = [{**ENTRY, "nodes": 7}, {**ENTRY, "name": "2-Head", "nodes": 7}]
    place = made(tmp_path / "r", entries=entries)
    with pytest.raises(UsageError, match="has 2 programs; pass program=, of 1-Net, 2-Head"):
        trtdbg.open(place)
    model = trtdbg.open(place, program="2-Head")
    assert model.path == str(place / "2-Head.pt2")
    assert model.settings == Settings(min_block_size=4)
    given = trtdbg.open(place / "1-Net.pt2", settings=Settings(min_block_size=9))
    assert given.settings.min_block_size == 9
