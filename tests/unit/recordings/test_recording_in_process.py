"""What each function of torch_tensorrt is handed is recorded, and nothing stays patched."""

from __future__ import annotations

import contextlib
import importlib
import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trtdbg
from trtdbg.errors import UsageError
from trtdbg.policy import Partitioner
from trtdbg.recordings import folder
from trtdbg.recordings.folder import Recording
from trtdbg.records import Front

SCRIPTS = Path(__file__).parents[2] / "recorded_scripts"

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")


@contextlib.contextmanager
def in_folder(place: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)


def recorded(script: str, place: Path, **options: Any) -> Recording:
    """Returns what a script hands to torch_tensorrt, run in this process."""
    with in_folder(place), trtdbg.recording(place / "made", **options):
        runpy.run_path(str(SCRIPTS / script), run_name="__main__")
    return folder.read(place / "made")


def patched_objects() -> list[Any]:
    from trtdbg.compat.patches import RECORDED
    from trtdbg.compat.private import object_of

    kept = [object_of(patch) for patch in RECORDED]
    return [dict(each) if isinstance(each, dict) else each for each in kept]


def test_compile_is_recorded_with_the_settings_of_the_call(tmp_path: Path) -> None:
    recording = recorded("compiled.py", tmp_path)
    (program,) = recording.programs
    assert program.recorded.name == "1-Net"
    assert program.recorded.call == "torch_tensorrt.compile"
    assert program.recorded.file == str(SCRIPTS / "compiled.py")
    lines = (SCRIPTS / "compiled.py").read_text().splitlines()
    assert lines[program.recorded.line - 1].endswith("torch_tensorrt.compile(")
    assert program.recorded.front is Front.EXPORT
    assert program.recorded.inputs == ("0: float32 (2, 8)",)
    assert program.settings.min_block_size == 2
    assert program.settings.partitioner is Partitioner.GLOBAL
    assert program.settings.torch_executed_ops == ("torch.ops.aten.relu.default",)
    assert program.settings.truncate_double
    noted = dict(program.recorded.noted)
    assert noted["timing_cache_path"] == "cache.bin"
    assert noted["enabled_precisions"] == "torch.float32"


def test_settings_that_the_call_is_silent_about_are_torch_tensorrts_own(
    tmp_path: Path,
) -> None:
    recording = recorded("nested.py", tmp_path)
    (program,) = recording.programs
    assert program.settings.partitioner is Partitioner.FAST
    assert not program.settings.truncate_double
    assert program.recorded.inputs == (
        "0: float32 (2, 3)",
        "offsets.first: float32 (3,)",
        "offsets.second: float32 (3,)",
    )


def test_a_script_that_traces_by_itself_is_recorded(tmp_path: Path) -> None:
    recording = recorded("traced.py", tmp_path)
    (program,) = recording.programs
    assert program.recorded.call == "torch_tensorrt.dynamo.compile"
    assert program.settings.min_block_size == 1


def test_a_program_with_a_dynamic_batch_keeps_it(tmp_path: Path) -> None:
    import torch

    recording = recorded("dynamo_compiled.py", tmp_path)
    (program,) = recording.programs
    assert program.recorded.call == "torch_tensorrt.dynamo.compile"
    assert program.recorded.inputs == ("0: f32 min (1, 5, 6) opt (4, 5, 6) max (8, 5, 6)",)
    loaded = torch.export.load(program.path)
    (bounds,) = loaded.range_constraints.values()
    assert (bounds.lower, bounds.upper) == (1, 8)


def test_a_dynamic_input_that_torch_tensorrt_exports_is_dynamic(tmp_path: Path) -> None:
    import torch

    recording = recorded("dynamic_input.py", tmp_path)
    (program,) = recording.programs
    assert program.settings.assume_dynamic_shape_support
    (bounds,) = torch.export.load(program.path).range_constraints.values()
    assert (bounds.lower, bounds.upper) == (2, 9)


def test_a_call_that_returns_bytes_ends_the_block_and_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="returns the bytes of an engine"):
        recorded("engine_bytes.py", tmp_path)
    (program,) = folder.read(tmp_path / "made").programs
    assert program.recorded.call.endswith("convert_exported_program_to_serialized_trt_engine")
    assert program.settings.optimization_level == 2
    assert program.settings.disable_tf32


def test_cross_compilation_is_recorded_and_writes_nothing(tmp_path: Path) -> None:
    recording = recorded("for_windows.py", tmp_path)
    (program,) = recording.programs
    assert program.recorded.call == "torch_tensorrt.cross_compile_for_windows"
    assert program.settings.enable_cross_compile_for_windows
    assert not (tmp_path / "windows.ep").exists()


