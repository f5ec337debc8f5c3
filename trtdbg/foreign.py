"""Names files that are no exported program, by their first bytes and entries. Free of torch.

The command line asks before the worker starts, so that a wrong file is answered at once; the
worker asks again, since a file can change in between.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trtdbg.errors import ModelError

EXPORT: Final = "export the model with torch.export.export and torch.export.save"

HEAD_BYTES: Final = 512
"""First bytes of a file that are looked at."""

_IN_PYTHON: Final = f"load it in Python and {EXPORT}"
_NO_PROGRAM_INSIDE: Final = (
    "trtdbg reads the program that an engine was made from: open the .pt2"
)
_VALUES: Final = "values go to --input-values"
_NOT_FROM_PYTORCH: Final = "trtdbg reads PyTorch programs: " + EXPORT


@dataclass(frozen=True)
class FileKind:
    """A kind of file that people hand over in place of an exported program."""

    name: str
    """What it is, to stand behind "is"."""
    remedy: str
    matches: Callable[[bytes], object]
    """Returns whether the first bytes of a file say so."""


def _starts(*heads: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(heads)


def _has(pattern: bytes) -> Callable[[bytes], object]:
    return re.compile(pattern, re.DOTALL).match


KINDS: Final = (
    FileKind(
        "a serialized TensorRT engine, without the program",
        _NO_PROGRAM_INSIDE,
        # Seen in files of TensorRT 8 to 10 (ftrt, ptrt) and TensorRT-RTX 1.5 (vtrt).
        _has(rb"[a-z]trt\x00{0,4}"),
    ),
    FileKind(
        "an ONNX model",
        f"trtdbg reads PyTorch programs: {EXPORT} from the PyTorch model",
        # Field 1 (ir_version), then the field of a string, or of the graph.
        _has(rb"\x08[\x01-\x1f](\x12|\x1a|\x22|\x2a|\x32|\x3a|\x42)"),
    ),
    FileKind(
        "a safetensors file: weights without the program",
        f"load it into its model in Python and {EXPORT}",
        _has(rb"[\s\S]{4}\x00{4}\{"),
    ),
    FileKind(
        "a GGUF model: weights for llama.cpp, without a PyTorch program",
        f"load the original model in Python and {EXPORT}",
        _starts(b"GGUF"),
    ),
    FileKind("a TensorFlow Lite model", _NOT_FROM_PYTORCH, _has(rb"[\s\S]{4}TFL\d")),
    FileKind(
        "an ExecuTorch program",
        "trtdbg reads the exported program that it was made from: open the .pt2",
        _has(rb"[\s\S]{4}ET\d\d"),
    ),
    FileKind(
        "an HDF5 file, as Keras writes", _NOT_FROM_PYTORCH, _starts(b"\x89HDF\r\n\x1a\n")
    ),
    FileKind("an array of numpy", _VALUES, _starts(b"\x93NUMPY")),
    FileKind(
        "a pickle or an old checkpoint of torch.save, without the program",
        _IN_PYTHON,
        _has(rb"\x80[\x02-\x05]"),
    ),
    FileKind("a compiled library, without the program", EXPORT, _starts(b"\x7fELF")),
    FileKind(
        "a compressed file or a tar archive",
        "unpack it and name the .pt2 file in it",
        lambda head: (
            head.startswith(
                (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd")
            )
            or head[257:262] == b"ustar"
        ),
    ),
    FileKind(
        "a Git LFS pointer",
        "fetch the file with git lfs pull",
        _starts(b"version https://git-lfs"),
    ),
    FileKind(
        "a web page, not a model",
        "download the file itself and not the page about it",
        lambda head: re.match(rb"\s*<(!doctype|html)", head, re.IGNORECASE),
    ),
)
"""Kinds that are known by their first bytes, in the order they are asked."""


def of_head(path: str | Path, head: bytes) -> ModelError:
    """Returns the error that names what a file is whose first bytes are no zip archive's."""
    for kind in KINDS:
        if kind.matches(head):
            return ModelError(f"{path} is {kind.name}", remedy=kind.remedy)
    if Path(path).suffix.lower() == ".py" and _is_text(head):
        return ModelError(
            f"{path} is a Python script, not a torch.export archive",
            remedy="`trtdbg record SCRIPT.py` records what it hands to torch_tensorrt",
        )
    kind_of_text = "a text file" if _is_text(head) else "of another kind"
    return ModelError(f"{path} is {kind_of_text}, not a torch.export archive", remedy=EXPORT)


