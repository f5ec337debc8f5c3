"""Libraries that register custom operators, imported by name or by path."""

import pytest
import torch

from trtdbg.archive.custom import how_to_register, import_libraries
from trtdbg.errors import ExitCode, UsageError


@pytest.mark.parametrize("by_path", [True, False])
def test_a_library_of_this_folder_is_imported_once(tmp_path, monkeypatch, by_path):
    name = f"library_{by_path}"
    (tmp_path / f"{name}.py").write_text(
        "import torch\n"
        f"@torch.library.custom_op('custom_{name}::mark', mutates_args=())\n"
        "def mark(x: torch.Tensor) -> torch.Tensor:\n"
        "    return x.clone()\n"
    )
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        import_libraries([f"./{name}.py" if by_path else name])
    assert hasattr(getattr(torch.ops, f"custom_{name}"), "mark")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "ModuleNotFoundError: No module named"),
        ("raise ValueError('not\\nnow')", "ValueError: not"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError: invalid syntax"),
    ],
)
def test_what_cannot_be_imported_is_one_line(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    name = f"broken_{abs(hash(text))}"
    if text is not None:
        (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(UsageError) as caught:
        import_libraries([name])
    assert f"--import {name} failed: {said}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_path_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.py failed: FileNotFoundError"):
        import_libraries([str(tmp_path / "gone.py")])


@pytest.mark.parametrize(
    ("operator", "flag"),
    [
        ("torchvision::nms", "`--import torchvision`"),
        ("transformers::grouped_mm_fallback", "`--import transformers.integrations.moe`"),
        ("mine::op", "--import MODULE (often `--import mine`)"),
    ],
)
def test_the_remedy_names_the_likely_library(operator, flag):
    assert flag in how_to_register(operator)
