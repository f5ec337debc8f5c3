"""Files that are no exported program are named at once, before torch is imported."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from trtdbg import foreign
from trtdbg.errors import ModelError

ROOT = Path(__file__).parents[2]


def archive(entries: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        for name, data in entries.items():
            opened.writestr(name, data)
    return made.getvalue()


FILES = {
    "engine_standard": (b"ftrt\0\0\0\0" + bytes(60), "is a serialized TensorRT engine"),
    "plan": (b"ptrt\0\0\0\0" + bytes(60), "is a serialized TensorRT engine"),
    "engine_rtx": (b"vtrt\0\0\0\0\2\0\0\0", "is a serialized TensorRT engine"),
    "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0", "is an ONNX model"),
    "onnx_graph_first": (b"\x08\x09:\xb0\x9b\x01\n", "is an ONNX model"),
    "safetensors": (b'\x40\0\0\0\0\0\0\0{"__metadata__":{}}', "is a safetensors file"),
    "gguf": (b"GGUF\3\0\0\0", "is a GGUF model"),
    "tflite": (b"\x1c\0\0\0TFL3", "is a TensorFlow Lite model"),
    "executorch": (b"\x1c\0\0\0ET12", "is an ExecuTorch program"),
    "keras_h5": (b"\x89HDF\r\n\x1a\n\0\0", "is an HDF5 file"),
    "npy": (b"\x93NUMPY\1\0", "is an array of numpy"),
    "pickle": (b"\x80\x04\x95", "is a pickle or an old checkpoint"),
    "library": (b"\x7fELF\2\1", "is a compiled library"),
    "gzip": (b"\x1f\x8b\x08", "is a compressed file"),
    "tar": (bytes(257) + b"ustar\x0000", "is a compressed file or a tar archive"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    "html": (b"\n<!DOCTYPE html><html>", "is a web page"),
    "text": (b"import torch\n", "is a text file"),
    "bytes": (b"\1\2\3\0\0\0", "is of another kind"),
    "torchscript": (archive({"m/constants.pkl": b"", "m/code/x.py": b""}), "TorchScript"),
    "checkpoint": (archive({"m/data.pkl": b"", "m/version": b"3"}), "is a checkpoint"),
    "npz": (archive({"arr_0.npy": b"\x93NUMPY"}), "holds arrays of numpy"),
    "keras": (archive({"config.json": b"{}", "metadata.json": b"{}"}), "is a Keras model"),
    "wheel": (archive({"a/b.py": b"", "a-1.dist-info/RECORD": b""}), "is a zip archive"),
    "aotinductor": (archive({"m/data/aotinductor/x.so": b""}), "an AOTInductor package"),
    "empty": (b"", "is empty"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_foreign_file_is_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    data, words = FILES[name]
    path = tmp_path / "model.pt2"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=words) as caught:
        foreign.check(str(path))
    assert caught.value.remedy
    assert len(str(caught.value)) - len(str(path)) < 400


def test_a_script_is_told_how_it_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "compiles.py"
    path.write_text("import torch\n")
    with pytest.raises(ModelError, match="is a Python script") as caught:
        foreign.check(str(path))
    assert "`trtdbg record SCRIPT.py`" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ("saved_model.pb", "is a SavedModel of TensorFlow"),
        ("model.safetensors", "is a model folder of transformers"),
        ("model.pt2", "is a folder"),
    ],
)
def test_a_folder_is_named_by_what_is_in_it(inside: str, words: str, tmp_path: Path) -> None:
    (tmp_path / inside).touch()
    with pytest.raises(ModelError, match=words):
        foreign.check(str(tmp_path))


def test_a_program_and_a_damaged_archive_are_left_to_who_reads_them_through(
    tmp_path: Path,
) -> None:
    for number, data in enumerate((archive({"m/models/model.json": b"{}"}), b"PK damaged")):
        path = tmp_path / f"{number}.pt2"
        path.write_bytes(data)
        foreign.check(str(path))


def test_no_torch_is_imported_for_a_wrong_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt2"
    path.write_bytes(FILES["safetensors"][0])
    program = (
        "import sys\nfrom trtdbg.cli import main\n"
        f"code = main(['report', {str(path)!r}])\n"
        "import multiprocessing\n"
        "assert not multiprocessing.active_children()\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
        "sys.exit(code)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "ui")])}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "is a safetensors file" in done.stderr