def of_entries(path: str | Path, entries: Collection[str]) -> ModelError | None:
    """Returns the error that names a zip archive without an exported program, by its entries.

    Args:
        path: the archive.
        entries: names in it, without the folder that torch puts on top.
    """
    if any(name.startswith("data/aotinductor/") for name in entries):
        # torch.export.load would load, and so run, the compiled code.
        return ModelError(
            f"{path} is an AOTInductor package: compiled code instead of the program",
            remedy="save the exported program itself with torch.export.save",
        )
    if any(_is_program(name) for name in entries):
        return None
    if "data/weights/model_weights_config.json" in entries:
        return ModelError(
            f"{path} holds weights and no program: torch.export.save did not finish it",
            remedy="see what it raised, and save the program again",
        )
    if "constants.pkl" in entries or any(name.startswith("code/") for name in entries):
        return ModelError(
            f"{path} is a TorchScript archive",
            remedy="export the model again with torch.export.export and torch.export.save",
        )
    if "data.pkl" in entries:
        return ModelError(
            f"{path} is a checkpoint of torch.save, without the program",
            remedy=f"load it into its model in Python and {EXPORT}",
        )
    if entries and all(name.endswith(".npy") for name in entries):
        return ModelError(
            f"{path} holds arrays of numpy", remedy="values go to --input-values"
        )
    if {"config.json", "metadata.json"} <= set(entries):
        return ModelError(f"{path} is a Keras model", remedy=_NOT_FROM_PYTORCH)
    return ModelError(f"{path} is a zip archive, but not one of torch.export", remedy=EXPORT)


def _is_program(name: str) -> bool:
    """Returns whether an entry may be a program, vetted or refused with its name later."""
    return (
        name.startswith("models/") or re.fullmatch(r"serialized_\w+\.json", name) is not None
    )


def check(path: str) -> None:
    """Looks at a file that should be an exported program, without reading it through.

    Raises:
        ModelError: it is not there, cannot be read, or is of another kind.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise _of_folder(path)
        if not stat.S_ISREG(mode):
            raise ModelError(f"{path} is not a regular file", remedy="name a .pt2 file")
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as cause:
        raise ModelError(
            f"{path} does not exist", remedy=f"check the path, or {EXPORT}"
        ) from cause
    except OSError as cause:
        raise ModelError(f"cannot read {path}: {cause.strerror or cause}") from cause
    except ValueError as cause:
        raise ModelError(f"{path!r} is not a path", remedy="check the path") from cause
    if not head:
        raise ModelError(f"{path} is empty", remedy="export the model again")
    if not head.startswith(b"PK"):
        raise of_head(path, head)
    entries = _entries(path)
    problem = of_entries(path, entries) if entries is not None else None
    if problem is not None:
        raise problem


def programs(path: str) -> tuple[str, ...]:
    """Returns the names of the programs in a file, sorted; () where that cannot be told."""
    found = (_PROGRAM.fullmatch(entry) for entry in _entries(path) or ())
    return tuple(sorted(match["name"] for match in found if match is not None))


_PROGRAM: Final = re.compile(r"models/(?P<name>.+)\.json", re.DOTALL)


def _entries(path: str) -> frozenset[str] | None:
    """Returns the names in an archive, without the folder on top; None if it cannot be read.

    A pipe or a device is not opened: that might wait for ever.
    """
    if not os.path.isfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as opened:
            names = opened.namelist()
    except Exception:
        # Whoever reads it through says what is damaged.
        return None
    root = root_of(names)
    return frozenset(name.removeprefix(root) for name in names)


def root_of(names: Sequence[str]) -> str:
    """Returns the folder that torch puts on top of all entries, with its slash; or ""."""
    root = f"{names[0].partition('/')[0]}/" if names else ""
    return root if all(name.startswith(root) for name in names) else ""


def _of_folder(path: str) -> ModelError:
    inside = set(os.listdir(path)) if os.access(path, os.R_OK) else set()
    if "saved_model.pb" in inside:
        return ModelError(f"{path} is a SavedModel of TensorFlow", remedy=_NOT_FROM_PYTORCH)
    if inside & {"model.safetensors", "pytorch_model.bin", "model.safetensors.index.json"}:
        return ModelError(
            f"{path} is a model folder of transformers: weights without the program",
            remedy=_IN_PYTHON,
        )
    return ModelError(f"{path} is a folder", remedy="name a .pt2 file in it")


def _is_text(head: bytes) -> bool:
    # The read may have cut the last character.
    cut = re.sub(rb"[\xc0-\xff][\x80-\xbf]*\Z", b"", head)
    try:
        text = cut.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return re.search(r"[\x00-\x08\x0e-\x1a]", text) is None
