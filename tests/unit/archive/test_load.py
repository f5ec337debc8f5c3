"""Opening .pt2 files: good ones, foreign devices, and everything that is not one."""

import hashlib
import importlib.util
import io
import json
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import typing
import zipfile
from pathlib import Path

import pytest
import torch
from torch._export.serde.schema import SCHEMA_VERSION
from torch._export.serde.serialize import serialize

from tests.models import CORPUS
from tests.relabelled import on_device, rewrite
from trtdbg.archive.load import load
from trtdbg.compat.devices import is_present
from trtdbg.errors import ExitCode, ModelError


class Model(torch.nn.Module):
    """Parameter, buffer, constant, creating operators, device cast and autocast."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.register_buffer("steps", torch.arange(4))
        self.offset = torch.full((4,), 0.5, dtype=torch.float64)

    def forward(self, x, *, scale):
        y = self.linear(x) + self.steps + self.offset * scale
        z = torch.arange(4, device=x.device) + torch.full((4,), 2.0, device=x.device)
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            w = self.linear(x)
        return (y + z).to(x.device), w


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.pt2"
    args, kwargs = (torch.randn(2, 4),), {"scale": torch.tensor([2.0])}
    torch.export.save(torch.export.export(Model(), args, kwargs), path)
    return path


def refusal(path):
    with pytest.raises(ModelError) as caught:
        load(path)
    error = caught.value
    assert str(path) in str(error)
    assert "\n" not in str(error)
    assert error.remedy
    assert error.exit_code is ExitCode.USAGE
    return str(error)


def error_of(path):
    try:
        load(path)
    except ModelError as error:
        return error
    return None


def edit_program(source, target, change):
    def edit(name, data):
        if name != "models/model.json":
            return data
        program = json.loads(data)
        change(program)
        return json.dumps(program).encode()

    return rewrite(source, target, edit)


def devices(loaded):
    """Yields every device that a loaded program still names."""
    program = loaded.program
    tensors = [*program.state_dict.values(), *program.constants.values()]
    tensors += torch.utils._pytree.tree_leaves(loaded.example_inputs)
    for module in program.graph_module.modules():
        for node in module.graph.nodes:
            values = [node.meta.get("val"), node.args, node.kwargs]
            tensors += torch.utils._pytree.tree_leaves(values)
    for each in tensors:
        if isinstance(each, torch.Tensor):
            yield each.device.type
        elif isinstance(each, torch.device):
            yield each.type
        elif each in ("cuda", "cpu", "npu", "xpu"):
            yield each


def test_a_saved_program_comes_with_its_inputs_hash_and_size(saved):
    loaded = load(saved)
    data = saved.read_bytes()
    assert loaded.path == str(saved)
    assert loaded.sha256 == hashlib.sha256(data).hexdigest()
    assert loaded.bytes == len(data)
    assert loaded.moved_from == ()
    args, kwargs = loaded.example_inputs
    assert [tuple(each.shape) for each in args] == [(2, 4)]
    assert list(kwargs) == ["scale"]
    out, narrow = loaded.program.module()(*args, **kwargs)
    assert (out.dtype, narrow.dtype) == (torch.float64, torch.bfloat16)


def test_the_path_can_be_a_string_and_needs_no_suffix(saved, tmp_path, caplog):
    path = tmp_path / "model.bin"
    path.write_bytes(saved.read_bytes())
    assert load(str(path)).sha256 == load(saved).sha256
    assert caplog.text == ""


def test_a_program_without_example_inputs_has_none(saved, tmp_path):
    def edit(name, data):
        return b"" if name.startswith("data/sample_inputs/") else data

    loaded = load(rewrite(saved, tmp_path / "bare.pt2", edit))
    assert loaded.example_inputs is None


def test_loading_prints_and_warns_nothing(saved, capfd, caplog, recwarn):
    load(saved)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert list(recwarn) == []


@pytest.mark.parametrize(
    ("kind", "index"), [("cuda", 0), ("cuda", 31), ("xpu", 1), ("npu", 0), ("mps", 0)]
)
def test_a_program_of_an_absent_device_is_on_the_cpu_in_every_place(
    saved, tmp_path, kind, index
):
    if is_present(kind, index):
        pytest.skip(f"this machine has {kind}:{index}")
    loaded = load(on_device(saved, tmp_path / "there.pt2", kind, index))
    assert loaded.moved_from == (f"{kind}:{index}",)
    assert set(devices(loaded)) == {"cpu"}
    here = load(saved)
    args, kwargs = here.example_inputs
    for moved, original in zip(loaded.example_inputs[0], args, strict=True):
        assert torch.equal(moved, original)
    results = loaded.program.module()(*args, **kwargs)
    for moved, original in zip(results, here.program.module()(*args, **kwargs), strict=True):
        assert torch.equal(moved, original)
        assert moved.dtype == original.dtype


def test_a_moved_program_decomposes(saved, tmp_path):
    if is_present("cuda", 0):
        pytest.skip("this machine has cuda:0")
    loaded = load(on_device(saved, tmp_path / "there.pt2", "cuda", 0))
    lowered = loaded.program.run_decompositions()
    dtypes = [lowered.graph.find_nodes(op="output")[0].args[0][i].meta["val"] for i in (0, 1)]
    assert [each.dtype for each in dtypes] == [torch.float64, torch.bfloat16]
    assert {each.device.type for each in dtypes} == {"cpu"}


def test_the_device_archives_of_these_tests_do_not_load_in_plain_torch(saved, tmp_path):
    if is_present("cuda", 0):
        pytest.skip("this machine has cuda:0")
    path = on_device(saved, tmp_path / "there.pt2", "cuda", 0)
    with pytest.raises(Exception, match=r"CUDA|cuda|deserializing the saved file"):
        torch.export.load(path)
    sample = (tmp_path / "there.out").read_bytes()
    with pytest.raises(
        RuntimeError, match="Attempting to deserialize object on a CUDA device"
    ):
        torch.load(io.BytesIO(sample))


def test_loading_leaves_torch_as_it_was(saved, tmp_path):
    from torch._export.serde import serialize as serde
    from torch.export.pt2_archive import _package

    def state():
        registry = torch.serialization._package_registry
        return (serde.deserialize_device, _package.deserialize_device, list(registry))

    before = state()
    load(on_device(saved, tmp_path / "there.pt2", "npu", 0))
    assert state() == before
    (tmp_path / "empty.pt2").write_bytes(b"")
    refusal(tmp_path / "empty.pt2")
    assert state() == before
    with pytest.raises(ModelError):
        load(edit_program(saved, tmp_path / "bad.pt2", lambda program: program.clear()))
    assert state() == before


def test_an_archive_of_torch_2_7_loads_without_a_logged_traceback(saved, tmp_path, caplog):
    program = torch.export.load(saved)
    artifact = serialize(program)
    path = tmp_path / "legacy.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version", ".".join(map(str, SCHEMA_VERSION)))
        archive.writestr("serialized_exported_program.json", artifact.exported_program)
        archive.writestr("serialized_state_dict.pt", artifact.state_dict)
        archive.writestr("serialized_constants.pt", artifact.constants)
        archive.writestr("serialized_example_inputs.pt", artifact.example_inputs)
    loaded = load(path)
    assert len(loaded.program.graph.nodes) == len(program.graph.nodes)
    assert not [record for record in caplog.records if record.exc_info]
    assert not logging.getLogger("torch.export").filters


def test_a_missing_file_says_so(tmp_path):
    assert "does not exist; check the path" in refusal(tmp_path / "none.pt2")


def test_a_directory_says_so(tmp_path):
    assert "is a directory" in refusal(tmp_path)


def test_an_empty_file_says_so(tmp_path):
    path = tmp_path / "empty.pt2"
    path.touch()
    assert "is empty" in refusal(path)


@pytest.mark.parametrize(
    "text", ["Ça va?\n", "x" * 511 + "é and more", '{"schema": 1}', "text without an end"]
)
def test_a_text_file_says_so(tmp_path, text):
    path = tmp_path / "model.pt2"
    path.write_text(text)
    assert "is a text file, not a torch.export archive" in refusal(path)


def test_a_git_lfs_pointer_says_how_to_fetch_the_file(tmp_path):
    path = tmp_path / "model.pt2"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "git lfs pull" in refusal(path)


def test_a_binary_file_of_another_kind_says_so(tmp_path):
    path = tmp_path / "model.pt2"
    path.write_bytes(b"\x09\x07\x12\x00something\xff\xfe" * 99)
    assert "is of another kind" in refusal(path)


def test_a_device_file_is_not_read():
    assert "is not a regular file" in refusal("/dev/zero")


def test_an_impossible_path_is_an_error_of_the_user():
    with pytest.raises(ModelError, match="is not a path"):
        load("a\0b.pt2")
    assert "File name too long" in refusal("x" * 300)


def test_an_unreadable_file_says_so(saved):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "model.pt2"
        path.write_bytes(saved.read_bytes())
        path.chmod(0)
        # Permissions do not bind root.
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            text = refusal(path)
        finally:
            os.seteuid(user)
    assert "permission denied" in text


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_truncated_archive_says_so(saved, tmp_path, share):
    path = tmp_path / "cut.pt2"
    data = saved.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "truncated or damaged archive" in refusal(path)


def test_damage_anywhere_is_one_line_or_harmless(saved, tmp_path):
    path = tmp_path / "damaged.pt2"
    data = saved.read_bytes()
    refused = 0
    for start in range(0, len(data), len(data) // 97):
        path.write_bytes(data[:start] + b"\xa5" * 24 + data[start + 24 :])
        if error := error_of(path):
            assert "\n" not in str(error)
            refused += 1
    assert refused > 10


def test_a_torchscript_archive_says_to_export_again(tmp_path):
    path = tmp_path / "script.pt2"
    traced = torch.jit.trace(torch.nn.Linear(2, 2), torch.randn(1, 2))
    torch.jit.save(traced, path)
    text = refusal(path)
    assert "is a TorchScript archive" in text
    assert "torch.export.export" in text


def test_an_aotinductor_package_is_refused_before_its_code_is_loaded(
    saved, tmp_path, monkeypatch
):
    path = tmp_path / "compiled.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("archive_format", "data/aotinductor/model/abc.wrapper.so"):
            archive.writestr(f"compiled/{name}", b"pt2")
        archive.writestr("compiled/models/model.json", b"{}")
    monkeypatch.setattr("torch.export.pt2_archive._package.load_pt2", None)
    assert "is an AOTInductor package" in refusal(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_says_to_load_it_into_its_model(tmp_path, zipped):
    path = tmp_path / "weights.pt2"
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
    assert "checkpoint of torch.save" in refusal(path)


@pytest.mark.parametrize("protocol", [2, 5])
def test_a_pickle_is_refused_and_not_run(tmp_path, protocol):
    class Payload:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    path = tmp_path / "model.pt2"
    path.write_bytes(pickle.dumps(Payload(), protocol=protocol))
    assert "is a pickle" in refusal(path)
    assert not (tmp_path / "ran").exists()


def test_a_zip_of_something_else_says_so(tmp_path):
    path = tmp_path / "document.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
        archive.writestr("[Content_Types].xml", "<xml/>")
    assert "is a zip archive, but not one of torch.export" in refusal(path)
    with zipfile.ZipFile(path, "w"):
        pass
    assert "is a zip archive, but not one of torch.export" in refusal(path)


def test_an_archive_of_other_programs_names_them(saved, tmp_path):
    path = tmp_path / "several.pt2"
    reader = torch._C.PyTorchFileReader(str(saved))
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("encoder", "decoder"):
            archive.writestr(f"m/models/{name}.json", reader.get_record("models/model.json"))
    assert "decoder, encoder" in refusal(path)


def test_an_unregistered_operator_is_named(saved, tmp_path):
    def change(program):
        program["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.nolib.mark.default"

    text = refusal(edit_program(saved, tmp_path / "custom.pt2", change))
    assert "needs the custom operator nolib::mark, which is not registered" in text
    assert "import the library that registers nolib: --import MODULE" in text


def test_an_unregistered_operator_inside_a_region_is_named(saved, tmp_path):
    def change(program):
        text = json.dumps(program)
        inner = text.rindex("torch.ops.aten.linear.default")
        changed = text[:inner] + text[inner:].replace("aten.linear", "nolib.linear", 1)
        program.update(json.loads(changed))

    assert "nolib::linear" in refusal(edit_program(saved, tmp_path / "inner.pt2", change))


def test_a_newer_schema_names_both_versions(saved, tmp_path):
    def change(program):
        program["schema_version"] = {"major": SCHEMA_VERSION[0] + 1, "minor": 3}
        program["torch_version"] = "9.9"

    text = refusal(edit_program(saved, tmp_path / "newer.pt2", change))
    assert f"was saved by torch 9.9 with schema {SCHEMA_VERSION[0] + 1}.3" in text
    assert f"torch {torch.__version__} here reads schema {SCHEMA_VERSION[0]}." in text


def test_a_program_that_torch_cannot_read_carries_torchs_own_sentence(saved, tmp_path):
    path = edit_program(saved, tmp_path / "bad.pt2", lambda program: program.clear())
    assert "cannot be loaded: TypeError: " in refusal(path)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_running_out_of_memory_is_not_called_a_bad_model(saved, monkeypatch, error):
    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr("torch._export.serde.serialize._dict_to_dataclass", fail)
    with pytest.raises(MemoryError):
        load(saved)


def test_the_operator_of_a_corpus_case_is_named_until_it_is_registered(tmp_path):
    case = CORPUS / "cases" / "double_symint_boundary.py"
    export = [sys.executable, CORPUS / "export.py", tmp_path, case.stem]
    subprocess.run(export, check=True, capture_output=True)
    path = tmp_path / f"{case.stem}.pt2"
    if not hasattr(torch.ops.trtdbgcase, "mark"):
        assert "the custom operator trtdbgcase::mark" in refusal(path)
    spec = importlib.util.spec_from_file_location(case.stem, case)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loaded = load(path)
    targets = [str(node.target) for node in loaded.program.graph.nodes]
    assert "trtdbgcase.mark.default" in targets


def test_types_are_looked_up_once_and_torch_is_as_before(saved, monkeypatch):
    from torch._export.serde import serialize

    asked = []

    def noted(cls, **names):
        asked.append(cls)
        return get_type_hints(cls, **names)

    before, get_type_hints = serialize.typing, typing.get_type_hints
    monkeypatch.setattr(typing, "get_type_hints", noted)
    load(saved)
    assert len(asked) == len(set(asked)) > 5
    assert serialize.typing is before is typing