def test_a_mutable_module_is_recorded_when_it_is_called(tmp_path: Path) -> None:
    recording = recorded("mutable.py", tmp_path)
    (program,) = recording.programs
    assert program.recorded.call == "torch_tensorrt.MutableTorchTensorRTModule"
    assert program.recorded.name == "1-Net"
    assert program.settings.partitioner is Partitioner.GLOBAL
    assert not program.settings.immutable_weights


def test_torchscript_is_told_and_the_script_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with in_folder(tmp_path), trtdbg.recording(tmp_path / "made"):
        runpy.run_path(str(SCRIPTS / "scripted.py"))
    said = capsys.readouterr().err
    assert "TorchScript is not supported" in said
    assert "nothing is recorded" in said
    assert not (tmp_path / "made").exists()


def test_each_graph_of_torch_compile_is_a_program_with_its_break(tmp_path: Path) -> None:
    reset_dynamo()
    recording = recorded("dynamo_graphs.py", tmp_path)
    first, second, third = recording.programs
    assert [each.recorded.front for each in recording.programs] == [Front.TORCH_COMPILE] * 3
    assert [each.recorded.call for each in recording.programs] == ["torch.compile"] * 3
    assert first.settings.min_block_size == 2
    assert first.settings.partitioner is Partitioner.GLOBAL
    assert first.settings.optimization_level == 1
    assert "print" in str(first.recorded.graph_break)
    assert str(first.recorded.graph_break).endswith("dynamo_graphs.py:16)")
    assert "generic_jump" in str(second.recorded.graph_break)
    assert third.recorded.graph_break is None


def test_parameters_of_a_dynamo_graph_stay_inputs_and_are_named(tmp_path: Path) -> None:
    import torch

    reset_dynamo()
    recording = recorded("dynamo_graphs.py", tmp_path)
    weights = [each.split(" ") for each in recording.programs[0].recorded.weights]
    assert [path for _, path in weights] == ["first.weight", "first.bias", "scale"]
    program = torch.export.load(recording.programs[0].path)
    assert not program.state_dict
    assert {name for name, _ in weights} < set(program.graph_signature.user_inputs)
    lines = [n.meta.get("stack_trace", "") for n in program.graph.nodes if n.name == "linear"]
    assert "torch.relu(self.first(x))" in lines[0]


def test_what_is_checkpointed_is_recorded_in_its_place(tmp_path: Path) -> None:
    import torch

    reset_dynamo()
    (program,) = recorded("dynamo_checkpointed.py", tmp_path).programs
    loaded = torch.export.load(program.path)
    called = [node for node in loaded.graph.nodes if node.op == "call_function"]
    assert [str(node.target) for node in called] == [
        f"aten.{name}.default" for name in ("sin", "linear", "relu", "cos")
    ]
    assert "checkpoint(lambda y: self.linear(y).relu()" in called[2].meta["stack_trace"]
    modules = [list(node.meta["nn_module_stack"].values())[-1][0] for node in called]
    assert modules == ["", "inner.linear", "inner", ""]


def test_modules_that_a_compiled_function_calls_keep_their_names(tmp_path: Path) -> None:
    import torch

    reset_dynamo()
    (program,) = recorded("dynamo_two_modules.py", tmp_path).programs
    graph = torch.export.load(program.path).graph
    stacks = [n.meta["nn_module_stack"] for n in graph.nodes if n.op == "call_function"]
    modules = [list(stack.values())[-1][0] for stack in stacks]
    assert [each.rpartition("]")[2] for each in modules] == [".0", ".0"]
    assert "'first'" in modules[0]
    assert "'second'" in modules[1]


def test_sizes_that_dynamo_makes_inputs_are_read_from_the_tensors(tmp_path: Path) -> None:
    import torch

    reset_dynamo()
    recording = recorded("dynamo_dynamic.py", tmp_path)
    dynamic, by_ir = recording.programs
    program = torch.export.load(dynamic.path)
    assert len(program.graph_signature.user_inputs) == 2
    (bounds,) = program.range_constraints.values()
    assert (bounds.lower, bounds.upper) == (2, 16)
    module = program.module()
    (made,) = module(torch.ones(7, 5, 6), torch.ones(7, 5, 6))
    assert made.shape == (7, 25)
    assert by_ir.recorded.weights


def test_a_number_that_is_no_size_is_what_it_was_and_that_is_noted(tmp_path: Path) -> None:
    import torch

    reset_dynamo()
    (recorded_one,) = recorded("dynamo_sizes.py", tmp_path).programs
    noted = dict(recorded_one.recorded.noted)
    assert noted["numbers that were inputs"] == "L['times'] = 7"
    program = torch.export.load(recorded_one.path)
    assert len(program.graph_signature.user_inputs) == 2
    (made,) = program.module()(torch.ones(2, 6), torch.ones(7, 6))
    assert made.shape == (6, 9)
    assert made[0, 0] == 14


