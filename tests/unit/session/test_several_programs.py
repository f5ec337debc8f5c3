"""Programs of one archive are opened by name, and their reports say which they are of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trtdbg.errors import ModelError
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.worker.messages import Access, Job

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")


@pytest.fixture(scope="module")
def both(tmp_path_factory: Any) -> Path:
    from torch.export.pt2_archive._package import package_pt2

    path = tmp_path_factory.mktemp("both") / "both.pt2"
    x = torch.randn(2, 4)
    parts = {"wide": torch.nn.Linear(4, 9), "flat": torch.nn.Flatten(0)}
    programs = {name: torch.export.export(module, (x,)) for name, module in parts.items()}
    package_pt2(path, exported_programs=programs)
    return path


def session(path: Path, program: str | None) -> Any:
    from trtdbg.session.session import Session

    job = Job(
        model=str(path), settings=Settings(), probe_seconds=0, access=Access(program=program)
    )
    return Session(job, lambda event: None)


@pytest.mark.parametrize(("program", "shape"), [("wide", (2, 9)), ("flat", (8,))])
def test_the_named_program_is_analysed(both: Path, program: str, shape: Any) -> None:
    report = session(both, program).analyze(TruncationPolicy())
    assert report.model.program == program
    assert report.model.outputs[0].shape == shape


def test_several_programs_without_a_name_are_listed(both: Path) -> None:
    with pytest.raises(ModelError, match="name one of flat, wide with --program"):
        session(both, None)


def test_a_file_with_one_program_says_nothing_of_programs(tmp_path: Path) -> None:
    path = tmp_path / "one.pt2"
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.randn(2),)), path)
    assert session(path, None).analyze(TruncationPolicy()).model.program is None
