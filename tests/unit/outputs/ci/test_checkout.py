from __future__ import annotations

from pathlib import Path

import pytest

from trtdbg.outputs.ci.checkout import place_in


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "model.py").touch()
    return tmp_path


def test_a_file_inside_is_relative(root: Path) -> None:
    assert place_in(str(root / "net" / "gone.py"), root) == "net/gone.py"
    assert place_in("net/model.py", root) == "net/model.py"


@pytest.mark.parametrize(
    "file", ["/home/ann/repo/net/model.py", "C:\\work\\repo\\net\\model.py"]
)
def test_a_file_exported_elsewhere_is_found_by_the_end_of_its_path(
    file: str, root: Path
) -> None:
    assert place_in(file, root) == "net/model.py"


def test_a_file_that_is_nowhere_in_the_checkout_stays_as_it_is(root: Path) -> None:
    assert place_in("/usr/lib/torch/nn.py", root) == "/usr/lib/torch/nn.py"
    assert place_in("D:\\torch\\nn.py", root) == "D:/torch/nn.py"