def reset_dynamo() -> None:
    """Forgets what an earlier test compiled of the same code."""
    import torch._dynamo

    torch._dynamo.reset()


def test_an_exception_of_the_block_keeps_what_was_recorded(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="of the script"):
        recorded("raises.py", tmp_path)
    recording = folder.read(tmp_path / "made")
    assert recording.ended == "by KeyError"
    assert len(recording.programs) == 1


def test_nothing_stays_patched_also_after_an_exception(tmp_path: Path) -> None:
    before = patched_objects()
    with contextlib.suppress(RuntimeError), trtdbg.recording(tmp_path / "made"):
        during = patched_objects()
        raise RuntimeError
    assert patched_objects() == before
    changed = [one is not other for one, other in zip(before, during, strict=True)]
    assert sum(changed) >= len(changed) - 1


def test_what_is_saved_uncompiled_is_not_written_and_can_be_loaded_again(
    tmp_path: Path,
) -> None:
    import torch
    import torch_tensorrt

    x, path = torch.tensor([-1.0, 2.0]), tmp_path / "compiled.ep"
    with in_folder(tmp_path), trtdbg.recording(tmp_path / "made"):
        compiled = torch_tensorrt.compile(torch.nn.ReLU(), inputs=[x])
        torch_tensorrt.save(compiled, str(path), arg_inputs=[x])
        loaded = torch_tensorrt.load("compiled.ep").module()
        assert torch.equal(loaded(x), compiled(x))
        torch.export.save(torch.export.export(torch.nn.Tanh(), (x,)), path)
        other = torch_tensorrt.load(str(path)).module()
    assert torch.equal(other(x), x.tanh())


def test_a_name_taken_before_recording_is_recorded_and_goes_on_to_compile(
    tmp_path: Path,
) -> None:
    import torch
    from torch_tensorrt.dynamo import compile as taken_before

    program = torch.export.export(torch.nn.ReLU(), (torch.ones(3),))
    device = importlib.import_module("torch_tensorrt").Device(gpu_id=0)
    with contextlib.suppress(Exception), trtdbg.recording(tmp_path / "made"):
        taken_before(program, arg_inputs=[torch.ones(3)], device=device)
    (recorded_one,) = folder.read(tmp_path / "made").programs
    assert recorded_one.recorded.file == __file__


def test_two_calls_are_two_programs_in_order(tmp_path: Path) -> None:
    import torch
    import torch_tensorrt

    with trtdbg.recording(tmp_path / "made"):
        torch_tensorrt.compile(torch.nn.ReLU(), inputs=[torch.ones(3)])
        torch_tensorrt.compile(torch.nn.Sigmoid(), inputs=[torch.ones(3)])
    names = [each.recorded.name for each in folder.read(tmp_path / "made").programs]
    assert names == ["1-ReLU", "2-Sigmoid"]


def test_a_folder_that_holds_files_is_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Exception, match="not empty"), trtdbg.recording(tmp_path):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


def test_sys_path_and_main_are_as_before(tmp_path: Path) -> None:
    before = list(sys.path), sys.modules["__main__"]
    recorded("nested.py", tmp_path)
    assert (list(sys.path), sys.modules["__main__"]) == before


def test_what_the_script_added_to_torch_tensorrt_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    import torch_tensorrt
    from torch_tensorrt.dynamo.conversion import _ConverterRegistry as registry
    from torch_tensorrt.dynamo.lowering.passes import _aten_lowering_pass as lowering

    def own(*arguments: Any) -> Any:
        return arguments[0]

    support = registry.ConverterSupport(converter_implementation=own)
    target = torch.ops.aten.relu.default
    monkeypatch.setitem(registry.DYNAMO_ATEN_CONVERTERS, target, [support])
    monkeypatch.setattr(lowering.ATEN_POST_LOWERING_PASSES, "passes", [own], raising=False)
    with trtdbg.recording(tmp_path / "made"):
        torch_tensorrt.compile(torch.nn.ReLU(), inputs=[torch.ones(3)])
    (program,) = folder.read(tmp_path / "made").programs
    assert dict(program.recorded.noted) == {
        "converters registered by the script": "aten.relu.default",
        "lowering passes registered by the script": "own",
    }


def test_a_script_that_adds_nothing_has_nothing_noted(tmp_path: Path) -> None:
    (program,) = recorded("nested.py", tmp_path).programs
    assert program.recorded.noted == ()
