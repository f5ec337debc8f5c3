"""The screen shows one program of a file that holds several, and names the others."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from trtdbg_ui.host.launch import _first_program
from trtdbg_ui.render.command import command

from tests import canned
from trtdbg.policy import Settings
from trtdbg.worker.messages import Access, Job


def archive(path: Path, *names: str) -> str:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(f"models/{name}.json", "{}")
            file.writestr(f"data/sample_inputs/{name}.pt", "")
    return str(path)


@pytest.mark.parametrize(
    ("names", "shown", "others"),
    [
        (("encode", "decode"), "decode", "encode"),
        (("a", "model", "z"), "model", "a, z"),
    ],
)
def test_one_of_several_programs_is_shown_and_the_others_are_named(
    tmp_path: Path, names: tuple[str, ...], shown: str, others: str
) -> None:
    access, notice = _first_program(archive(tmp_path / "x.pt2", *names), Access(trust=True))
    assert access == Access(program=shown, trust=True)
    assert notice == (
        f"This is program {shown} of the file. --program NAME shows another: {others}."
    )


def test_the_only_program_is_not_talked_about(tmp_path: Path) -> None:
    assert _first_program(archive(tmp_path / "x.pt2", "a"), Access()) == (Access(), None)


def test_the_command_that_opens_it_again_names_the_program() -> None:
    job = Job(model="x.pt2", settings=Settings(), access=Access(program="encode"))
    assert "--program encode" in command(job, canned.LATE.policy)
